"""Whether what a container needs answers: `healthy.py storage` or `healthy.py URL`.  Status 0, or 1 and the reason."""

from __future__ import annotations

import os
import sys
import urllib.request


def main(what: str) -> None:
    """Ask once."""
    if what == "storage":
        import psycopg

        url = os.environ["SEARCHLAB_STORAGE"].replace("postgresql+psycopg:", "postgresql:", 1)
        with psycopg.connect(url, connect_timeout=5) as connection:
            connection.execute("SELECT 1")
    else:
        urllib.request.urlopen(what, timeout=5).close()


try:
    main(sys.argv[1])
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
