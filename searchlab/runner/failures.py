"""What failures mean: of a process, of a trial, and of many in a row."""

from __future__ import annotations

from collections.abc import Collection

from searchlab.executors import Death
from searchlab.records import Cause, TrialResult
from searchlab.training.faults import says_device_lost, says_out_of_memory

EQUAL_FAILURES = 5
"""So many trials in a row that fail with the same words, or whose children die, mean a wrong set-up."""

DEATHS_AT_REST = 3
"""So many children that die before they have anything to do mean the same."""

ABRUPT = ("signal SIGABRT", "exit status")
"""Ends that a process brings about itself, so that its log has the reason."""


def cause_of(death: Death) -> Cause:
    """Why a child died that nobody here has killed: "memory" or "device" where that can be told, else "lost"."""
    if not death.reason.startswith(ABRUPT):
        return "lost"
    if says_device_lost(death.log_tail):
        return "device"
    return "memory" if says_out_of_memory(death.log_tail) else "lost"


class Failures:
    """Counts what goes wrong in a row, and tells when to pause the study."""

    def __init__(self) -> None:
        self._reasons: list[str] = []
        self._deaths: list[frozenset[int]] = []
        self._ended_with: int | None = None

    def ended(self, result: TrialResult) -> str | None:
        """A trial has ended; why the study shall pause now, if it shall."""
        if result.state != "failed":
            self._reasons, self._deaths = [], []
            return None
        if result.cause == "infeasible":  # a fault of the space, not of the set-up
            return None
        self._reasons.append(result.reason or "failed")
        last = self._reasons[-EQUAL_FAILURES:]
        if len(last) < EQUAL_FAILURES or len(set(last)) > 1:
            return None
        return (
            f"{EQUAL_FAILURES} trials in a row failed with {last[-1]!r}; that is likely the set-up, not the parameters"
        )

    def died(self, death: Death, trials: Collection[int]) -> str | None:
        """A child died over `trials`, or over none; why the study shall pause now, if it shall."""
        if death.ended_with is not None and death.ended_with == self._ended_with and self._deaths:
            trials = self._deaths.pop() | frozenset(trials)  # what ended the child before has ended this one too
        self._ended_with = death.ended_with
        others = [before for before in self._deaths if not before or not before & frozenset(trials)]
        self._deaths = [*others, frozenset(trials)]
        if len(self._deaths) < EQUAL_FAILURES and self._deaths.count(frozenset()) < DEATHS_AT_REST:
            return None
        return f"{len(self._deaths)} training processes died one after another: {death.reason}\n{death.log_tail}"
