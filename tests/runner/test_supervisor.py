"""The loop: hands out, judges, tells, buries the dead, keeps the best weights, stops when asked.  No Keras here."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from searchlab.errors import DeviceMissing, ServiceError
from searchlab.executors import Death, Message
from searchlab.records import Cause, Cohort, Epoch, Objective, Trial, TrialRecord, TrialResult
from searchlab.runner import supervisor as module
from searchlab.runner.failures import DEATHS_AT_REST, EQUAL_FAILURES
from searchlab.runner.messages import Epochs, Idle, Job, Leave, Left, Ready, Verdict
from searchlab.runner.patience import GROWTH
from searchlab.runner.supervisor import SHAPES_REMEMBERED, Limits, Shape, Supervisor
from searchlab.runner.watch import Nobody
from searchlab.space import Params

OBJECTIVE = Objective("val_accuracy", "maximize")


@dataclass
class ScriptedStudy:
    """A study in memory that prunes the trials it is told to."""

    prune: frozenset[int] = frozenset()
    asked: int = 0
    told: dict[int, TrialResult] = field(default_factory=dict)
    reports: list[tuple[int, int, float]] = field(default_factory=list)
    alone: list[Trial] = field(default_factory=list)
    losses: dict[int, int] = field(default_factory=dict)
    wishes: list[tuple[Sequence[Shape], frozenset[Shape]]] = field(default_factory=list)

    elsewhere: list[int] = field(default_factory=list)
    """Trials of another supervisor, which dies: each look at them shortens the list, and the last one is reaped."""

    def ask_next(self, budget: int | None = None) -> Cohort:
        if self.alone:
            return Cohort((replace(self.alone.pop(0), attempt=2),))
        self.asked += 1
        return Cohort((Trial(self.asked - 1, Params({}), seed=self.asked),))

    def running(self) -> int:
        return len(self.elsewhere)

    def reap(self) -> tuple[int, ...]:
        lost, self.elsewhere = tuple(self.elsewhere), []
        self.retry_alone(lost)
        return lost

    def ask_cohort(
        self,
        most: int,
        *,
        left: int,
        is_value: Callable[[str], bool],
        budget: int | None,
        prefer: Sequence[Shape],
        avoid: Collection[Shape],
    ) -> Cohort:
        """Trials that were lost come back alone; the shape is the first one that is preferred, or a new one."""
        self.wishes.append((prefer, frozenset(avoid)))
        if self.alone:
            return Cohort((replace(self.alone.pop(0), attempt=2),))
        shape = dict(prefer[0]) if prefer and self.asked % 4 else {"width": self.asked}
        numbers = range(self.asked, self.asked + min(most, left))
        self.asked += len(numbers)
        return Cohort(tuple(Trial(number, Params({**shape, "rate": number}), seed=number) for number in numbers))

    def retry_alone(self, trial_numbers: Iterable[int]) -> None:
        self.alone += [Trial(number, Params({"width": -number}), seed=number) for number in trial_numbers]

    def retry(self, trial_number: int, attempts: int) -> bool:
        self.losses[trial_number] = self.losses.get(trial_number, 0) + 1
        if self.losses[trial_number] < attempts:
            self.retry_alone([trial_number])
        return self.losses[trial_number] < attempts

    def give_back(self, trial_numbers: Iterable[int]) -> None:
        self.retry_alone(trial_numbers)

    def judge(self, points: Sequence[tuple[int, int, float]]) -> frozenset[int]:
        self.reports.extend(points)
        return self.prune & {number for number, _, _ in points}

    def tell(self, result: TrialResult) -> bool:
        assert result.trial not in self.told, "a trial ends once"
        self.told[result.trial] = result
        return True

    def remaining(self, budget: int) -> int:
        return budget - self.asked + len(self.alone)

    def record(self, trial_number: int) -> TrialRecord:
        if trial_number not in self.told:
            return TrialRecord(Trial(trial_number, Params({}), 0, attempt=2), "waiting")
        result = self.told[trial_number]
        return TrialRecord(Trial(trial_number, Params({}), 0), result.state, result.value, result)


class ScriptedPool:
    """Children that answer a job by a script: `answer(trial, slot)` gives the messages, Verdicts are obeyed."""

    def __init__(self, answer: Any, slots: int = 1) -> None:
        self.answer = answer
        self.inbox: deque[Message | Death] = deque(Message(n, Ready({}, "none", ())) for n in range(slots))
        self.restarted: list[int] = []
        self.verdicts: list[frozenset[int]] = []
        self.jobs: list[tuple[int, Cohort]] = []
        self.killed: list[tuple[int, str]] = []

    def send(self, slot: int, content: Any) -> None:
        if isinstance(content, Verdict):
            self.verdicts.append(content.stop)
            return
        if isinstance(content, Leave):
            self.inbox.append(Message(slot, Left()))
            return
        assert isinstance(content, Job)
        self.jobs.append((slot, content.cohort))
        for item in self.answer(content.cohort.trials[0], slot):
            self.inbox.append(item)

    def wait(self, timeout: float) -> list[Message | Death]:
        return [self.inbox.popleft()] if self.inbox else []

    def kill(self, slot: int, reason: str) -> None:
        self.killed.append((slot, reason))
        self.inbox.append(Death(slot, reason, "where it was"))

    def restart(self, slot: int) -> None:
        self.restarted.append(slot)
        self.inbox.append(Message(slot, Ready({}, "none", ())))

    def close(self) -> None:
        self.inbox.clear()


class Kept:
    """A spool in memory."""

    def __init__(self) -> None:
        self.results: list[TrialResult] = []

    def put(self, result: TrialResult, curve: Mapping[int, float], trial: Trial | None) -> None:
        self.results.append(result)


class Recorder:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def trial_started(self, trial: Trial) -> None:
        self.seen.append(f"start {trial.number}")

    def epoch(self, epoch: Epoch, *, attempt: int = 1) -> None:
        self.seen.append(f"epoch {epoch.trial}.{epoch.epoch}")

    def trial_lost(self, trial_number: int, attempt: int) -> None:
        self.seen.append(f"lost {trial_number}/{attempt}")

    def trial_finished(self, record: TrialRecord) -> None:
        self.seen.append(f"{record.state} {record.trial.number}")


class Quick(Nobody):
    """A watcher that lets time pass, and may do something after so many looks."""

    def __init__(self, then: Callable[[], object] = lambda: None, after: int = -1) -> None:
        self._then = then
        self._left = after

    def tick(self) -> None:
        time.sleep(0.01)
        self._left -= 1
        if self._left == 0:
            self._then()


def good(trial: Trial, slot: int, *, weights: str | None = None) -> list[Message]:
    value = 0.5 + trial.number / 100
    return [
        Message(slot, Epochs((Epoch(trial.number, 1, {"val_accuracy": value}, 0.1),))),
        Message(slot, TrialResult(trial.number, "complete", value, best_epoch=1, epochs=1, weights=weights)),
        Message(slot, Idle()),
    ]


def supervisor(study: ScriptedStudy, pool: ScriptedPool, budget: int = 4, **changes: Any) -> Supervisor:
    settings: dict[str, Any] = {
        "objective": OBJECTIVE,
        "limits": Limits(budget),
        "prunes": True,
        "listeners": (),
        "watcher": Nobody(),
        "spool": Kept(),
        **changes,
    }
    return Supervisor(study=study, pool=pool, **settings)


def test_spends_exactly_the_budget() -> None:
    study, recorder = ScriptedStudy(), Recorder()
    assert supervisor(study, ScriptedPool(good, slots=3), budget=7, listeners=(recorder,)).run() == "done"
    assert sorted(study.told) == list(range(7))
    assert [line for line in recorder.seen if line.endswith(" 0") or "0." in line] == [
        "start 0",
        "epoch 0.1",
        "complete 0",
    ]


def test_trials_that_others_lose_are_trained_before_the_study_is_done() -> None:
    study, recorder = ScriptedStudy(asked=2, elsewhere=[0, 1]), Recorder()
    loop = supervisor(study, ScriptedPool(good), limits=Limits(6, lease=0.1))
    loop.listeners = (recorder,)
    assert loop.run() == "done"
    assert [words for words in recorder.seen if "lost" in words] == ["lost 0/1", "lost 1/1"]
    assert sorted(study.told) == [0, 1, 2, 3, 4, 5]


def test_a_helper_of_a_team_does_not_wait_for_the_trials_of_others() -> None:
    study = ScriptedStudy(asked=2, elsewhere=[0, 1])
    loop = supervisor(study, ScriptedPool(good), limits=Limits(6, lease=1e9), waits_for_others=False)
    assert loop.run() == "done"
    assert sorted(study.told) == [2, 3, 4, 5] and study.elsewhere == [0, 1]


def test_a_leader_without_children_asks_for_nothing_and_waits_for_what_runs_elsewhere() -> None:
    study = ScriptedStudy(asked=4, elsewhere=[0, 1])
    looks: list[int] = []

    def running() -> int:
        looks.append(len(study.elsewhere))
        if len(looks) > 1:
            study.elsewhere.clear()
        return len(study.elsewhere)

    study.running = running  # type: ignore[method-assign]
    assert supervisor(study, ScriptedPool(good, slots=0), workers=0).run() == "done"
    assert study.asked == 4 and not study.told and len(looks) == 2


def test_a_leader_without_children_ends_when_time_is_up_and_nothing_runs_elsewhere() -> None:
    study = ScriptedStudy(asked=1)
    assert (
        supervisor(study, ScriptedPool(good, slots=0), workers=0, limits=Limits(4, timeout=0.0)).run() == "out of time"
    )
    assert study.asked == 1


def test_one_who_is_asked_to_finish_brings_to_an_end_what_runs_and_asks_for_no_more() -> None:
    study, recorder = ScriptedStudy(), Recorder()
    loop = supervisor(study, ScriptedPool(good), budget=9, listeners=(recorder,))
    loop.wish = lambda: "finish" if len(study.told) > 2 else "go on"
    assert loop.run() == "out of time"
    assert sorted(study.told) == [0, 1, 2] and not loop.unfinished


def test_one_who_is_called_away_leaves_its_trials_to_others() -> None:
    study = ScriptedStudy()
    loop = supervisor(
        study, ScriptedPool(lambda trial, slot: [Message(slot, Left())] if trial.number == 1 else good(trial, slot))
    )
    loop.wish = lambda: "leave" if study.asked > 1 else "go on"
    assert loop.run() == "called away"
    assert [trial.number for trial in loop.unfinished] == [1]


def test_a_result_that_comes_too_late_is_not_counted_but_kept() -> None:
    """This supervisor was taken for dead, and another one has trained the trial."""
    study, recorder, spool = ScriptedStudy(), Recorder(), Kept()
    study.tell = lambda result: result.trial != 1  # type: ignore[method-assign]
    study.record = lambda number: TrialRecord(Trial(number, Params({}), 0), "complete", 0.5)  # type: ignore[method-assign]
    supervisor(study, ScriptedPool(good), budget=3, listeners=(recorder,), spool=spool).run()
    assert [words for words in recorder.seen if words.endswith((" 1", " 1/1"))] == ["start 1", "lost 1/1"]
    assert [result.trial for result in spool.results] == [0, 1, 2]


def test_a_late_result_is_not_that_of_the_attempt_which_was_begun_here_meanwhile() -> None:
    """Random faults, seed 2: a frozen leader took its own trial up again, and told of the second attempt twice."""
    study, recorder, spool = ScriptedStudy(), Recorder(), Kept()
    trial = Trial(0, Params({}), seed=1)
    second = replace(trial, attempt=2)
    study.ask_next = lambda budget=None: Cohort(())  # type: ignore[method-assign]
    both = supervisor(study, ScriptedPool(good), listeners=(recorder,), spool=spool)
    both._running = {0: {0: trial}, 1: {0: second}}
    for slot in (0, 1):
        (*_, ended, _) = good(trial, slot)
        both._take(ended)
    assert [words for words in recorder.seen if "epoch" not in words] == ["lost 0/1", "complete 0"]
    assert len(spool.results) == 1 and study.told.keys() == {0}


def test_an_end_that_others_bring_about_is_noticed() -> None:
    """Somebody else asks for the last trial between the look at the budget and the asking."""
    study = ScriptedStudy()

    def nothing(budget: int | None = None) -> Cohort:
        study.asked = 4
        return Cohort(())

    study.ask_next = nothing  # type: ignore[method-assign]
    assert supervisor(study, ScriptedPool(good), budget=4).run() == "done"
    assert study.told == {}


def test_every_epoch_is_reported_and_answered_with_the_verdict() -> None:
    study = ScriptedStudy(prune=frozenset({1}))
    pool = ScriptedPool(good)
    supervisor(study, pool, budget=3).run()
    assert pool.verdicts == [frozenset(), frozenset({1}), frozenset()]
    assert study.reports == [(0, 1, 0.5), (1, 1, 0.51), (2, 1, 0.52)]


def test_without_a_pruner_no_verdict_is_sent() -> None:
    pool = ScriptedPool(good)
    supervisor(ScriptedStudy(), pool, prunes=False).run()
    assert pool.verdicts == []


def dying(over: Callable[[Trial], bool], reason: str = "signal SIGKILL", log: str = "last words") -> Any:
    """Children that die over some trials."""
    return lambda trial, slot: [Death(slot, reason, log)] if over(trial) else list(good(trial, slot))


def test_a3_a_dead_child_is_replaced_and_its_trial_tried_again() -> None:
    study = ScriptedStudy()
    pool = ScriptedPool(dying(lambda trial: trial.number == 1 and trial.attempt == 1))
    assert supervisor(study, pool).run() == "done"
    assert pool.restarted == [0]
    assert [cohort.trials[0].number for _, cohort in pool.jobs] == [0, 1, 1, 2, 3]
    assert {result.state for result in study.told.values()} == {"complete"} and len(study.told) == 4


@pytest.mark.parametrize("reason", ["signal SIGSEGV", "exit status 0"])
def test_a15_a16_a_trial_that_always_kills_is_given_up_by_name_and_the_study_goes_on(reason: str) -> None:
    study = ScriptedStudy()
    pool = ScriptedPool(dying(lambda trial: trial.number == 1, reason))
    assert supervisor(study, pool, budget=6).run() == "done"
    assert pool.restarted == [0, 0, 0]
    assert study.told[1].state == "failed" and study.told[1].cause == "lost"
    assert reason in str(study.told[1].reason)
    assert study.told[1].detail == "last words"
    assert len(study.told) == 6


@pytest.mark.parametrize(
    ("reason", "words"),
    [("signal SIGABRT", "terminate called after throwing 'std::bad_alloc'"), ("exit status 1", "MemoryError")],
)
def test_e3_a_trial_too_large_for_the_host_is_not_tried_again(reason: str, words: str) -> None:
    study = ScriptedStudy()
    pool = ScriptedPool(dying(lambda trial: trial.number == 1, reason, words))
    assert supervisor(study, pool).run() == "done"
    assert pool.restarted == [0]
    assert (study.told[1].reason, study.told[1].cause) == ("out of memory", "memory")


def failing(over: Callable[[Trial], bool], cause: Cause) -> Any:
    """Children that live on and say of some trials that they failed, and why."""

    def answer(trial: Trial, slot: int) -> list[Message]:
        result = TrialResult(trial.number, "failed", None, reason=f"by {cause}", cause=cause)
        return [Message(slot, result), Message(slot, Idle())]

    return lambda trial, slot: answer(trial, slot) if over(trial) else good(trial, slot)


def test_weights_that_are_missing_cost_no_trial_and_pause_the_study() -> None:
    study, recorder = ScriptedStudy(), Recorder()
    watched = supervisor(study, ScriptedPool(failing(lambda trial: True, "missing")), listeners=(recorder,))
    assert watched.run() == "paused" and watched.pause_reason
    assert study.told == {} and [trial.number for trial in study.alone] == [0]
    assert [words for words in recorder.seen if "lost" in words] == ["lost 0/1"]


def test_e4_a_child_that_ran_out_of_memory_trains_nothing_more() -> None:
    study, pool = ScriptedStudy(), ScriptedPool(failing(lambda trial: trial.number == 1, "memory"))
    assert supervisor(study, pool).run() == "done"
    assert pool.restarted == [0]
    assert study.told[1].cause == "memory" and len(study.told) == 4


def test_e4_trials_that_do_not_fit_together_are_trained_alone() -> None:
    """A cohort whose arrays fill the device says nothing of its trials."""
    study = ScriptedStudy()

    def answer(trial: Trial, slot: int) -> list[Message]:
        cohort = pool.jobs[-1][1].trials
        if len(cohort) == 1:
            return good(trial, slot)
        full = [TrialResult(t.number, "failed", None, reason="out of memory", cause="memory") for t in cohort]
        return [*(Message(slot, result) for result in full), Message(slot, Idle())]

    pool = ScriptedPool(answer)
    loop = supervisor(study, pool, budget=3, limits=Limits(3, cohort=3), is_value=lambda name: name == "rate")
    assert loop.run() == "done"
    assert [len(cohort.trials) for _, cohort in pool.jobs] == [3, 1, 1, 1]
    assert {result.state for result in study.told.values()} == {"complete"} and len(study.told) == 3


def test_e6_a_child_without_its_gpu_is_ended_and_the_others_go_on() -> None:
    study, pool = ScriptedStudy(), ScriptedPool(failing(lambda t: t.number == 1 and t.attempt == 1, "device"), slots=2)
    assert supervisor(study, pool, budget=6, workers=2).run() == "done"
    assert len(pool.killed) == 1 and pool.restarted == []
    (lost,) = (slot for slot, _ in pool.killed)
    assert [slot for slot, cohort in pool.jobs if cohort.trials[0].number == 1] == [lost, 1 - lost]
    assert {result.state for result in study.told.values()} == {"complete"} and len(study.told) == 6
    assert study.losses == {}


def test_e6_without_a_gpu_left_the_run_ends() -> None:
    study, pool = ScriptedStudy(), ScriptedPool(failing(lambda trial: True, "device"), slots=2)
    with pytest.raises(DeviceMissing, match="no GPU is left to train on: by device"):
        supervisor(study, pool, workers=2).run()
    assert study.told == {} and len(pool.jobs) == 2


def test_e6_a_kernel_that_always_fails_is_given_up_like_one_that_kills() -> None:
    study, pool = ScriptedStudy(), ScriptedPool(failing(lambda trial: trial.number == 1, "lost"))
    assert supervisor(study, pool).run() == "done"
    assert pool.restarted == [0, 0, 0] and pool.killed == []
    assert study.told[1].cause == "lost" and "by lost" in str(study.told[1].reason)


@pytest.mark.parametrize(("needed", "seen"), [(True, False), (False, False), (False, True)])
def test_e7_a_gpu_that_a_child_does_not_see_is_missed_where_it_was_asked_for_or_seen_before(
    needed: bool, seen: bool, caplog: pytest.LogCaptureFixture
) -> None:
    study, pool = ScriptedStudy(), ScriptedPool(good)
    pool.inbox = deque([Message(0, Ready({}, "tensorflow", ("cpu:0",)))])
    loop = supervisor(study, pool, gpus={0: "GPU-7"}, needs_gpus=needed)
    if seen:
        loop.ready.append(Ready({}, "tensorflow", ("gpu:0",)))
    if needed or seen:
        with pytest.raises(DeviceMissing, match="GPU GPU-7 is there, but tensorflow sees cpu:0 only"):
            loop.run()
        assert pool.jobs == []
    else:
        assert loop.run() == "done" and "Training goes on without" in caplog.text


def test_children_that_die_over_everything_pause_the_study() -> None:
    study = ScriptedStudy()
    loop = supervisor(study, ScriptedPool(dying(lambda trial: True, "exit status 1", "boom")), budget=50)
    assert loop.run() == "paused"
    assert study.asked == EQUAL_FAILURES
    assert loop.pause_reason is not None and "boom" in loop.pause_reason


def test_lost_nodes_with_children_at_rest_do_not_pause_the_study() -> None:
    class Unlucky(ScriptedPool):
        def restart(self, slot: int) -> None:
            super().restart(slot)
            if len(self.restarted) < EQUAL_FAILURES:
                self.inbox = deque([Death(slot, "its node is lost", is_node_loss=True)])

    pool = Unlucky(good)
    pool.inbox = deque([Death(0, "its node is lost", is_node_loss=True)])
    assert supervisor(ScriptedStudy(), pool).run() == "done"
    assert len(pool.restarted) == EQUAL_FAILURES


def test_lost_nodes_are_no_fault_of_trials() -> None:
    lost = [Death(0, "its node is lost", is_node_loss=True)]
    times: Counter[int] = Counter()

    def answer(trial: Trial, slot: int) -> Any:
        times[trial.number] += 1
        return lost if times[trial.number] <= EQUAL_FAILURES else list(good(trial, slot))

    study, pool = ScriptedStudy(), ScriptedPool(answer)
    assert supervisor(study, pool).run() == "done"
    assert not study.losses and len(pool.restarted) == 4 * EQUAL_FAILURES
    assert {result.state for result in study.told.values()} == {"complete"} and len(study.told) == 4


def test_children_that_die_before_they_do_anything_pause_the_study() -> None:
    class Stillborn(ScriptedPool):
        def restart(self, slot: int) -> None:
            self.restarted.append(slot)
            self.inbox.append(Death(slot, "exit status 1", "No module named 'keras'"))

    pool = Stillborn(good)
    pool.inbox = deque([Death(0, "exit status 1", "No module named 'keras'")])
    loop = supervisor(ScriptedStudy(), pool)
    assert loop.run() == "paused"
    assert len(pool.restarted) == DEATHS_AT_REST - 1
    assert loop.pause_reason is not None and "keras" in loop.pause_reason


def silent_over(number: int, *, always: bool = True) -> Any:
    """Children that say nothing any more once they have the trial."""
    return lambda trial, slot: [] if trial.number == number and (always or trial.attempt == 1) else good(trial, slot)


@pytest.mark.parametrize("always", [True, False])
def test_a18_a_silent_child_is_ended_and_its_trial_tried_once_more(always: bool) -> None:
    study = ScriptedStudy()
    pool = ScriptedPool(silent_over(1, always=always))
    limits = Limits(4, stall_limit=0.05)
    assert supervisor(study, pool, limits=replace(limits), watcher=Quick()).run() == "done"
    assert all("silent for" in reason for _, reason in pool.killed) and len(pool.killed) == 1 + always
    assert study.told[1].state == ("failed" if always else "complete")
    assert study.told[1].cause == ("stalled" if always else None)
    assert len(study.told) == 4


def test_nobody_is_taken_for_silent_while_the_storage_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two children; what the second one says waits behind a storage that does not answer for longer than the limits."""
    monkeypatch.setattr(module, "PAUSES", (0.3,))
    study = ScriptedStudy()
    tell, failed = study.tell, []

    def away_once(result: TrialResult) -> None:
        if not failed:
            failed.append(result.trial)
            raise ServiceError("the storage does not answer")
        tell(result)

    study.tell = away_once  # type: ignore[method-assign]

    class Later(ScriptedPool):
        """What the second child says comes a look later than what the first says."""

        def wait(self, timeout: float) -> list[Message | Death]:
            items = super().wait(timeout)
            if items and items[0].slot == 1 and failed and not self.held:
                self.held = True
                self.inbox.appendleft(items[0])  # type: ignore[arg-type]
                return []
            return items

        held = False

    pool = Later(good, slots=2)
    limits = Limits(4, stall_limit=0.1, trial_timeout=0.2, epochs=9)
    assert supervisor(study, pool, limits=limits).run() == "done"
    assert pool.killed == [] and {result.state for result in study.told.values()} == {"complete"}


