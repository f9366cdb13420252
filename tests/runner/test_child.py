"""A child: loads once, serves job after job, and knows nothing but the search data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from searchlab.data.prepare import load_search, prepare
from searchlab.executors import EXECUTORS, Death, Message, Pool, Slot
from searchlab.records import Checkpoints, Cohort, TrialResult
from searchlab.runner.messages import ENTRY, Epochs, Idle, Job, Leave, Left, Ready, Setup, Verdict
from searchlab.tasks import TASKS

sys.path.append(str(Path(__file__).parents[1] / "training"))

import tiny_problem as tiny


def setup_for(store: Path, *, prunes: bool, **changes: Any) -> Setup:
    """Prepared digits and what a child is told about them."""
    collection, _ = tiny.digits()
    prepared = prepare(collection, rule="stratified", validation=0.1, test=0.7, seed=0, store=store)
    found, splits = load_search(Path(prepared.folder))
    encoding = TASKS.get("image_classification").fit(found, splits.train)
    plan = tiny.plan(weights_folder=str(store / "weights"), **changes)
    return Setup(data=prepared.folder, encoding=encoding.to_json(), plan=plan, engine="fit", prunes=prunes)


@pytest.fixture
def pools() -> Iterator[list[Pool]]:
    """Pools to be closed at the end."""
    opened: list[Pool] = []
    yield opened
    for pool in opened:
        pool.close()


def start(pools: list[Pool], executor: str, setup: Setup, folder: Path) -> Pool:
    pool = EXECUTORS.get(executor).open([Slot(0)], entry=ENTRY, setup=setup, log_folder=str(folder / "logs"))
    pools.append(pool)
    return pool


def hear(pool: Pool, count: int = 1) -> list[Any]:
    """The next `count` things that the child says."""
    heard: list[Any] = []
    for _ in range(180):
        for item in pool.wait(1.0):
            assert isinstance(item, Message), item
            heard.append(item.content)
        if len(heard) >= count:
            break
    assert len(heard) == count, heard
    return heard


@pytest.mark.slow
def test_a_process_serves_job_after_job_and_waits_for_verdicts(tmp_path: Path, pools: list[Pool]) -> None:
    pool = start(pools, "local", setup_for(tmp_path, prunes=True), tmp_path)
    (ready,) = hear(pool)
    assert isinstance(ready, Ready)
    assert ready.backend in ("tensorflow", "jax", "torch") and ready.devices
    assert {"python", "searchlab", "keras", "numpy", ready.backend} <= set(ready.versions)
    for number in (0, 1):
        pool.send(0, Job(Cohort((tiny.trial(number),))))
        (said,) = hear(pool)
        assert isinstance(said, Epochs) and [(one.trial, one.epoch) for one in said.epochs] == [(number, 1)]
        assert pool.wait(0.3) == []  # it waits to be judged
        pool.send(0, Verdict(frozenset({0})))
        if number == 1:
            assert isinstance(hear(pool)[0], Epochs)
            pool.send(0, Verdict(frozenset()))
        result, idle = hear(pool, 2)
        assert isinstance(result, TrialResult)
        assert result.state == ("pruned" if number == 0 else "complete")
        assert isinstance(idle, Idle) and (idle.memory or 0) > 50 << 20
    assert (tmp_path / "weights" / "trial-0001.weights.npz").exists()


def test_without_pruning_nobody_waits(tmp_path: Path, pools: list[Pool]) -> None:
    pool = start(pools, "inline", setup_for(tmp_path, prunes=False, epochs=1), tmp_path)
    hear(pool)
    pool.send(0, Job(Cohort((tiny.trial(0), tiny.trial(1)))))
    assert [type(content) for content in hear(pool, 5)] == [Epochs, TrialResult, Epochs, TrialResult, Idle]


@pytest.mark.parametrize("prunes", [True, False])
def test_a13_a_child_that_is_asked_to_leave_keeps_a_checkpoint_and_another_one_goes_on(
    tmp_path: Path, pools: list[Pool], prunes: bool
) -> None:
    kept = Checkpoints(str(tmp_path / "checkpoints"), "s1", every=3600.0)
    setup = setup_for(tmp_path, prunes=prunes, epochs=200 if not prunes else 3, checkpoints=kept)
    pool = start(pools, "inline", setup, tmp_path)
    hear(pool)
    pool.send(0, Job(Cohort((tiny.trial(0),))))
    while not isinstance(hear(pool)[0], Epochs):
        pass
    pool.send(0, Leave())
    if prunes:
        pool.send(0, Verdict(frozenset()))
    said: list[Any] = []
    while not said or not isinstance(said[-1], Left | TrialResult):
        said += [item.content for item in pool.wait(1.0) if isinstance(item, Message)]
    assert isinstance(said[-1], Left)
    trained = 1 + len(said) - 1
    other = start(pools, "inline", setup, tmp_path)
    hear(other)
    other.send(0, Job(Cohort((replace(tiny.trial(0), attempt=2),))))
    for epoch in range(1, trained + 1):  # told again, as they were
        (again,) = hear(other)
        assert isinstance(again, Epochs) and again.epochs[0].epoch == epoch
        if prunes:
            other.send(0, Verdict(frozenset()))
    assert [path.name for path in Path(kept.folder).iterdir()] == ["trial-0000.ckpt"]


def test_a_child_at_rest_leaves_when_asked_to(tmp_path: Path, pools: list[Pool]) -> None:
    pool = start(pools, "inline", setup_for(tmp_path, prunes=False), tmp_path)
    hear(pool)
    pool.send(0, Leave())
    first = pool.wait(20.0)[0]
    assert isinstance(first, Message) and isinstance(first.content, Left)


def test_the_end_of_the_channel_is_the_child_s_own_end(tmp_path: Path, pools: list[Pool]) -> None:
    pool = start(pools, "inline", setup_for(tmp_path, prunes=True), tmp_path)
    hear(pool)
    pool.close()  # waits for it


def test_data_that_cannot_be_loaded_is_a_death_that_says_so(tmp_path: Path, pools: list[Pool]) -> None:
    setup = setup_for(tmp_path, prunes=True)
    setup["data"] = str(tmp_path / "elsewhere")
    pool = start(pools, "inline", setup, tmp_path)
    (death,) = pool.wait(20.0)
    assert isinstance(death, Death) and "elsewhere" in death.log_tail and "DataError" in death.reason


def test_a_setup_cannot_name_the_sealed_test() -> None:
    assert set(Setup.__annotations__) == {"data", "encoding", "plan", "engine", "prunes"}
