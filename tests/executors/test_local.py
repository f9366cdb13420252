"""What is special about children that are processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from searchlab.executors import EXECUTORS, Death, Message, Pool, Slot

HERE = str(Path(__file__).parent)
sys.path.append(HERE)


GPUS = pytest.mark.parametrize("gpu", ["0", "-1"], ids=["spawned", "forked"])
"""A child without a GPU is forked from a process that has loaded its libraries."""


@pytest.fixture(params=["0", "-1"], ids=["spawned", "forked"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pool]:
    """One obedient child."""
    slot = Slot(0, {"OMP_NUM_THREADS": "3", "PYTHONPATH": "own", "CUDA_VISIBLE_DEVICES": request.param})
    pool = EXECUTORS.get("local").open([slot], entry="child_entries:obey", setup={}, log_folder=str(tmp_path))
    yield pool
    pool.close()


def receive(pool: Pool) -> Message | Death:
    """The next thing that arrives."""
    for _ in range(20):
        if arrived := pool.wait(1.0):
            (item,) = arrived
            return item
    raise AssertionError("nothing came")


def hear(pool: Pool, count: int) -> list[Message | Death]:
    """The next things that arrive, together or one after another."""
    heard: list[Message | Death] = []
    for _ in range(20):
        heard += pool.wait(1.0)
        if len(heard) >= count:
            break
    assert len(heard) == count, heard
    return heard


def number_of(item: Message | Death) -> int:
    """The process number that a child told."""
    assert isinstance(item, Message)
    return int(item.content[1])


def lives(number: int) -> bool:
    """Whether there is such a process, zombies apart."""
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").split(") ")[1][0] not in "ZX"
    except (OSError, IndexError):
        return False


def gone_within(seconds: float, numbers: list[int]) -> bool:
    """Whether all these processes end in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(map(lives, numbers)):
            return True
        time.sleep(0.02)
    return False


def test_a_child_has_the_environment_of_its_slot(pool: Pool) -> None:
    receive(pool)
    pool.send(0, "environment")
    answer = receive(pool)
    assert isinstance(answer, Message)
    assert answer.content["OMP_NUM_THREADS"] == "3"
    assert answer.content["PYTHONPATH"] == "own"  # our way of telling it sys.path is not seen


def test_a_child_ignores_the_interrupt_that_its_supervisor_handles(pool: Pool) -> None:
    number = number_of(receive(pool))
    os.kill(number, signal.SIGINT)
    assert os.getpgid(number) == number  # and a Ctrl-C in the terminal does not even reach it
    pool.send(0, "environment")
    assert isinstance(receive(pool), Message)


def test_a_crash_names_its_signal_and_the_python_stack(pool: Pool) -> None:
    receive(pool)
    pool.send(0, "segfault")
    death = receive(pool)
    assert isinstance(death, Death) and death.reason == "signal SIGABRT"
    assert "about to fall" in death.log_tail and "child_entries.py" in death.log_tail


@pytest.mark.parametrize("work", ["work", "hold the interpreter"])
def test_a18_a_child_that_is_killed_says_where_it_was(pool: Pool, work: str) -> None:
    number = number_of(receive(pool))
    pool.send(0, work)
    receive(pool)
    pool.kill(0, "silent for 7 s")
    death = receive(pool)
    assert isinstance(death, Death) and death.reason == "silent for 7 s"
    assert "child_entries.py" in death.log_tail and "obey" in death.log_tail
    assert gone_within(2.0, [number])
    pool.restart(0)
    assert number_of(receive(pool)) != number


@pytest.mark.parametrize("end", ["kill", "close"])
def test_what_a_child_started_ends_with_it_and_cannot_hide_its_end(pool: Pool, end: str) -> None:
    number = number_of(receive(pool))
    pool.send(0, "have a child")
    grandchild = number_of(receive(pool))
    assert lives(grandchild)
    if end == "kill":
        os.kill(number, signal.SIGKILL)
        assert isinstance(receive(pool), Death)
    else:
        pool.close()
    assert gone_within(2.0, [number, grandchild])


@GPUS
def test_a_message_that_cannot_be_read_is_a_death_with_a_reason(tmp_path: Path, gpu: str) -> None:
    slots = [Slot(0, {"CUDA_VISIBLE_DEVICES": gpu})]
    pool = EXECUTORS.get("local").open(slots, entry="child_entries:unreadable", setup={}, log_folder=str(tmp_path))
    death = receive(pool)
    pool.close()
    assert isinstance(death, Death) and "RuntimeError: ouch" in death.reason