def test_silence_is_measured_against_the_longest_epoch() -> None:
    study = ScriptedStudy()
    slow = [Message(0, Epochs((Epoch(0, 1, {"val_accuracy": 0.5}, 1e6),))), *good(Trial(0, Params({}), 0), 0)[1:]]
    pool = ScriptedPool(lambda trial, slot: slow if trial.number == 0 else [])
    watcher = Quick(then=lambda: os.kill(os.getpid(), signal.SIGINT), after=20)
    assert supervisor(study, pool, limits=Limits(4, stall_limit=0.05), watcher=watcher).run() == "interrupted"
    assert pool.killed == []


def test_a21_a_trial_out_of_time_is_ended_where_it_is_and_keeps_its_value() -> None:
    def answer(trial: Trial, slot: int) -> list[Message]:
        epochs = [Message(slot, Epochs((Epoch(trial.number, e, {"val_accuracy": 0.5}, 0.6),))) for e in (1, 2)]
        return [*epochs, Message(slot, TrialResult(trial.number, "pruned", 0.5, epochs=2)), Message(slot, Idle())]

    study, pool = ScriptedStudy(), ScriptedPool(answer)
    assert supervisor(study, pool, limits=Limits(1, trial_timeout=1.0, epochs=9)).run() == "done"
    assert pool.verdicts == [frozenset(), frozenset({0})]
    told = study.told[0]
    assert (told.state, told.value, told.cause) == ("pruned", 0.5, "time")
    assert told.reason == "out of time at epoch 2: trained 1 s of 1"


