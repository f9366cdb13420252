"""Tables that a team's workers may use and not change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sqlalchemy
from optuna.study import StudyDirection
from postgres import url_of

from searchlab.errors import SpecError
from searchlab.search.migration import migrate
from searchlab.search.queue import Entry, Queue
from searchlab.search.storage import open_storage, parse


def test_a_role_may_read_and_write_rows_and_change_no_table(tmp_path: Path) -> None:
    url, role = url_of("postgresql", tmp_path), f"worker_{os.getpid()}"
    place = parse(url)
    owner = sqlalchemy.create_engine(place)
    with owner.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE ROLE {role} LOGIN"))
    assert any(role in line for line in migrate(url, role))
    assert migrate(url, role), "again changes nothing"
    theirs = place.set(username=role).render_as_string(hide_password=False)
    open_storage(theirs).create_new_study([StudyDirection.MINIMIZE], "one")
    queue = Queue(theirs)
    queue.submit(Entry("one", "ann", "", ""))
    queue.become("one", "open")
    queue.tell("one", wanted=1)
    assert queue.choose("w", None) == "one"
    queue.close()
    worker = sqlalchemy.create_engine(parse(theirs))
    refusal = r"permission denied|must be owner"
    for words in ("DROP TABLE trials", "ALTER TABLE trials ADD x int", "CREATE TABLE x (y int)", "TRUNCATE trials"):
        with (
            pytest.raises(sqlalchemy.exc.ProgrammingError, match=refusal),
            worker.begin() as c,
        ):
            c.execute(sqlalchemy.text(words))
    worker.dispose()
    owner.dispose()


def test_a_file_has_no_roles(tmp_path: Path) -> None:
    url = url_of("sqlite", tmp_path)
    assert migrate(url)
    with pytest.raises(SpecError, match="no roles"):
        migrate(url, "worker")