@pytest.mark.parametrize(
    ("thread", "order"),
    [
        ("main", "work"),
        ("other", "work"),
        pytest.param(
            "main",
            "hold the interpreter",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel of Linux"),
        ),
    ],
)
@GPUS
def test_children_end_with_their_supervisor_even_in_the_middle_of_work(
    tmp_path: Path, thread: str, order: str, gpu: str
) -> None:
    report = tmp_path / "report"
    call = f"child_entries.supervise({str(tmp_path)!r}, {str(report)!r}, {order!r}, {gpu!r})"
    if thread == "other":  # then the kernel's own signal is not used, and the channel must do
        call = f"import threading; t = threading.Thread(target=lambda: {call}); t.start(); t.join()"
    script = f"import sys; sys.path.append({HERE!r}); import child_entries; {call}"
    supervisor = subprocess.Popen([sys.executable, "-c", script])
    until = time.monotonic() + 20
    while not report.exists() and time.monotonic() < until:
        time.sleep(0.02)
    children = [int(word) for word in report.read_text(encoding="ascii").split()]
    assert len(children) == 2 and all(map(lives, children))
    supervisor.kill()
    supervisor.wait()
    assert gone_within(2.0, children)


def test_works_in_a_script_without_a_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import sys
sys.path.append({HERE!r})
from searchlab.executors import EXECUTORS, Slot
local = EXECUTORS.get("local")
pool = local.open([Slot(0)], entry="child_entries:echo", setup={{"a": 1}}, log_folder={str(tmp_path)!r})
print(pool.wait(20.0)[0].content)
pool.close()
""",
        encoding="utf-8",
    )
    (tmp_path / "queue.py").write_text("raise ImportError('a file of the user shadows the library')", encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, "-P", str(script)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert answer.stdout == "('setup', {'a': 1})\n"


needs_forks = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")


def forked(folder: Path, entry: str, *, children: int = 2) -> Pool:
    slots = [Slot(number, {"CUDA_VISIBLE_DEVICES": "-1"}) for number in range(children)]
    return EXECUTORS.get("local").open(slots, entry=entry, setup={}, log_folder=str(folder))


@needs_forks
def test_libraries_are_loaded_once_for_all_children(tmp_path: Path) -> None:
    pool = forked(tmp_path, "child_entries:loaded_by")
    try:
        heard = hear(pool, 2)
        pool.restart(0)
        heard.append(receive(pool))
        assert all(isinstance(item, Message) for item in heard)
        (loader,) = {item.content[1] for item in heard}  # type: ignore[union-attr]
        assert loader not in {item.content[2] for item in heard}  # type: ignore[union-attr]
    finally:
        pool.close()
    assert gone_within(2.0, [loader])


@needs_forks
def test_a_fork_server_that_dies_is_a_death_of_its_children_and_is_replaced(tmp_path: Path) -> None:
    pool = forked(tmp_path, "child_entries:loaded_by")
    try:
        first = hear(pool, 2)
        os.kill(first[0].content[1], signal.SIGKILL)  # type: ignore[union-attr]
        deaths = hear(pool, 2)
        assert all(isinstance(item, Death) and "forks children" in item.reason for item in deaths)
        (server,) = {item.ended_with for item in deaths}  # type: ignore[union-attr]
        assert server == first[0].content[1]  # type: ignore[union-attr]
        assert gone_within(2.0, [item.content[2] for item in first])  # type: ignore[union-attr]
        pool.restart(1)
        again = receive(pool)
        assert isinstance(again, Message) and again.content[1] != first[0].content[1]  # type: ignore[union-attr]
    finally:
        pool.close()


@needs_forks
def test_a_child_can_be_replaced_and_a_pool_closed_while_libraries_load(tmp_path: Path) -> None:
    pool = forked(tmp_path, "slow_entries:hello", children=1)
    try:
        pool.restart(0)
        hello = receive(pool)
        assert isinstance(hello, Message)
    finally:
        pool.close()
    begun = time.monotonic()
    forked(tmp_path, "slow_entries:hello").close()
    assert time.monotonic() - begun < 1.0


@needs_forks
def test_what_cannot_be_loaded_is_told_by_the_child(tmp_path: Path) -> None:
    pool = forked(tmp_path, "no_such_module:main", children=1)
    death = receive(pool)
    pool.close()
    assert isinstance(death, Death) and "No module named 'no_such_module'" in death.log_tail