def test_a21_the_last_epoch_is_not_too_late() -> None:
    def answer(trial: Trial, slot: int) -> list[Message]:
        return [Message(slot, Epochs((Epoch(0, 1, {"val_accuracy": 0.5}, 5.0),))), *good(trial, slot)[1:]]

    study, pool = ScriptedStudy(), ScriptedPool(answer)
    supervisor(study, pool, limits=Limits(1, trial_timeout=1.0, epochs=1)).run()
    assert pool.verdicts == [frozenset()] and study.told[0].state == "complete"


def test_a21_an_epoch_that_takes_longer_than_a_trial_may_is_ended_too() -> None:
    study, pool = ScriptedStudy(), ScriptedPool(silent_over(1))
    limits = Limits(3, trial_timeout=0.05, epochs=9)
    assert supervisor(study, pool, limits=limits, watcher=Quick()).run() == "done"
    assert (study.told[1].state, study.told[1].cause) == ("failed", "time")
    assert len(pool.killed) == 1 and len(study.told) == 3


def test_a_child_that_has_grown_is_replaced_between_two_trials() -> None:
    sizes = [100 << 20, 200 << 20, (101 << 20) + GROWTH, 100 << 20]

    def answer(trial: Trial, slot: int) -> list[Message]:
        return [*good(trial, slot)[:-1], Message(slot, Idle(sizes[trial.number]))]

    study, pool = ScriptedStudy(), ScriptedPool(answer)
    assert supervisor(study, pool).run() == "done"
    assert pool.restarted == [0] and len(study.told) == 4


