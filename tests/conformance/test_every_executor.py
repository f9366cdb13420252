"""What holds for every executor, those not written yet included."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from searchlab.executors import EXECUTORS, Death, Message, Pool, Slot

sys.path += [str(Path(__file__).parents[1] / "executors"), str(Path(__file__).parents[1])]

from ray_cluster import RayCluster, needs_ray

Open = Callable[..., Pool]


ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}
"""The environment of children without a GPU, which an executor may make in a quicker way."""


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of one node."""
    cluster = RayCluster(cpus=4)
    yield cluster
    cluster.close()


MARKS = {
    "ray": (needs_ray, pytest.mark.skipif(os.environ.get("SEARCHLAB_RAY") != "all", reason="make ray runs it")),
}
"""What an executor needs on this machine."""

CASES = [
    pytest.param((name, environment), marks=MARKS.get(name, ()), id=f"{name}-{environment}")
    for name, environment in itertools.product(EXECUTORS.names(), ({}, ON_CPU))
    if (name, environment) != ("ray", ON_CPU)  # whose children are made in one way
]


@pytest.fixture(params=CASES)
def open_pool(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens pools of the executor under test and closes them at the end."""
    pools: list[Pool] = []
    name, environment = request.param
    if name == "ray":
        for variable, value in request.getfixturevalue("ray_cluster").environment.items():
            monkeypatch.setenv(variable, value)

    def opening(entry: str, *, children: int = 1, setup: dict[str, Any] | None = None) -> Pool:
        slots = [Slot(number, environment) for number in range(children)]
        executor = EXECUTORS.get(name)
        pools.append(executor.open(slots, entry=entry, setup=setup or {}, log_folder=str(tmp_path / "logs")))
        return pools[-1]

    yield opening
    for pool in pools:
        pool.close()


def collect(pool: Pool, count: int, seconds: float = 20.0) -> list[Message | Death]:
    """The next `count` things that arrive."""
    until = time.monotonic() + seconds
    found: list[Message | Death] = []
    while len(found) < count and time.monotonic() < until:
        found.extend(pool.wait(1.0))
    assert len(found) == count, found
    return found


def test_all_results_return_in_order(open_pool: Open) -> None:
    pool = open_pool("child_entries:echo", children=3, setup={"depth": 2})
    first = collect(pool, 3)
    assert sorted(item.slot for item in first) == [0, 1, 2]
    assert all(isinstance(item, Message) and item.content == ("setup", {"depth": 2}) for item in first)
    for number in range(50):
        for slot in range(3):
            pool.send(slot, (slot, number))
    answers = collect(pool, 150)
    for slot in range(3):
        heard = [item.content[1] for item in answers if isinstance(item, Message) and item.slot == slot]
        assert heard == [(slot, number) for number in range(50)]


def test_large_messages_pass_both_ways(open_pool: Open) -> None:
    pool = open_pool("child_entries:echo", setup={"blob": b"x" * 3_000_000})
    (hello,) = collect(pool, 1)
    assert isinstance(hello, Message) and len(hello.content[1]["blob"]) == 3_000_000
    pool.send(0, b"y" * 3_000_000)
    (answer,) = collect(pool, 1)
    assert isinstance(answer, Message) and answer.content == ("echo", b"y" * 3_000_000)


def test_waiting_for_nothing_ends_in_time(open_pool: Open) -> None:
    pool = open_pool("child_entries:echo")
    collect(pool, 1)
    begun = time.monotonic()
    assert pool.wait(0.2) == []
    assert 0.1 < time.monotonic() - begun < 2.0


def test_an_error_keeps_its_traceback(open_pool: Open) -> None:
    pool = open_pool("child_entries:obey")
    pool.send(0, "fail")
    _, death = collect(pool, 2)
    assert isinstance(death, Death)
    assert death.reason.startswith("exit status 1")
    assert "ValueError: the moon is not a cheese" in death.log_tail
    assert "child_entries.py" in death.log_tail


def test_a_child_that_leaves_without_being_asked_is_noticed(open_pool: Open) -> None:
    pool = open_pool("child_entries:obey")
    pool.send(0, "leave")
    _, death = collect(pool, 2)
    assert isinstance(death, Death) and death.reason == "exit status 0"


def test_sending_to_a_dead_child_says_so(open_pool: Open) -> None:
    pool = open_pool("child_entries:obey")
    pool.send(0, "leave")
    collect(pool, 2)
    with pytest.raises(BrokenPipeError):
        pool.send(0, "leave")


def test_a_restarted_child_starts_afresh_and_its_old_log_is_not_its_own(open_pool: Open) -> None:
    pool = open_pool("child_entries:obey", children=2)
    collect(pool, 2)
    pool.send(0, "fail")
    (death,) = collect(pool, 1)
    assert isinstance(death, Death) and death.slot == 0
    pool.restart(0)
    (hello,) = collect(pool, 1)
    assert isinstance(hello, Message) and hello.slot == 0
    pool.send(0, "leave")
    (second,) = collect(pool, 1)
    assert isinstance(second, Death) and "moon" not in second.log_tail
    pool.send(1, "leave")  # the other child was left alone
    (other,) = collect(pool, 1)
    assert other.slot == 1


def test_restarting_a_living_child_is_no_death(open_pool: Open) -> None:
    pool = open_pool("child_entries:obey", setup={"seconds": 1})
    collect(pool, 1)
    pool.send(0, "work")
    collect(pool, 1)
    pool.restart(0)
    (hello,) = collect(pool, 1)
    assert isinstance(hello, Message) and hello.content[0] == "pid"
    assert pool.wait(0.6) == []


def test_close_leaves_nothing(open_pool: Open) -> None:
    before = threading.active_count()
    pool = open_pool("child_entries:obey", children=2, setup={"seconds": 1})
    numbers = [item.content[1] for item in collect(pool, 2) if isinstance(item, Message)]
    pool.send(0, "work")
    collect(pool, 1)
    pool.close()
    for number in numbers:
        assert number == os.getpid() or not _lives(number)
    assert threading.active_count() <= before
    pool.close()  # a second time does no harm


def test_a_killed_child_is_noticed_at_once(open_pool: Open) -> None:
    pool = open_pool("child_entries:obey")
    (hello,) = collect(pool, 1)
    assert isinstance(hello, Message)
    number = hello.content[1]
    if number == os.getpid():
        pytest.skip("its children are threads, which nobody can kill")
    pool.send(0, "work")
    collect(pool, 1)
    begun = time.monotonic()
    os.kill(number, signal.SIGKILL)
    (death,) = collect(pool, 1)
    assert isinstance(death, Death) and death.reason == "signal SIGKILL (out of memory?)"
    assert time.monotonic() - begun < 2.0


def _lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").split(") ")[1][0] not in "ZX"
    except (OSError, IndexError):
        return False
