"""What counts as failures in a row."""

from __future__ import annotations

from searchlab.executors import Death
from searchlab.runner.failures import DEATHS_AT_REST, EQUAL_FAILURES, Failures


def forked(slot: int, server: int) -> Death:
    """A child that ended with its fork server."""
    return Death(slot, "signal SIGKILL, since the process that forks children ended", ended_with=server)


def test_children_that_end_with_their_fork_server_are_one_death() -> None:
    failures = Failures()
    assert failures.died(forked(0, server=70), ()) is None
    assert failures.died(forked(1, server=70), ()) is None
    assert failures.died(Death(0, "signal SIGKILL (out of memory?)"), ()) is None


def test_children_that_end_with_their_fork_server_over_trials_are_one_death() -> None:
    failures = Failures()
    for slot in range(EQUAL_FAILURES):
        assert failures.died(forked(slot, server=70), (slot,)) is None
    assert failures.died(Death(0, "signal SIGSEGV"), (9,)) is None


def test_fork_servers_that_end_one_after_another_pause_the_study() -> None:
    failures = Failures()
    whys = [failures.died(forked(slot, server=70 + turn), ()) for turn in range(DEATHS_AT_REST) for slot in (0, 1)]
    assert whys[: 2 * (DEATHS_AT_REST - 1)] == [None] * 2 * (DEATHS_AT_REST - 1)
    assert whys[-1] is not None and "one after another" in whys[-1]
