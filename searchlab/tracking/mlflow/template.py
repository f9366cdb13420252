"""An empty MLflow database, made once on a machine for each version of MLflow and copied for every new store.

Why: MLflow makes its tables by running all migrations of its history, two seconds of work for the same result each
time.  What is copied was made by those very migrations, and MLflow checks the schema's version whenever it opens a
store, so a copy that does not fit is refused rather than believed.  Turned down: `metadata.create_all` and a stamp,
which is quicker the first time but gives tables that differ from the migrated ones.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from importlib.metadata import version
from pathlib import Path

PERSONAL = ("experiments", "experiment_tags")
"""Tables with rows that belong to one store alone: MLflow makes its default experiment again."""


def path() -> Path:
    """Where the empty database of the installed MLflow lies, or would lie."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "searchlab" / f"mlflow-{version('mlflow')}.db"


def copy_to(file: Path) -> bool:
    """Make `file` an empty store, if it is not there and a template is; whether it was made."""
    if file.exists() and file.stat().st_size > 0:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path().as_uri()}?mode=ro", uri=True)) as made:
            if made.execute("PRAGMA quick_check").fetchone() != ("ok",):
                return False
            with contextlib.closing(sqlite3.connect(file)) as copy:
                made.backup(copy)
    except (OSError, sqlite3.Error):
        return False
    return True


def keep(file: Path) -> None:
    """Keep what MLflow has made of the new store `file` as the template, if there is none; best effort."""
    target = path()
    try:
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            fresh = Path(folder, "empty.db")
            with (
                contextlib.closing(sqlite3.connect(file, timeout=20)) as made,
                contextlib.closing(sqlite3.connect(fresh)) as copy,
            ):
                made.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
                for table in PERSONAL:
                    copy.execute(f"DELETE FROM {table}")
                copy.commit()
            fresh.replace(target)
    except (OSError, sqlite3.Error):
        return
