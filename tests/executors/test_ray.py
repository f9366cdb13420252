"""What is special about children on a Ray cluster."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from ray_cluster import RayCluster, free_port, needs_ray

from searchlab.errors import MissingExtra, ServiceError
from searchlab.executors import EXECUTORS, Death, Message, Pool, Slot, ray

pytestmark = pytest.mark.skipif(
    os.environ.get("SEARCHLAB_RAY") != "all",
    reason="takes minutes; make ray runs it, make test runs the conformance suite",
)

Open = Callable[..., Pool]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """One node of four cores and two GPUs, which are not there."""
    made = RayCluster(cpus=4, gpus=2)
    yield made
    made.close()


@pytest.fixture
def open_pool(cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens pools of obedient children and closes them at the end."""
    pools: list[Pool] = []
    for variable, value in cluster.environment.items():
        monkeypatch.setenv(variable, value)

    def opening(*slots: Slot) -> Pool:
        folder = str(tmp_path / "logs")
        pools.append(EXECUTORS.get("ray").open(slots, entry="child_entries:obey", setup={}, log_folder=folder))
        return pools[-1]

    yield opening
    for pool in pools:
        pool.close()


def receive(pool: Pool, count: int = 1, seconds: float = 30.0) -> list[Any]:
    """The next `count` messages' contents or deaths, by slot."""
    until = time.monotonic() + seconds
    found: list[Message | Death] = []
    while len(found) < count and time.monotonic() < until:
        found += pool.wait(1.0)
    assert len(found) == count, found
    found.sort(key=lambda item: item.slot)
    return [item.content if isinstance(item, Message) else item for item in found]


@needs_ray
def test_children_share_gpus_as_their_slots_say(open_pool: Open) -> None:
    half = {"CUDA_VISIBLE_DEVICES": "of another machine"}
    pool = open_pool(*(Slot(number, half, cpus=0.5, gpus=0.5) for number in range(4)), Slot(4, cpus=1.0))
    receive(pool, 5)
    for number in range(5):
        pool.send(number, "environment")
    seen = [environment["CUDA_VISIBLE_DEVICES"] for environment in receive(pool, 5)]
    assert sorted(seen[:4]) == ["0", "0", "1", "1"]
    assert seen[4] == ""


@needs_ray
def test_a_child_on_a_node_has_the_variables_of_its_supervisor(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pool = open_pool(Slot(0, {"OMP_NUM_THREADS": "3"}))
    receive(pool)
    pool.send(0, "environment")
    (environment,) = receive(pool)
    assert environment["KERAS_BACKEND"] == "torch" and environment["OMP_NUM_THREADS"] == "3"


@needs_ray
def test_an_actor_that_is_killed_is_no_lost_node_and_takes_its_child_along(open_pool: Open) -> None:
    pool = open_pool(Slot(0))
    ((_, number),) = receive(pool)
    child = psutil.Process(number)
    begun = time.monotonic()
    os.kill(child.ppid(), signal.SIGKILL)
    (death,) = receive(pool)
    assert isinstance(death, Death) and not death.is_node_loss and "actor died" in death.reason
    assert time.monotonic() - begun < 5.0
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()
    pool.restart(0)
    ((_, another),) = receive(pool)
    assert another != number


@needs_ray
def test_a_child_that_is_killed_over_ray_says_where_it_was(open_pool: Open) -> None:
    pool = open_pool(Slot(0))
    receive(pool)
    pool.send(0, "work")
    receive(pool)
    pool.kill(0, "silent for 7 s")
    (death,) = receive(pool)
    assert death.reason == "silent for 7 s" and "obey" in death.log_tail


@needs_ray
def test_children_without_room_are_named_once_and_begin_when_there_is_some(
    open_pool: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SEARCHLAB_RAY_HINT_SECONDS", "1")
    pool = open_pool(*(Slot(number, cpus=3.0) for number in range(2)))
    until = time.monotonic() + 20
    arrived: list[Message | Death] = []
    words = "no room for 1 of 2 children (3 CPU each"
    while time.monotonic() < until and words not in caplog.text:
        arrived += pool.wait(1.0)
    assert words in caplog.text
    (first,) = arrived
    assert isinstance(first, Message)
    os.kill(psutil.Process(first.content[1]).ppid(), signal.SIGKILL)  # its actor makes room
    assert {type(item) for item in receive(pool, 2)} == {Death, tuple}
    assert caplog.text.count("the others go on") == 1


@needs_ray
def test_a_cluster_without_any_room_is_given_up(open_pool: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHLAB_RAY_PLACING_SECONDS", "1")
    pool = open_pool(Slot(0, cpus=99.0))
    with pytest.raises(ServiceError, match=r"no room for 1 of 1 children \(99 CPU each"):
        receive(pool, seconds=20)


@needs_ray
def test_a_node_that_does_not_share_the_folder_is_named(open_pool: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "touch", lambda self: None)  # a marker that other nodes do not see
    pool = open_pool(Slot(0))
    with pytest.raises(ServiceError, match=r"node .*127\.0\.0\.2.* does not see .*logs, .*SEARCHLAB_HOME"):
        receive(pool)


@needs_ray
def test_a_node_with_another_searchlab_is_named(open_pool: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "__version__", "0.0.7")
    pool = open_pool(Slot(0))
    with pytest.raises(ServiceError, match=r"this machine 0\.0\.7: all nodes must have the same"):
        receive(pool)


@needs_ray
def test_a_cluster_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "JOINING", 2.0)
    address = f"127.0.0.2:{free_port('127.0.0.2')}"
    before = psutil.Process().children()
    begun = time.monotonic()
    with pytest.raises(ServiceError, match=f"{address}.*does not answer"):
        EXECUTORS.get("ray").join(address, log_folder=str(tmp_path))
    assert time.monotonic() - begun < 10
    assert psutil.Process().children() == before


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else found(name))
    with pytest.raises(MissingExtra, match=r"pip install 'searchlab\[ray\]'"):
        EXECUTORS.get("ray").join("auto", log_folder=str(tmp_path))
