"""The command line: one file a command, each of which loads its heavy part only when it runs.

Exit status: 0 fine · 2 a fault in the study file or the call · 3 in the data · 4 a service, a library or a device is
missing, or the disk fails · 5 the stored study differs · 6 the seal · 7 no trial succeeded · 70 a bug of ours ·
75 interrupted, can be resumed.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import sqlite3
import sys
import traceback
from gc import get_objects

import typer

from searchlab import lazy
from searchlab.errors import SearchlabError
from searchlab.plain import printable
from searchlab.redact import redacted

# The plain words of `--help` need no markup, and rich costs a tenth of a second at every start.
app = typer.Typer(
    name="searchlab",
    help="Find the best Keras network your data and budget allow, and an honest test score for it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    "run",
    "resume",
    "worker",
    "status",
    "trials",
    "report",
    "sync",
    "audit",
    "final_test",
    "promote",
    "export",
    "predict",
    "ui",
    "init",
    "validate",
    "show",
    "plan",
    "list",
    "schema",
    "doctor",
    "gc",
    "restore",
    "stack",
    "evaluator",
    "migrate",
    "lead",
)
"""The files beside this one, in the order of the help page; `final_test.py` is `searchlab final-test`."""


def _version(wanted: bool) -> None:
    if wanted:
        from searchlab import __version__

        typer.echo(f"searchlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    traceback: bool = typer.Option(False, "--traceback", help="Show the whole traceback of an error."),
    home: str | None = typer.Option(
        None, "--home", envvar="SEARCHLAB_HOME", help="Where studies are kept. [default: ./.searchlab]"
    ),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Options that stand before the command."""
    if traceback:
        os.environ["SEARCHLAB_TRACEBACK"] = "1"
    if home:
        os.environ["SEARCHLAB_HOME"] = home


DISK_FAILS = 4
DISK = {
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM), "searchlab needs a folder that it may write to: --home FOLDER"
    ),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file is where a folder has to be: move it, or --home FOLDER"),
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT), "make space (df -h, df -i); searchlab gc removes what nobody needs any more"
    ),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files: ulimit -n 1024"),
    errno.EIO: "the disk fails: look at its health",
}
"""What people can do about errors of the system; others are faults of ours."""

is_hasty = False
"""Set by commands that leave a process full of loaded libraries: to take those apart costs most of a second."""


def main() -> None:
    """Run the command line; ends the process with a documented exit status."""
    lazy.alone()
    os.umask(0o077)  # what is kept may be data of others; who wants to share a file says so
    if logging.lastResort is not None:  # what warnings are printed by
        logging.lastResort.addFilter(_Sieve())
    for command in COMMANDS:
        importlib.import_module(f"searchlab.cli.{command}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow says of absent GPUs is no news here
    try:
        status = _status()
        sys.stdout.flush()
    except BrokenPipeError:  # `searchlab trials | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    if is_hasty:
        sys.stderr.flush()
        logging.shutdown()
        _close_databases()
        os._exit(status)  # everything is written and closed by now
    sys.exit(status)


def _status() -> int:
    """Run the command; its exit status, after words for people where something went wrong."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except SearchlabError as error:
        if os.environ.get("SEARCHLAB_TRACEBACK"):
            _print_traceback()
            return error.exit_code
        sys.stdout.flush()
        _complain(str(error))
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        if (words := _of_disk(error)) and not os.environ.get("SEARCHLAB_TRACEBACK"):
            _complain(words)
            return DISK_FAILS
        _print_traceback()
        typer.echo("this is a fault of searchlab, not of yours; what was finished is kept", err=True)
        return 70
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        return 130
    return 0


def _complain(words: str) -> None:
    """Say what is wrong: what came from outside can neither show a password nor order the terminal about."""
    typer.echo("\n".join(map(printable, redacted(words).splitlines())), err=True)


def _print_traceback() -> None:
    typer.echo(redacted(traceback.format_exc()), err=True)


class _Sieve(logging.Filter):
    """What libraries and we ourselves log is looked through as everything else is."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        return True


def _of_disk(error: Exception) -> str | None:
    """What people can do about an error of the system; None for a fault of ours."""
    if not isinstance(error, OSError) or error.errno not in DISK:
        return None
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}. {DISK[error.errno]}; the same command then goes on"


def _close_databases() -> None:
    """Close what Optuna and MLflow keep open to the end, so that SQLite folds its write-ahead log into each file."""
    for thing in get_objects():
        if isinstance(thing, sqlite3.Connection):
            with contextlib.suppress(sqlite3.Error):
                thing.close()