def test_equal_failures_in_a_row_pause_the_study() -> None:
    def answer(trial: Trial, slot: int) -> list[Message]:
        return [
            Message(slot, TrialResult(trial.number, "failed", None, reason="no such column")),
            Message(slot, Idle()),
        ]

    study = ScriptedStudy()
    loop = supervisor(study, ScriptedPool(answer), budget=50)
    assert loop.run() == "paused"
    assert study.asked == EQUAL_FAILURES
    assert loop.pause_reason is not None and "no such column" in loop.pause_reason


def test_different_failures_do_not_pause_the_study() -> None:
    def answer(trial: Trial, slot: int) -> list[Message]:
        reason = f"diverged at epoch {trial.number}"
        return [Message(slot, TrialResult(trial.number, "failed", None, reason=reason)), Message(slot, Idle())]

    assert supervisor(ScriptedStudy(), ScriptedPool(answer), budget=20).run() == "done"


def test_asks_for_nothing_when_time_is_up_but_finishes_what_runs() -> None:
    study = ScriptedStudy()
    assert supervisor(study, ScriptedPool(good), limits=Limits(5, timeout=-1.0)).run() == "out of time"
    assert study.asked == 0


def test_the_first_interrupt_stops_the_loop_and_leaves_the_trial_unfinished() -> None:
    study = ScriptedStudy()

    def answer(trial: Trial, slot: int) -> list[Message]:
        if trial.number == 2:
            os.kill(os.getpid(), signal.SIGINT)
            return []
        return good(trial, slot)

    loop = supervisor(study, ScriptedPool(answer), budget=10)
    assert loop.run() == "interrupted"
    assert [trial.number for trial in loop.unfinished] == [2]
    assert sorted(study.told) == [0, 1]


