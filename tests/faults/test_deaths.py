"""Processes that die or stop: supervisors, children, reapers (faults.md, A)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_lab import LEASE, NAME, Lab
from postgres import close_connections, url_of
from study_check import check_attempts, check_study, wait_for_silence


def running(lab: Lab) -> int:
    return sum(record.state == "running" for record in lab.records())


def test_A1_a_killed_worker_costs_an_epoch_at_most(lab: Lab) -> None:
    lab.script(seconds=0.3)
    leader = lab.lead()
    lab.until(lambda: (0, 1, 2) in lab.trained())
    leader.send(signal.SIGKILL)
    leader.wait()
    wait_for_silence(lab, 2.0)  # A2
    lab.script()
    assert lab.resume().wait() == 0
    check_study(lab, 4)
    check_attempts(lab)
    assert [record.trial.attempt for record in lab.records()] == [2, 1, 1, 1]
    assert lab.trained().count((0, 2, 1)) == 0


@pytest.mark.parametrize("deed", ["segfault", "exit0", "exit1", "kill"])
def test_A3_A15_a_dead_child_is_replaced_and_its_trial_goes_on(lab: Lab, deed: str) -> None:
    lab.script(_1=f"{deed}@3")
    leader = lab.lead()
    assert leader.wait() == 0
    words = {"segfault": "SIGSEGV", "kill": "SIGKILL"}.get(deed, f"exit status {deed[-1]}")
    assert "trial 1 lost its process" in leader.errors and words in leader.errors
    check_study(lab, 4)
    check_attempts(lab)
    assert [record.trial.attempt for record in lab.records()] == [1, 2, 1, 1]


CLAIMS = ("trial.claimed", "trial.sent", "trial.judged", "result.came", "result.spooled", "result.told")


@pytest.mark.parametrize("place", CLAIMS)
def test_A4_a_supervisor_killed_between_claim_and_tell_loses_nothing(lab: Lab, place: str) -> None:
    leader = lab.lead(fail=f"{place}@2")
    assert leader.wait() == -9
    assert lab.resume().wait() == 0
    check_study(lab, 4)
    attempts = [record.trial.attempt for record in lab.records()]
    assert max(attempts) == (1 if place in ("result.spooled", "result.told") else 2)


@pytest.mark.parametrize("place", ["reap.counted", "reap.released", "reap.done"])
def test_A5_a_reaper_killed_at_any_point_leaves_one_successor(lab: Lab, place: str) -> None:
    lab.lead(fail="trial.sent@2").wait()
    assert lab.resume(fail=place).wait() == -9
    assert lab.resume().wait() == 0
    check_study(lab, 4)
    assert [record.trial.attempt for record in lab.records()] == [1, 2, 1, 1]


def test_A6_a_worker_that_was_frozen_for_longer_than_its_lease_counts_once(lab: Lab) -> None:
    lab.script(seconds=0.3)
    leader = lab.lead("search.trials=12")
    lab.until(lambda: running(lab) == 1)
    worker = lab.help()
    lab.until(lambda: running(lab) == 2)
    held = [process for process in lab.processes() if process.pid == worker.process.pid]
    worker.send(signal.SIGSTOP)
    lab.until(lambda: any(record.trial.attempt == 2 for record in lab.records()), seconds=15)
    assert held
    worker.send(signal.SIGCONT)
    assert leader.wait() == 0 and worker.wait() == 0
    check_study(lab, 12)


def test_A7_two_renewals_that_do_not_come_cost_nothing(lab: Lab) -> None:
    lab.script(seconds=0.25)
    leader = lab.lead("search.trials=2", fail="lease.renewing:sleep=1.2@1")
    lab.until(lambda: running(lab) == 1)
    worker = lab.help()
    assert leader.wait() == 0 and worker.wait() == 0
    check_study(lab, 2)
    assert [record.trial.attempt for record in lab.records()] == [1, 1]


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A study on each kind of storage."""
    made = Lab(tmp_path, storage=None if request.param == "sqlite" else url_of("postgresql", tmp_path))
    yield made
    made.close()
    close_connections()


@pytest.mark.parametrize("hours", [1, -1])
def test_A19_a_worker_whose_clock_is_wrong_takes_nobody_for_dead_and_is_not_taken_for_dead(
    shared: Lab, hours: int
) -> None:
    """A19: leases count by the database's clock.

    Supervisors told each other apart by the wall clock at their start: after the machine's clock was set, each took the
    others for dead.
    """
    shared.script(seconds=1.5)
    leader = shared.lead("search.trials=8")
    shared.until(lambda: running(shared) == 1)
    worker = shared.help(**shared.with_clock(hours * 3600))
    shared.until(lambda: running(shared) == 2)
    shared.script(seconds=0.3)
    third = shared.help()
    assert leader.wait() == 0 and worker.wait() == 0 and third.wait() == 0
    assert "was lost" not in leader.errors + worker.errors + third.errors
    assert [record.trial.attempt for record in shared.records()] == [1] * 8
    check_study(shared, 8)


def test_A8_A9_many_workers_share_the_budget_exactly(lab: Lab) -> None:
    lab.script(seconds=0.02)
    leader = lab.lead("search.trials=12")
    lab.until(lambda: lab.records())
    second = lab.lead("search.trials=12")
    helpers = [lab.help() for _ in range(2)]
    assert leader.wait() == 0 and all(helper.wait() == 0 for helper in helpers)
    assert second.wait() == 5 and f"searchlab worker {NAME}" in second.errors
    check_study(lab, 12, statuses=(0, 5))


