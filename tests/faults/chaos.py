"""Random faults on a schedule: who is killed or frozen when, and who starts it again.  Not a test file.

Why a deck of cards and not dice: so each seed brings every fault about before any comes a second time, and ten seeds
differ in their order, their distances and whom they meet.  The schedule is a function of the seed; which of several
processes a fault meets, and what that process is doing, is not.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, Protocol

import psutil
from fault_lab import Command, Lab

from searchlab.records import ENDED

Deed = Literal["kill", "freeze"]
Victim = Literal["leader", "worker", "child", "fork server", "postgres", "mlflow"]

CARDS: tuple[tuple[Deed, Victim], ...] = (
    ("kill", "leader"),
    ("kill", "worker"),
    ("kill", "child"),
    ("kill", "fork server"),
    ("kill", "postgres"),
    ("kill", "mlflow"),
    ("freeze", "leader"),
    ("freeze", "worker"),
    ("freeze", "child"),
    ("freeze", "postgres"),
    ("freeze", "mlflow"),
)
"""The deck.  Some freeze for longer than a lease lasts here, so that their trials are taken for lost."""

PAUSE = (1.0, 3.0)
"""Seconds between two faults."""

LASTS: dict[Deed, tuple[float, float]] = {"kill": (1.0, 3.0), "freeze": (1.0, 4.0)}
"""Seconds until what was killed is started again, and what was frozen goes on."""

PEACE = 90.0
"""Seconds that the study has for coming to its end once the faults have stopped."""


@dataclass(frozen=True)
class Fault:
    """One fault of a schedule."""

    at: float
    """Seconds after the first trial began."""
    deed: Deed
    victim: Victim
    lasts: float
    """Seconds."""
    which: float
    """Which one of several, in [0, 1)."""


def schedule(seed: int, seconds: float) -> tuple[Fault, ...]:
    """The faults of so many seconds."""
    draw = random.Random(seed)
    faults: list[Fault] = []
    deck: list[tuple[Deed, Victim]] = []
    at = draw.uniform(*PAUSE)
    while at < seconds:
        deck = deck or draw.sample(CARDS, len(CARDS))
        deed, victim = deck.pop()
        faults.append(Fault(at, deed, victim, draw.uniform(*LASTS[deed]), draw.random()))
        at += draw.uniform(*PAUSE)
    return tuple(faults)


class Service(Protocol):
    """A server that can be harmed: PostgreSQL's or MLflow's."""

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class Post:
    """A command that is to run until it says that it is done; one that ends otherwise is followed by another."""

    def __init__(self, name: str, start: Callable[[int], Command]) -> None:
        """`start` gets the number of the one that it starts, from 0 on."""
        self.name = name
        self._start = start
        self._count = itertools.count()
        self._due = 0.0
        self.command = start(next(self._count))

    @property
    def is_done(self) -> bool:
        """Whether it has ended well."""
        return self.command.process.poll() == 0

    def kill(self, seconds: float) -> None:
        """Kill it; nobody follows for so long."""
        self.command.send(signal.SIGKILL)
        self.command.wait()
        self._due = time.monotonic() + seconds

    def man(self) -> str:
        """Start another one where that is due; what happened, in words, or nothing."""
        status = self.command.process.poll()
        if status in (None, 0) or time.monotonic() < self._due:
            return ""
        self.command = self._start(next(self._count))
        self._due = time.monotonic() + 1.0
        return f"{self.name} had ended with {status}; {self.command.name} is started"


class Chaos:
    """A study with a leader and two workers, which must come to its end whatever befalls them and their servers."""

    def __init__(self, lab: Lab, services: Mapping[str, Service], *, trials: int) -> None:
        self._lab = lab
        self._services = services
        self._down: set[str] = set()
        self._mends: list[tuple[float, str, Callable[[], object]]] = []
        self._story: list[str] = []
        self._begun = time.monotonic()
        self._trials = f"search.trials={trials}"
        self._posts: dict[str, list[Post]] = {}

    def run(self, faults: Iterable[Fault]) -> None:
        """Bring `faults` about, then let the study end."""
        leader = Post("the leader", lambda number: self._lab.resume() if number % 2 else self._lab.lead(self._trials))
        self._lab.until(lambda: any(record.state == "running" for record in self._lab.records()))
        workers = [Post(f"worker {number}", lambda _: self._lab.help()) for number in (1, 2)]
        self._posts = {"leader": [leader], "worker": workers}
        self._begun = time.monotonic()
        coming = deque(faults)
        while (coming and not self._is_over) or self._mends:
            if coming and coming[0].at <= self._now:
                self._harm(coming.popleft())
            self._look_after()
        self._note(f"peace; {sum(record.state in ENDED for record in self._lab.records())} trials have ended")
        until = self._now + PEACE
        while not self._is_over:
            assert self._now < until, f"the study does not end\n{self._lab.tails()}"
            self._look_after()
        self._note(f"the end; attempts: {[record.trial.attempt for record in self._lab.records()]}")

    @contextmanager
    def told(self) -> Iterator[None]:
        """While inside, what fails says what had happened before."""
        try:
            yield
        except AssertionError as fault:
            raise AssertionError("\n".join([str(fault), "--- what happened", *self._story])) from None

    @property
    def _now(self) -> float:
        return time.monotonic() - self._begun

    @property
    def _is_over(self) -> bool:
        return all(post.is_done for posts in self._posts.values() for post in posts)

    def _note(self, words: str) -> None:
        self._story.append(f"{self._now:6.2f} s  {words}")

    def _look_after(self) -> None:
        """Mend what is due, and man the posts."""
        due = [mend for mend in self._mends if mend[0] <= self._now or self._is_over]
        self._mends = [mend for mend in self._mends if mend not in due]
        for _, words, mend in due:
            self._note(words)
            mend()
        for post in itertools.chain.from_iterable(self._posts.values()):
            words = post.man()
            if words:
                self._note(words)
        time.sleep(0.05)

    def _harm(self, fault: Fault) -> None:
        if fault.victim in self._services:
            self._harm_service(fault)
        elif fault.victim in self._posts:
            self._harm_post(fault)
        else:
            self._harm_below(fault)

    def _harm_service(self, fault: Fault) -> None:
        name, service = fault.victim, self._services[fault.victim]
        if name in self._down:
            self._note(f"{name} is down already")
        elif fault.deed == "kill":
            self._note(f"kill {name}")
            service.kill()
            self._down.add(name)

            def start() -> None:
                service.start()
                self._down.discard(name)

            self._later(fault, f"start {name}", start)
        else:
            self._note(f"freeze {name}")
            service.freeze()
            self._later(fault, f"thaw {name}", lambda: None if name in self._down else service.thaw())

    def _harm_post(self, fault: Fault) -> None:
        posts = self._posts[fault.victim]
        post = posts[int(fault.which * len(posts))]
        if post.command.process.poll() is not None:
            self._note(f"{post.name} is not there to {fault.deed}")
        elif fault.deed == "kill":
            self._note(f"kill {post.name}, {post.command.name}")
            post.kill(fault.lasts)
        else:
            command = post.command
            self._note(f"freeze {post.name}, {command.name}")
            command.send(signal.SIGSTOP)
            self._later(fault, f"thaw {command.name}", lambda: command.send(signal.SIGCONT))

    def _harm_below(self, fault: Fault) -> None:
        """A training process, or one that forks them."""
        found = [
            (post.command.name, process)
            for post in itertools.chain.from_iterable(self._posts.values())
            for process in self._below(post.command, fault.victim)
        ]
        if not found:
            self._note(f"there is no {fault.victim} to {fault.deed}")
            return
        whose, process = found[int(fault.which * len(found))]
        self._note(f"{fault.deed} a {fault.victim} of {whose}, process {process.pid}")
        with suppress(psutil.NoSuchProcess):
            if fault.deed == "kill":
                process.kill()
                return
            process.suspend()
        self._later(fault, f"thaw process {process.pid}", lambda: _resume(process))

    def _below(self, command: Command, victim: Victim) -> list[psutil.Process]:
        children = self._lab.children_of(command)
        if victim == "child":
            return children
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(command.process.pid).children()
        return []

    def _later(self, fault: Fault, words: str, mend: Callable[[], object]) -> None:
        self._mends.append((self._now + fault.lasts, words, mend))


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()
