"""What may be shown, printed or kept of a text that may hold passwords: the one sieve before all of that.

It knows passwords by where they stand (in URLs, before the "@") and by what they are: the values of environment
variables whose names say so, and the passwords of URLs in others.  A text that is kept to be read again (a study file)
loses the password alone, so that drivers find it where they look: PGPASSWORD, ~/.pgpass, MLFLOW_TRACKING_PASSWORD.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

MASK = "***"

SHORTEST = 6
"""Characters of a value that is looked for: shorter ones are part of too much else."""

_DATABASE = r"(?:postgresql|postgres|mysql|mssql|oracle)[\w+]*"  # whose passwords may have a "/", by SQLAlchemy
_IN_URL = re.compile(
    rf"((?i:{_DATABASE})://[^:/@\s]*):(?!\$\{{)[^@\s]*(?:@[^@\s/]*)*@|(\w[\w+.-]*://[^:/@\s]*):(?!\$\{{)[^/@\s]*@"
)
_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN(?!IZ)|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^:/@\s]*:([^@\s]+)@")


def redacted(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """`text` as people may see it, every password that is known as one replaced by asterisks."""
    text = _IN_URL.sub(lambda found: f"{found[1] or found[2]}:{MASK}@", text)
    for secret in _secrets(environment):
        text = text.replace(secret, MASK)
    return text


def without_password(url: str) -> str:
    """`url` without its password; one that is `${NAME}` stays, and so does what is no URL."""
    return _IN_URL.sub(lambda found: f"{found[1] or found[2]}@", url)


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """The longest first, since one may be part of another."""
    found = {value for name, value in environment.items() if _SECRET.search(name)}
    inside = {password for value in environment.values() for password in _PASSWORD.findall(value)}
    found |= inside | {unquote(password) for password in inside}
    return sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True)