def test_a13_children_leave_at_the_end_of_their_epochs_when_asked_to() -> None:
    """What they say until then counts: trial 2 ends after all, trial 3 does not."""
    study = ScriptedStudy()

    class Leaving(ScriptedPool):
        def send(self, slot: int, content: Any) -> None:
            if isinstance(content, Leave) and slot == 0:
                self.inbox.extend(good(Trial(2, Params({}), 0), 0)[:-1])
            super().send(slot, content)

    def answer(trial: Trial, slot: int) -> list[Message]:
        if trial.number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return [] if trial.number >= 2 else good(trial, slot)

    loop = supervisor(study, Leaving(answer, slots=2), budget=10)
    assert loop.run() == "interrupted"
    assert sorted(study.told) == [0, 1, 2]
    assert [trial.number for trial in loop.unfinished] == [3]


def test_a13_children_that_do_not_leave_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAREWELL", 0.05)

    class Deaf(ScriptedPool):
        def send(self, slot: int, content: Any) -> None:
            if not isinstance(content, Leave):
                super().send(slot, content)

    def answer(trial: Trial, slot: int) -> list[Message]:
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    loop = supervisor(ScriptedStudy(), Deaf(answer))
    assert loop.run() == "interrupted"
    assert [trial.number for trial in loop.unfinished] == [0]


