"""The process between a supervisor and a Ray cluster, and the actors that it has there; the one door to Ray.

A broker runs as a child of the supervisor (`ray.py` says why), in two threads: one passes orders on, one listens to the
actors.  An actor holds a `local` pool of one child.  Both ends of the line between them watch the other: a broker takes
an actor for lost that is silent, and an actor that nobody has asked for news ends itself and its child first, so that a
trial never has two processes for long.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError

from searchlab import __version__
from searchlab.executors import Channel, Death, Node, Slot
from searchlab.executors._ray_orders import Close, Closed, Hand, Joined, Kill, News, Note, Opening, Refused, Restart
from searchlab.executors.local import Local

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds for which an actor waits for something to tell before it says that there is nothing."""

LOOK = 0.2
"""Seconds between looks at actors that were made meanwhile, or say nothing."""

SILENCE = 15.0
"""Seconds after which a silent actor is taken for lost.  Ray finds a node dead after 12 to 15 s, and says why."""

LONELY = 10.0
"""Seconds after which an actor that is not asked for news ends itself; less than SILENCE."""

HINT = float(os.environ.get("SEARCHLAB_RAY_HINT_SECONDS") or 20.0)
"""Seconds after which it is said that children wait for a place."""

PLACING = float(os.environ.get("SEARCHLAB_RAY_PLACING_SECONDS") or 300.0)
"""Seconds for which all children may be without a place: a cluster that grows needs minutes.  Fewer are for tests."""

FAREWELL = 5.0
"""Seconds that actors have for ending their children."""


class Relay:
    """The actor: a child on whatever node Ray has chosen, and the way to it."""

    def __init__(self) -> None:
        self._current: tuple[int, Any] | None = None
        self._asked = time.monotonic()

    def begin(self, opening: Opening, slot: Slot, generation: int) -> tuple[str, str, str]:
        """Start the child; the node's identifier and name, and what is wrong with it ("" for nothing)."""
        fault = _fault_of_node(opening)
        if not fault:
            self._opening, self._slot = opening, slot
            _see_modules(opening.python_path)
            try:
                self.restart(generation)
            except OSError as error:
                fault = f"cannot start a process: {error}"
            self._asked = time.monotonic()
            threading.Thread(target=self._watch, name="searchlab-watch", daemon=True).start()
        name = f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"
        return ray.get_runtime_context().get_node_id(), name, fault

    def restart(self, generation: int) -> None:
        """End the child, if there is one, and start another."""
        if self._current is not None:
            self._current[1].close()
        given = self._opening
        pool = Local().open(
            [self._slot], entry=given.entry, setup=pickle.loads(given.setup), log_folder=given.log_folder
        )
        self._current = generation, pool

    def hand(self, content: bytes) -> None:
        """Tell the child; one that is gone is not told."""
        assert self._current is not None
        with contextlib.suppress(BrokenPipeError):
            self._current[1].send(self._slot.number, pickle.loads(content))

    def kill(self, reason: str) -> None:
        """Kill the child."""
        assert self._current is not None
        self._current[1].kill(self._slot.number, reason)

    def listen(self) -> tuple[int, list[bytes]]:
        """What the child has said since, or how it ended; waits for a moment.  With the generation of that child."""
        assert self._current is not None
        generation, pool = self._current
        self._asked = time.monotonic()
        items = pool.wait(POLL)
        self._asked = time.monotonic()
        return generation, [pickle.dumps(item) for item in items]

    def close(self) -> None:
        """End the child."""
        if self._current is not None:
            self._current[1].close()

    def _watch(self) -> None:
        while time.monotonic() - self._asked < LONELY:
            time.sleep(LOOK)
        self.close()
        os._exit(1)


def _see_modules(folders: Sequence[str]) -> None:
    """Let the child find what the supervisor finds, after the node's own; Ray's copies of libraries come last."""
    own = str(Path(ray.__file__).parent)
    sys.path += [folder for folder in folders if folder not in sys.path]
    sys.path.sort(key=lambda folder: folder.startswith(own))


