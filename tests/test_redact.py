from __future__ import annotations

import pytest

from searchlab.redact import redacted, without_password

NOTHING: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:secret@db:5432/x", "postgresql+psycopg://me:***@db:5432/x"),
        ("postgresql://me:se/cr@et@db/x", "postgresql://me:***@db/x"),
        ("http://me:secret@host:5000/#/a", "http://me:***@host:5000/#/a"),
        ("clone of https://me:token@git.invalid/x.git failed", "clone of https://me:***@git.invalid/x.git failed"),
        ("('http://:secret@host',)", "('http://:***@host',)"),
        ("http://host:5000/#/models/x@champion", "http://host:5000/#/models/x@champion"),
        ("sqlite:///a/b@c.db", "sqlite:///a/b@c.db"),
        ("write to me: a@b.invalid", "write to me: a@b.invalid"),
        ("http://one:80 and http://me:secret@two", "http://one:80 and http://me:***@two"),
    ],
)
def test_passwords_in_urls_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert redacted(text, NOTHING) == shown


def test_values_of_variables_that_are_secrets_by_name_are_masked() -> None:
    environment = {"MLFLOW_TRACKING_PASSWORD": "hunter22", "GITHUB_TOKEN": "ghp_12345", "HOME": "somewhere"}
    assert redacted("hunter22 and ghp_12345 in somewhere", environment) == "*** and *** in somewhere"


def test_a_password_within_a_variable_is_known_wherever_it_turns_up() -> None:
    environment = {"SEARCHLAB_STORAGE": "postgresql://me:s%C3%A4cret@db/x"}
    assert redacted("wrong password 'säcret' (s%C3%A4cret)", environment) == "wrong password '***' (***)"


def test_short_values_are_parts_of_too_much_else() -> None:
    assert redacted("one of 12 tokens", {"MAX_TOKENS": "12", "TOKENIZERS_PARALLELISM": "tokens"}) == "one of 12 tokens"


def test_a_url_that_is_kept_loses_the_password_alone() -> None:
    assert without_password("postgresql+psycopg://me:secret@db:5432/x?a=b") == "postgresql+psycopg://me@db:5432/x?a=b"
    assert without_password("http://me:secret@host:5000") == "http://me@host:5000"
    assert without_password("postgresql://me:${PGPASSWORD}@db/x") == "postgresql://me:${PGPASSWORD}@db/x"
    assert without_password("sqlite:///x.db") == "sqlite:///x.db"