def test_keeps_the_weights_of_the_best_trials_only(tmp_path: Path) -> None:
    def answer(trial: Trial, slot: int) -> list[Message]:
        path = tmp_path / f"{trial.number}.npz"
        path.touch()
        return good(trial, slot, weights=str(path))

    supervisor(ScriptedStudy(), ScriptedPool(answer), limits=Limits(6, keep_weights=2)).run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4.npz", "5.npz"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_handlers_are_given_back(number: int) -> None:
    before = signal.getsignal(number)
    supervisor(ScriptedStudy(), ScriptedPool(good)).run()
    assert signal.getsignal(number) is before


class CohortPool(ScriptedPool):
    """Children that answer for a whole cohort: `answer(cohort, slot)`."""

    def send(self, slot: int, content: Any) -> None:
        if isinstance(content, Job):
            self.jobs.append((slot, content.cohort))
            self.inbox.extend(self.answer(content.cohort, slot))
        else:
            super().send(slot, content)


def all_good(cohort: Cohort, slot: int) -> list[Message | Death]:
    """One epoch of all trials together, then each result."""
    epochs = tuple(Epoch(trial.number, 1, {"val_accuracy": trial.number / 100}, 0.1) for trial in cohort.trials)
    results = [TrialResult(trial.number, "complete", trial.number / 100) for trial in cohort.trials]
    return [Message(slot, Epochs(epochs)), *(Message(slot, result) for result in results), Message(slot, Idle())]