def test_A9_eight_supervisors_on_postgresql_share_fifty_trials_exactly(tmp_path: Path) -> None:
    eight = Lab(tmp_path, storage=url_of("postgresql", tmp_path))
    eight.script(seconds=0.1)
    try:
        leader = eight.lead("search.trials=50")
        eight.until(lambda: eight.records())
        helpers = [eight.help() for _ in range(7)]
        assert leader.wait(120) == 0 and [helper.wait(120) for helper in helpers] == [0] * 7
        check_study(eight, 50)
        assert [record.trial.attempt for record in eight.records()] == [1] * 50
    finally:
        eight.close()
        close_connections()


def test_A11_the_last_trial_of_a_killed_worker_is_taken_up_by_the_next_command(lab: Lab) -> None:
    lab.script(seconds=0.2)
    leader = lab.lead("search.trials=1")
    lab.until(lambda: (0, 1, 1) in lab.trained())
    leader.send(signal.SIGKILL)
    leader.wait()
    assert lab.resume().wait() == 0
    check_study(lab, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_A13_A14_a_signal_keeps_the_epoch_and_says_how_to_go_on(lab: Lab, number: signal.Signals) -> None:
    lab.script(seconds=0.4)
    leader = lab.lead("execution.checkpoint_seconds=1000")
    lab.until(lambda: (0, 1, 1) in lab.trained())
    begun = time.monotonic()
    leader.send(number)
    assert leader.wait(20) == 75
    assert time.monotonic() - begun < 20 and f"searchlab resume {NAME}" in leader.errors
    assert not lab.leases()
    lab.script()
    assert lab.resume().wait() == 0
    check_study(lab, 4)
    check_attempts(lab, repeated=0)


def test_A14_a_second_interrupt_stops_at_once_and_loses_nothing(lab: Lab) -> None:
    lab.script(seconds=0.2, _0="sleep@2")
    leader = lab.lead()
    lab.until(lambda: (0, 1, 1) in lab.trained())
    leader.send(signal.SIGINT)
    time.sleep(0.5)
    leader.send(signal.SIGINT)
    assert leader.wait(5) in (75, 130)
    lab.script()
    assert lab.resume().wait() == 0
    check_study(lab, 4, statuses=(0, 75, 130))


@pytest.mark.parametrize("place", ["leave.asked", "leave.giving"])
def test_A14_a_supervisor_killed_while_it_leaves_loses_nothing(lab: Lab, place: str) -> None:
    lab.script(seconds=0.2)
    leader = lab.lead(fail=place)
    lab.until(lambda: (0, 1, 1) in lab.trained())
    leader.send(signal.SIGTERM)
    assert leader.wait(20) == -9
    lab.script()
    assert lab.resume().wait() == 0
    check_study(lab, 4)


@pytest.mark.parametrize("place", ["child.ready", "child.epoch", "child.result", "trial.retried"])
def test_A3_a_process_killed_at_any_point_of_its_talk_loses_nothing(lab: Lab, place: str) -> None:
    lab.script(_1="segfault@2" if place == "trial.retried" else "")
    leader = lab.lead(fail=place, once=True)
    if place == "trial.retried":
        assert leader.wait() == -9
        leader = lab.resume()
    assert leader.wait() == 0
    check_study(lab, 4)
    check_attempts(lab)


@pytest.mark.parametrize("place", ["study.named", "study.defined", "study.remembered", "study.kept", "study.joined"])
def test_A20_a_study_whose_maker_was_killed_is_made_by_the_next_run(lab: Lab, place: str) -> None:
    assert lab.lead(fail=place).wait() == -9
    assert lab.lead().wait() == 0
    check_study(lab, 4)


@pytest.mark.parametrize("place", ["champion.made", "report.written", "champion.logged"])
def test_a_leader_killed_over_its_last_words_says_them_again(lab: Lab, place: str) -> None:
    assert lab.lead(fail=place).wait() == -9
    assert lab.resume().wait() == 0
    check_study(lab, 4)


@pytest.mark.parametrize("deed", ["sleep", "hold"])
def test_A18_a_child_that_says_nothing_is_ended_with_its_stacks_and_its_trial_tried_once_more(
    lab: Lab, deed: str
) -> None:
    """A18: a loader that sleeps for ever, and native code that lets no thread of ours run.

    The limit is three leases long: whoever else looks meanwhile must see a supervisor that lives.
    """
    lab.script(_1=f"{deed}@2")
    leader = lab.lead("search.trials=3", f"execution.stall_seconds={3 * LEASE:g}")
    lab.until(lambda: (1, 1, 1) in lab.trained())
    worker = lab.help()
    assert leader.wait() == 0 and worker.wait() == 0
    assert "silent for" in leader.errors and "trial 1 lost its process" in leader.errors
    assert "was lost: its supervisor is gone" not in leader.errors + worker.errors
    logs = "".join(path.read_text(errors="replace") for path in (lab.home / "studies" / NAME / "logs").rglob("*.log"))
    assert "noop_trials.py" in logs and "Current thread" in logs and "in _train" in logs
    check_study(lab, 3)
    check_attempts(lab)
    assert [record.trial.attempt for record in lab.records()] == [1, 2, 1]


def test_A18_a_trial_that_always_stalls_has_two_attempts(lab: Lab) -> None:
    """A18: so often a stall may be its own doing; the third time would cost another half hour."""
    lab.script(_1="sleep@2!")
    leader = lab.lead("search.trials=3", "execution.stall_seconds=1")
    assert leader.wait() == 0
    failed = lab.records()[1]
    assert failed.result is not None and failed.result.cause == "stalled" and failed.trial.attempt == 2
    check_study(lab, 3, failed=[1])
