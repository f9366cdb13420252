"""Children on the machines of a Ray cluster, which places them and shares out GPUs; a lost node costs an epoch at most.

Each slot is an actor with its share of cores and GPUs, and the actor has the child as a process beside it, just as
`local` does; so a child that crashes is noticed and replaced on its node, and only the children of a node that is gone
need another place.  All nodes must see the study's folder under the same path, which a marker file proves.

Why a broker, a process of ours that alone speaks with Ray (`_ray_broker.py`): a program that has joined Ray is ended by
it, without a word, a minute after the cluster's head is gone; an address that does not answer is tried for ever; and
Ray sets a handler for SIGTERM.  A supervisor must survive the first, give up the second and keep its own handlers.
When the supervisor dies so does the broker, and with it what Ray calls a job, with all its actors.

Why not Ray's tasks, queues and retries: the supervisor has all that, with budgets that stay exact.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from searchlab import __version__
from searchlab.errors import MissingExtra, ServiceError
from searchlab.executors import Cluster, Death, Message, Node, Pool, Slot
from searchlab.executors._inbox import Inbox
from searchlab.executors._ray_orders import Close, Closed, Hand, Joined, Kill, News, Note, Opening, Refused, Restart
from searchlab.executors.local import Child

log = logging.getLogger(__name__)

BROKER = "searchlab.executors._ray_broker:main"

JOINING = 60.0
"""Seconds that a cluster has for answering."""

CLOSING = 20.0
"""Seconds that a broker has for ending all children."""

CARRIED = ("KERAS_", "TF_", "XLA_", "JAX_", "SEARCHLAB_")
"""Variables that a child on another node inherits from the supervisor as one on this machine does."""


class _Cluster:
    """A `Cluster`, through a broker."""

    def __init__(self, address: str, log_folder: str) -> None:
        self._address = address
        self._inbox = Inbox()
        folder = Path(log_folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "ray-broker.log"
        first = {"entry": BROKER, "setup": {"address": address}}
        place = Slot(0, {"RAY_USAGE_STATS_ENABLED": "0"})
        self._broker: Child | None = Child(place, first, self._log, self._inbox.door(), None)
        try:
            self.nodes: tuple[Node, ...] = self._joined()
        except BaseException:
            self.leave()
            raise

    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        """See `Executor`."""
        return _Pool(self, slots, entry, setup, Path(log_folder).absolute())

    def leave(self) -> None:
        """See `Cluster`."""
        if self._broker is not None:
            self._broker.end()
            self._broker = None

    def say(self, content: Any) -> None:
        """Tell the broker; BrokenPipeError when it is gone."""
        if self._broker is None:
            raise BrokenPipeError("the Ray cluster was left")
        self._broker.hand(content)

    def hear(self, timeout: float) -> list[Any]:
        """What the broker has said; its end is a `Refused`."""
        return [
            item.content if isinstance(item, Message) else Refused(self._words_on(item))
            for item in self._inbox.take(timeout)
        ]

    def _joined(self) -> tuple[Node, ...]:
        until = time.monotonic() + JOINING
        while (left := until - time.monotonic()) > 0:
            for content in self.hear(left):
                if isinstance(content, Joined):
                    return content.nodes
                assert isinstance(content, Refused), content
                raise ServiceError(f"{content.words}. {self._log} has the details")
        raise ServiceError(
            f"the Ray cluster at {self._address!r} (execution.address) does not answer for {JOINING:.0f} s. "
            "Is its head running, and the port the one that `ray start --head` names?"
        )

    def _words_on(self, death: Death) -> str:
        return (
            f"the Ray cluster at {self._address!r} (execution.address) is out of reach: the process that speaks with "
            f"it ended ({death.reason}). {self._log} has the details"
        )


class _Pool:
    """A `Pool` whose children are spread over a cluster."""

    def __init__(
        self, cluster: _Cluster, slots: Sequence[Slot], entry: str, setup: Mapping[str, Any], folder: Path
    ) -> None:
        self._cluster = cluster
        self._generations = {slot.number: 0 for slot in slots}
        self._gone: set[int] = set()
        self._fault: str | None = None
        self._is_open = True
        folder.mkdir(parents=True, exist_ok=True)
        self._marker = folder / f".node-check-{uuid.uuid4().hex}"
        self._marker.touch()
        opening = Opening(
            slots=tuple(replace(slot, environment=_environment(slot)) for slot in slots),
            entry=entry,
            setup=pickle.dumps(dict(setup)),
            log_folder=str(folder),
            marker=str(self._marker),
            python_path=tuple(folder or os.getcwd() for folder in sys.path),
            version=__version__,
        )
        try:
            cluster.say(opening)
        except BrokenPipeError:
            log.debug("the broker ended; the next wait says so")

    def send(self, slot: int, content: Any) -> None:
        """See `Pool`."""
        if slot in self._gone:
            raise BrokenPipeError(f"child {slot} is gone")
        self._cluster.say(Hand(slot, pickle.dumps(content)))

    def wait(self, timeout: float) -> list[Message | Death]:
        """See `Pool`."""
        until = time.monotonic() + timeout
        items: list[Message | Death] = []
        while not items:
            if self._fault is not None:
                raise ServiceError(self._fault)
            left = until - time.monotonic()
            if left <= 0 and timeout > 0:
                break
            for content in self._cluster.hear(max(0.0, left)):
                items += self._take(content)
            if timeout <= 0:
                break
        return items

    def kill(self, slot: int, reason: str) -> None:
        """See `Pool`."""
        self._order(Kill(slot, reason))

    def restart(self, slot: int) -> None:
        """See `Pool`."""
        self._generations[slot] += 1
        self._gone.discard(slot)
        self._order(Restart(slot, self._generations[slot]))

    def close(self) -> None:
        """See `Pool`."""
        if not self._is_open:
            return
        self._is_open = False
        self._order(Close())
        until = time.monotonic() + CLOSING
        is_closed = self._fault is not None
        while not is_closed and (left := until - time.monotonic()) > 0:
            is_closed = any(isinstance(content, Closed | Refused) for content in self._cluster.hear(left))
        self._cluster.leave()
        self._marker.unlink(missing_ok=True)

    def _order(self, order: Any) -> None:
        try:
            self._cluster.say(order)
        except BrokenPipeError:
            log.debug("the broker ended; the next wait says so")

    def _take(self, content: Any) -> list[Message | Death]:
        match content:
            case News(slot, generation, item) if generation == self._generations[slot]:
                found: Message | Death = pickle.loads(item)
                if isinstance(found, Death):
                    self._gone.add(slot)
                return [found]
            case Note(words):
                log.warning("%s", words)
            case Refused(words):
                self._fault = words
        return []


def _environment(slot: Slot) -> dict[str, str]:
    """What the child in `slot` finds beside the environment of its node; which GPU it has, Ray says there."""
    carried = {name: value for name, value in os.environ.items() if name.startswith(CARRIED)}
    environment = {**carried, **slot.environment}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    return environment if slot.gpus else {**environment, "CUDA_VISIBLE_DEVICES": ""}


class Ray:
    """Children as actors of a Ray cluster."""

    def join(self, address: str, *, log_folder: str) -> Cluster:
        """See `Clustered`."""
        if importlib.util.find_spec("ray") is None:
            raise MissingExtra.of("ray", needed_for="the executor 'ray'")
        return _Cluster(address, log_folder)

    def open(self, slots: Sequence[Slot], *, entry: str, setup: Mapping[str, Any], log_folder: str) -> Pool:
        """See `Executor`; the cluster is the one that this machine belongs to, or that RAY_ADDRESS names."""
        return self.join("auto", log_folder=log_folder).open(slots, entry=entry, setup=setup, log_folder=log_folder)


EXECUTOR = Ray()