class TestCohorts:
    def loop(self, study: ScriptedStudy, pool: CohortPool, *, most: int, budget: int, workers: int = 1) -> Supervisor:
        limits = Limits(budget, cohort=most)
        return supervisor(study, pool, limits=limits, workers=workers, is_value=lambda name: name == "rate")

    def test_spend_exactly_the_budget_and_are_judged_together(self) -> None:
        study, pool = ScriptedStudy(prune=frozenset({1, 5})), CohortPool(all_good)
        assert self.loop(study, pool, most=4, budget=10).run() == "done"
        assert [len(cohort.trials) for _, cohort in pool.jobs] == [4, 4, 2]
        assert pool.verdicts == [frozenset({1}), frozenset({5}), frozenset()]
        assert sorted(study.told) == list(range(10))

    def test_leave_every_worker_its_share(self) -> None:
        study, pool = ScriptedStudy(), CohortPool(all_good, slots=2)
        assert self.loop(study, pool, most=16, budget=20, workers=2).run() == "done"
        sizes = [len(cohort.trials) for _, cohort in pool.jobs]
        assert sizes[:2] == [10, 10]
        pool = CohortPool(all_good, slots=2)
        assert self.loop(ScriptedStudy(), pool, most=16, budget=60, workers=2).run() == "done"
        sizes = [len(cohort.trials) for _, cohort in pool.jobs]
        assert sum(sizes) == 60 and sizes == sorted(sizes, reverse=True)
        assert sizes[0] == 16 and sizes[-1] == 1
        assert {slot for slot, _ in pool.jobs[-4:]} == {0, 1}

    def test_go_to_a_child_that_holds_their_shape(self) -> None:
        study, pool = ScriptedStudy(), CohortPool(all_good, slots=2)
        self.loop(study, pool, most=1, budget=80, workers=2).run()
        known: dict[int, list[Shape]] = {0: [], 1: []}
        for (prefer, avoid), (slot, cohort) in zip(study.wishes, pool.jobs, strict=True):
            assert list(prefer) == known[slot][:SHAPES_REMEMBERED]
            assert avoid == {shapes[0] for other, shapes in known.items() if other != slot and shapes}
            shape = cohort.trials[0].params.shape_key(lambda name: name == "rate")
            known[slot] = [shape, *(one for one in known[slot] if one != shape)]
        assert max(map(len, known.values())) > SHAPES_REMEMBERED

    def test_whose_child_dies_are_trained_again_one_by_one(self) -> None:
        def answer(cohort: Cohort, slot: int) -> list[Message | Death]:
            if 2 in {trial.number for trial in cohort.trials}:
                return [*all_good(cohort, slot)[:2], Death(slot, "signal SIGKILL", "last words")]
            return all_good(cohort, slot)

        study, pool, recorder = ScriptedStudy(), CohortPool(answer), Recorder()
        loop = self.loop(study, pool, most=4, budget=6)
        loop.listeners = (recorder,)
        assert loop.run() == "done"
        assert [[trial.number for trial in cohort.trials] for _, cohort in pool.jobs] == [
            [0, 1, 2, 3],
            [1],
            [2],
            [3],
            [4, 5],
        ]
        states = {number: result.state for number, result in study.told.items()}
        assert states == {0: "complete", 1: "complete", 2: "complete", 3: "complete", 4: "complete", 5: "complete"}
        assert [words for words in recorder.seen if "lost" in words] == ["lost 1/1", "lost 2/1", "lost 3/1"]

    def test_whose_child_dies_are_trained_alone_and_only_the_guilty_one_fails(self) -> None:
        def answer(cohort: Cohort, slot: int) -> list[Message | Death]:
            if 2 in {trial.number for trial in cohort.trials}:
                return [Death(slot, "signal SIGKILL", "last words")]
            return all_good(cohort, slot)

        study, pool = ScriptedStudy(), CohortPool(answer)
        assert self.loop(study, pool, most=4, budget=6).run() == "done"
        assert {number for number, result in study.told.items() if result.state == "failed"} == {2}
        assert len(study.told) == 6 and len(pool.restarted) == 1 + 3

    def test_under_way_are_unfinished_when_someone_asks_to_stop(self) -> None:
        def answer(cohort: Cohort, slot: int) -> list[Message | Death]:
            os.kill(os.getpid(), signal.SIGINT)
            return all_good(cohort, slot)[:2]

        loop = self.loop(ScriptedStudy(), CohortPool(answer), most=3, budget=10)
        assert loop.run() == "interrupted"
        assert [trial.number for trial in loop.unfinished] in ([0, 1, 2], [1, 2])

    def test_are_not_begun_when_time_is_up(self) -> None:
        study, pool = ScriptedStudy(), CohortPool(all_good)
        loop = self.loop(study, pool, most=3, budget=10)
        loop.limits = Limits(10, timeout=-1.0, cohort=3)
        assert loop.run() == "out of time"
        assert pool.jobs == []
