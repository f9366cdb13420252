"""What the children of the executor tests do.  Not a test file: an executor imports it by name."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from searchlab.executors import Channel


def echo(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Send the setup back, then everything that is said."""
    channel.send(("setup", dict(setup)))
    while True:
        channel.send(("echo", channel.receive()))


def obey(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Do what is said, one thing after another."""
    channel.send(("pid", os.getpid()))
    while True:
        order = channel.receive()
        if order == "leave":
            return
        if order == "fail":
            raise ValueError("the moon is not a cheese")
        if order == "segfault":
            print("about to fall", flush=True)
            os.abort()
        if order == "environment":
            channel.send(dict(os.environ))
        if order == "work":
            channel.send("working")
            until = time.monotonic() + setup.get("seconds", 60)
            while time.monotonic() < until:
                sum(range(1000))
        if order == "have a child":
            grandchild = os.fork()  # which holds our end of the channel too
            if grandchild == 0:
                time.sleep(60)
                os._exit(0)
            channel.send(("pid", grandchild))
        if order == "hold the interpreter":
            channel.send("working")
            ctypes.PyDLL(None).sleep(60)  # native code that lets no other thread of ours run


def unreadable(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Send something that only this process can rebuild."""
    channel.send(_Thorn())
    channel.receive()


class _Thorn:
    def __reduce__(self) -> tuple[Any, ...]:
        return (_prick, (os.getpid(),))


def _prick(home: int) -> str:
    if os.getpid() != home or threading.current_thread() is threading.main_thread():
        raise RuntimeError("ouch")
    return "soft"


loader: int | None = None


def load() -> None:
    """Note which process loaded this."""
    global loader
    loader = os.getpid()


def loaded_by(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Say who loaded, and who we are."""
    channel.send(("loaded", loader, os.getpid()))
    channel.receive()


def supervise(folder: str, report: str, order: str, gpu: str) -> None:
    """A supervisor with two busy children that never ends by itself; writes their process numbers to `report`."""
    from pathlib import Path

    from searchlab.executors import EXECUTORS, Message, Slot

    pool = EXECUTORS.get("local").open(
        [Slot(n, {"CUDA_VISIBLE_DEVICES": gpu}) for n in range(2)],
        entry="child_entries:obey",
        setup={"seconds": 60},
        log_folder=folder,
    )
    numbers: list[str] = []
    busy = 0
    while busy < 2:
        for item in pool.wait(1.0):
            if isinstance(item, Message) and item.content == "working":
                busy += 1
            elif isinstance(item, Message):
                numbers.append(str(item.content[1]))
                pool.send(item.slot, order)
    Path(report + ".part").write_text(" ".join(numbers), encoding="ascii")
    Path(report + ".part").rename(report)
    time.sleep(60)
