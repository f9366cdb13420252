"""A function that reports and asks, turned into a generator that yields and is sent answers.

Keras calls us back after each epoch, while an engine must yield.  Why a thread and not one `fit` call for each
epoch: setting up a `fit` and an `evaluate` costs 60 to 100 ms, as much as the whole epoch of a small network.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Abandoned(BaseException):
    """Raised in `report` when nobody listens any more; a BaseException, so that no handler takes it for an error."""


def handover(work: Callable[[Callable[[Item], bool]], Result]) -> Generator[Item | Result, bool, None]:
    """Run `work(report)` in a thread of its own: yield what it reports and at last what it returns.

    `report(item)` waits, and returns what the generator was sent for that item.  Errors of `work` are raised here.
    A generator that is closed early ends `work` at its next or present report.
    """
    said: queue.SimpleQueue[tuple[Item | None, Result | None, BaseException | None]] = queue.SimpleQueue()
    answers: queue.SimpleQueue[bool | None] = queue.SimpleQueue()

    def report(item: Item) -> bool:
        said.put((item, None, None))
        answer = answers.get()
        if answer is None:
            raise Abandoned
        return answer

    def run() -> None:
        try:
            said.put((None, work(report), None))
        except BaseException as error:
            said.put((None, None, error))

    thread = threading.Thread(target=run, name="searchlab-training", daemon=True)
    thread.start()
    try:
        while True:
            item, result, error = said.get()
            if error is not None:
                raise error
            if result is not None:
                yield result
                return
            assert item is not None
            answer = yield item
            answers.put(bool(answer))
    finally:
        answers.put(None)
        thread.join()