def _fault_of_node(opening: Opening) -> str:
    """Why this node cannot have a child of ours."""
    if not Path(opening.marker).exists():
        return (
            f"does not see {opening.log_folder}, where this study lives: all nodes must have that folder under the "
            "same path (a network file system); --home or SEARCHLAB_HOME names another place"
        )
    if opening.version != __version__:
        return f"has searchlab {__version__}, but this machine {opening.version}: all nodes must have the same"
    return ""


class _Place:
    """An actor as the broker knows it."""

    def __init__(self, opening: Opening, slot: Slot, generation: int) -> None:
        self.slot = slot
        self.generation = generation
        self.node = ""
        """Its node's identifier; empty while it has none."""
        self.node_name = ""
        self.heard = time.monotonic()
        made = ray.remote(
            num_cpus=slot.cpus,
            num_gpus=slot.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            concurrency_groups={"news": 1},
        )(Relay)
        self.actor: Any = made.remote()
        self.answer: Any = self.actor.begin.remote(opening, slot, generation)
        """What the actor was asked last."""

    def ask(self) -> None:
        """Ask for news."""
        self.answer = self.actor.listen.options(concurrency_group="news").remote()


class _Broker:
    """Passes on what supervisor and children say."""

    def __init__(self, channel: Channel, opening: Opening) -> None:
        self._channel = channel
        self._opening = opening
        self._lock = threading.RLock()
        self._places = {slot.number: _Place(opening, slot, 0) for slot in opening.slots}
        self._lost: set[int] = set()
        self._begun = self._lived = time.monotonic()
        self._hinted: set[bool] = set()
        self._is_over = False

    def serve(self) -> None:
        """Follow orders until the supervisor has heard enough, or is gone."""
        listener = threading.Thread(target=self._listen, name="searchlab-listen", daemon=True)
        listener.start()
        with contextlib.suppress(EOFError):
            while not isinstance(order := self._channel.receive(), Close):
                with self._lock:
                    self._follow(order)
        with self._lock:
            self._is_over = True
            places = tuple(place for number, place in self._places.items() if number not in self._lost)
        placed = [place for place in places if place.node]
        farewells = [place.actor.close.remote() for place in placed]
        if farewells:
            ray.wait(farewells, num_returns=len(farewells), timeout=FAREWELL)
        for place in places:
            ray.kill(place.actor)
        listener.join(FAREWELL)

    def _follow(self, order: Any) -> None:
        place = self._places[order.slot]
        is_lost = order.slot in self._lost
        match order:
            case Hand(_, content):
                if not is_lost:
                    place.actor.hand.remote(content)
            case Kill(slot, reason):
                if not is_lost and place.node:
                    place.actor.kill.remote(reason)
                elif not is_lost:
                    self._lose(place, reason, is_node_loss=False)
            case Restart(slot, generation):
                if is_lost:
                    self._lost.discard(slot)
                    self._places[slot] = _Place(self._opening, place.slot, generation)
                else:
                    place.generation = generation
                    place.actor.restart.remote(generation)
            case other:
                raise AssertionError(f"the supervisor said {other!r}")

    # Listening ---------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            while not self._is_over:
                with self._lock:
                    asked = {place.answer: place for place in self._places.values() if place.answer is not None}
                if not asked:
                    time.sleep(LOOK)
                elif ray.wait(list(asked), timeout=LOOK)[0]:
                    ready = ray.wait(list(asked), num_returns=len(asked), timeout=0)[0]  # all: none may seem silent
                    with self._lock:
                        for answer in ready:
                            self._hear(asked[answer])
                with self._lock:
                    self._look()
        except Exception as error:
            self._refuse(f"the Ray cluster fails us: {type(error).__name__}: {_last_line(error)}")
            raise

    def _hear(self, place: _Place) -> None:
        number = place.slot.number
        if self._is_over or self._places[number] is not place or number in self._lost:
            return
        answer, place.answer = place.answer, None
        try:
            said = ray.get(answer)
        except ActorUnavailableError as error:  # it may be there again, until it has been silent for too long
            log.info("slot %d: %s", number, error)
            return
        except RayActorError as error:
            log.warning("slot %d: %s", number, error)
            if _is_loss_of_node(place, error):
                self._lose(place, f"its node {place.node_name} is lost", is_node_loss=True)
            else:
                self._lose(place, f"its Ray actor died: {_last_line(error)}", is_node_loss=False)
            return
        except RayError as error:  # it cannot be made there
            self._refuse(f"a node of the Ray cluster cannot have children of searchlab: {_last_line(error)}")
            return
        place.heard = time.monotonic()
        if place.node:
            generation, items = said
            for item in items:
                self._channel.send(News(number, generation, item))
        else:
            place.node, place.node_name, fault = said
            if fault:
                self._refuse(f"node {place.node_name} of the Ray cluster {fault}.")
                return
            log.info("slot %d is on node %s", number, place.node_name)
        place.ask()

    def _look(self) -> None:
        """Notice who is silent, and whether there is room for the children."""
        now = time.monotonic()
        living = [place for number, place in self._places.items() if number not in self._lost]
        for place in living:
            if place.node and now - place.heard > SILENCE:
                self._lose(place, f"its node {place.node_name} is silent for {SILENCE:.0f} s", is_node_loss=True)
            elif place.node and place.answer is None and now - place.heard > POLL:
                place.ask()
        waiting = [place for place in living if not place.node]
        if len(waiting) < len(living):
            self._lived = now
        if waiting and now - min(place.heard for place in waiting) > HINT:
            self._hint(waiting, others=len(waiting) < len(living))
        if waiting and now - max(self._lived, self._begun) > PLACING:
            self._refuse(f"{self._wish(waiting)} for {PLACING:.0f} s, and no other is left")

    def _hint(self, waiting: list[_Place], *, others: bool) -> None:
        """Say once that some wait for a place, and once that all do."""
        if others not in self._hinted:
            self._hinted.add(others)
            end = "the others go on, and these begin when there is room" if others else "they begin when there is room"
            self._channel.send(Note(f"{self._wish(waiting)} yet; {end}"))

    def _wish(self, waiting: list[_Place]) -> str:
        slot = waiting[0].slot
        share = f"{slot.cpus:g} CPU" + (f" and {slot.gpus:g} GPU" if slot.gpus else "")
        return (
            f"the Ray cluster has had no room for {len(waiting)} of {len(self._places)} children "
            f"({share} each; execution.workers, threads and gpus say so)"
        )

    def _lose(self, place: _Place, reason: str, *, is_node_loss: bool) -> None:
        number = place.slot.number
        self._lost.add(number)
        place.answer = None
        ray.kill(place.actor)
        death = Death(number, reason, is_node_loss=is_node_loss)
        self._channel.send(News(number, place.generation, pickle.dumps(death)))

    def _refuse(self, words: str) -> None:
        self._is_over = True
        self._channel.send(Refused(words))


def _is_loss_of_node(place: _Place, error: RayActorError) -> bool:
    """Whether the node is gone too, or we were out of touch for so long that the actor ended itself."""
    if "its node has died" in str(error) or time.monotonic() - place.heard > LONELY:
        return True
    return bool(place.node) and place.node not in {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def _nodes() -> tuple[Node, ...]:
    """The machines of the cluster that live."""
    return tuple(
        Node(
            name=node["NodeManagerAddress"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            memory=int(node["Resources"].get("memory", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    )


def main(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Join the cluster at `setup["address"]` and serve the supervisor at the other end of `channel`."""
    try:
        ray.init(address=setup["address"], log_to_driver=False, logging_level="error")
        channel.send(Joined(_nodes()))
    except Exception as error:  # of many kinds
        traceback.print_exc()
        channel.send(
            Refused(
                f'cannot join a Ray cluster at {setup["address"]!r} (execution.address: "auto" for the one that this '
                f"machine is a node of, or HOST:PORT): {_last_line(error).rstrip('.')}"
            )
        )
        return
    with contextlib.suppress(EOFError):
        opening = channel.receive()
        _Broker(channel, opening).serve()
        ray.shutdown()
        channel.send(Closed())
