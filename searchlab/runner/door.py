"""The Python door: a study file as an object, for notebooks and scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from searchlab.records import StudyResult, TestScore, TrialRecord
from searchlab.reports.table import trials_frame
from searchlab.runner.check import check
from searchlab.runner.final_test import final_test
from searchlab.runner.home import Home
from searchlab.runner.outcome import result_of
from searchlab.runner.session import Outcome, run
from searchlab.runner.stored import open_study
from searchlab.runner.watch import Nobody, Watcher
from searchlab.shipped import find
from searchlab.spec import StudySpec
from searchlab.spec.load import load_study
from searchlab.training.champion import load_keras
from searchlab.training.quiet import load_quietly

if TYPE_CHECKING:
    import keras
    import pandas


@dataclass(frozen=True)
class Handle:
    """A study file that was read and checked."""

    spec: StudySpec

    @classmethod
    def load(cls, study: str | Path, *overrides: str) -> Handle:
        """Read and check `study`.

        Raises:
            SpecErrors: All faults together, each with its place.
        """
        spec = load_study(find(str(study)), overrides=overrides)
        check(spec)
        return cls(spec)

    def run(
        self, *, home: str | Path | None = None, watcher: Watcher | None = None, fork_of: str | None = None
    ) -> Result:
        """Run the study to its end (or go on with it), quietly unless a `watcher` looks on.

        A new study learns from the trials of the stored one named `fork_of`.

        Raises:
            DataError: The data cannot be read, split or learned from.
            StudyConflict: The stored study of this name differs in more than its budget.
        """
        place = Home.find(home)
        return Result(self.spec, place, run(self.spec, place, watcher or Nobody(), fork_of=fork_of))


@dataclass(frozen=True)
class Result:
    """What a study came to."""

    spec: StudySpec
    home: Home
    outcome: Outcome

    @property
    def study(self) -> StudyResult:
        """Everything, as plain data."""
        return self.outcome.result

    @property
    def best(self) -> TrialRecord | None:
        """The best complete trial; None when there is none."""
        return self.study.best

    @property
    def trials(self) -> pandas.DataFrame:
        """One row for each trial: number, state, value, seconds, every parameter, every metric."""
        return trials_frame(self.study)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.outcome.report

    def model(self) -> keras.Model:
        """The best model: raw inputs in, probabilities or values out.

        Raises:
            FileNotFoundError: No trial was completed.
        """
        if self.outcome.champion is None:
            raise FileNotFoundError(f"study {self.spec.name!r} has no complete trial, so it has no model")
        load_quietly()
        return load_keras(self.outcome.champion)

    def final_test(self, *, reason: str | None = None) -> TestScore:
        """Open the sealed test set for the best trial, once; `reason` opens it another time.

        Raises:
            SealBroken: It was opened before and no reason is given.
        """
        return final_test(self.spec.name, self.home, storage=self.spec.storage, reason=reason).score

    def refresh(self) -> StudyResult:
        """The study as the storage has it now."""
        return result_of(open_study(self.spec.name, self.home, self.spec.storage), self.home)
