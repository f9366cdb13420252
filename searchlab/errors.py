"""Every error that searchlab raises on purpose, and the exit status each one ends the command line with.

    SearchlabError                     70  (a subclass says better)
    ├── SpecError                       2  one fault in a YAML file or an override: where, what, allowed, nearest
    │   ├── UnknownName                    no plugin, metric or key bears this name
    │   └── SpecErrors                     all faults of a spec together, one line each
    ├── DataError                       3  the data cannot be read, split or learned from
    │   └── MissingWeights                 those of a pretrained network are not here, or not its own
    ├── MissingExtra                    4  an optional library is not installed
    ├── ServiceError                    4  a storage or tracking server cannot be reached
    │   └── StorageLost                    a storage is gone or damaged: to ask again does not help
    ├── DeviceMissing                   4  the machine lacks a device that was asked for
    ├── StudyConflict                   5  the stored study is not the one that was asked for
    │   └── StudyBusy                      another process leads it
    ├── SealBroken                      6  the test set was opened before, or its ledger was changed
    ├── AllTrialsFailed                 7  there is nothing to choose from
    ├── ChildDied                      70  a training process ended without a result
    └── Interrupted                    75  stopped on request; the study can be resumed

Errors travel between processes, so `args` always rebuild them (tests/test_errors.py pickles every class).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a text that a person wrote.  `line` and `column` count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class SearchlabError(Exception):
    """The root.  `args` is always `(message, mark)`."""

    exit_code = 70

    def __init__(self, message: str, mark: Mark | None = None) -> None:
        super().__init__(message, mark)
        self.message = message
        self.mark = mark

    def __str__(self) -> str:
        return f"{self.mark}: {self.message}" if self.mark else self.message


class SpecError(SearchlabError):
    """One fault in what a person asked for."""

    exit_code = 2


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'a' or 'b'?`, with its leading blank, or nothing when no known name is near."""
    near = get_close_matches(name, list(known), n=2)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


class UnknownName(SpecError):
    """A name that nothing bears.  The message offers the nearest ones."""

    @classmethod
    def among(cls, known: Sequence[str], *, kind: str, name: str, mark: Mark | None = None) -> UnknownName:
        """The error for `name`, which should have been one of `known`; `kind` is a noun such as "schedule"."""
        known_names = ", ".join(known) or "none"
        return cls(f"no {kind} is called {name!r}.{nearest(name, known)} Known: {known_names}.", mark)


class SpecErrors(SpecError):
    """All the faults of a spec together: `str` gives one line each, in the order of their places."""

    def __init__(self, errors: Sequence[SpecError], mark: Mark | None = None) -> None:
        flat = [one for error in errors for one in (error.errors if isinstance(error, SpecErrors) else [error])]
        flat.sort(key=lambda error: (error.mark is None, error.mark or Mark(""), error.message))
        unique = list({str(error): error for error in flat}.values())
        super().__init__("\n".join(map(str, unique)))
        self.args = (unique, None)
        self.errors: tuple[SpecError, ...] = tuple(unique)


class DataError(SearchlabError):
    """The data cannot be read, split or learned from."""

    exit_code = 3


class MissingWeights(DataError):
    """The weights of a pretrained network are not here, or are not its own."""


class MissingExtra(SearchlabError):
    """An optional library is not installed."""

    exit_code = 4

    @classmethod
    def of(cls, extra: str, *, needed_for: str) -> MissingExtra:
        """The error that names the one command which mends it."""
        return cls(f"{needed_for} needs a library that is not installed: pip install 'searchlab[{extra}]'")


class ServiceError(SearchlabError):
    """A storage or a tracking server cannot be reached."""

    exit_code = 4


class StorageLost(ServiceError):
    """What held the studies is gone or damaged; to ask it again does not help."""


class DeviceMissing(SearchlabError):
    """The machine lacks a device that was asked for."""

    exit_code = 4


class StudyConflict(SearchlabError):
    """The stored study is not the one that was asked for."""

    exit_code = 5


class StudyBusy(StudyConflict):
    """Another process leads the study; it can be asked for again."""


class SealBroken(SearchlabError):
    """The test set was opened before, or the ledger that says so was changed."""

    exit_code = 6


class AllTrialsFailed(SearchlabError):
    """Not one trial of the study has a value."""

    exit_code = 7


class ChildDied(SearchlabError):
    """A training process ended without a result."""


class Interrupted(SearchlabError):
    """Stopped on request; nothing finished was lost and the study can be resumed."""

    exit_code = 75
