"""What a trial needs to go on after its process has died: one checked file, and the one before it.

A file is a line of magic, a line with the SHA-256 of the rest, and an `.npz` of plain arrays: nothing that could run.
It holds the engine's arrays (weights, optimizer, random states), the weights of the best epoch, and the numbers of all
epochs, from which the account of the trial (best epoch, patience, the schedule's history) follows again.  Orders of
examples and learning rates are functions of (seed, epoch), so no generator's state is lost with a process.

Two attempts of one trial, of which one was wrongly taken for dead, may write the same file: both are whole, and equal.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from searchlab import atomic
from searchlab.data import Array
from searchlab.records import Checkpoints

log = logging.getLogger(__name__)

MAGIC = b"searchlab checkpoint 1\n"

SHARE = 0.02
"""The part of a training's time that writing checkpoints may take."""


@dataclass(frozen=True)
class Checkpoint:
    """A trial between two epochs."""

    epochs: tuple[tuple[Mapping[str, float], float], ...]
    """The metrics and the seconds of every epoch so far."""
    arrays: Mapping[str, Array]
    """The engine's own."""
    best: tuple[Array, ...] | None
    """The weights of the best epoch, where weights are kept."""


def path_of(folder: str | Path, trial: int) -> Path:
    """The newest checkpoint of trial `trial`."""
    return Path(folder) / f"trial-{trial:04d}.ckpt"


def paths_of(folder: str | Path, trial: int) -> tuple[Path, Path]:
    """The newest checkpoint of trial `trial`, and the one before."""
    newest = path_of(folder, trial)
    return newest, newest.with_suffix(".old.ckpt")


def remove(folder: str | Path, trials: Iterable[int]) -> None:
    """Remove the checkpoints of trials that have ended, those too that a kill has cut off."""
    for trial in trials:
        for path in (*paths_of(folder, trial), *atomic.left_of(path_of(folder, trial))):
            path.unlink(missing_ok=True)


class Keeper:
    """Writes the checkpoints of one trial, and finds those of an earlier attempt."""

    def __init__(self, policy: Checkpoints, trial: int, belongs: Mapping[str, str]) -> None:
        """`belongs` are the facts that a checkpoint must share with the trial to be of use to it."""
        self._policy = policy
        self._trial = trial
        self._belongs = {"study": policy.study, "trial": str(trial), **belongs}
        self._last = time.monotonic()
        self._cost = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the last one is so old, and writing so cheap beside training, that another shall be written."""
        if not self._policy.every:  # each epoch is asked for
            return True
        return time.monotonic() - self._last >= max(self._policy.every, self._cost / SHARE)

    def write(self, checkpoint: Checkpoint) -> bool:
        """Put `checkpoint` on the disk; on a full or broken one training goes on, and the last one stays."""
        begun = time.monotonic()
        newest, older = paths_of(self._policy.folder, self._trial)
        content = _packed(checkpoint, self._belongs)
        try:
            atomic.write_bytes(newest, content, keep=older)
        except OSError as error:
            log.warning("no checkpoint of trial %d could be written, the last one stays: %s", self._trial, error)
            return False
        finally:
            self._last = time.monotonic()
            self._cost = self._last - begun
        return True

    def read(self) -> Checkpoint | None:
        """The newest checkpoint of this trial that is whole and belongs to it; None when it has to begin anew."""
        for path in paths_of(self._policy.folder, self._trial):
            try:
                about, checkpoint = _unpacked(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError) as error:
                log.warning("the checkpoint %s cannot be used: %s", path, error)
                continue
            other = [name for name, held in self._belongs.items() if about.get(name) != held]
            if not other:
                return checkpoint
            differences = ", ".join(f"{name} {about.get(name)!r}, not {self._belongs[name]!r}" for name in other)
            log.warning("the checkpoint %s belongs to another training: %s", path, differences)
        return None


def _packed(checkpoint: Checkpoint, belongs: Mapping[str, str]) -> bytes:
    best = checkpoint.best
    about = {
        "belongs": dict(belongs),
        "epochs": [[dict(metrics), seconds] for metrics, seconds in checkpoint.epochs],
        "best": None if best is None else len(best),
    }
    arrays = {f"state:{name}": array for name, array in checkpoint.arrays.items()}
    arrays |= {f"best:{number}": array for number, array in enumerate(best or ())}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    content = file.getbuffer()
    return b"".join((MAGIC, hashlib.sha256(content).hexdigest().encode(), b"\n", content))


def _unpacked(content: bytes) -> tuple[Mapping[str, str], Checkpoint]:
    """What it belongs to, and the checkpoint.

    Raises:
        ValueError: It is no checkpoint, or not whole.
    """
    if not content.startswith(MAGIC):
        raise ValueError("it is no checkpoint of this version of searchlab, or not whole")
    digest, _, rest = content[len(MAGIC) :].partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        raise ValueError("its check sum is wrong")
    with np.load(io.BytesIO(rest), allow_pickle=False) as file:
        about = json.loads(file["about"].tobytes())
        arrays = {name.removeprefix("state:"): file[name] for name in file.files if name.startswith("state:")}
        best = None if about["best"] is None else tuple(file[f"best:{number}"] for number in range(about["best"]))
    epochs = tuple((metrics, float(seconds)) for metrics, seconds in about["epochs"])
    return about["belongs"], Checkpoint(epochs, arrays, best)


def numbered(name: str, arrays: Sequence[Array]) -> dict[str, Array]:
    """`arrays` under names that `listed` finds again."""
    return {f"{name}:{number}": np.asarray(array) for number, array in enumerate(arrays)}


def listed(name: str, arrays: Mapping[str, Array]) -> list[Array]:
    """The arrays that `numbered` named."""
    count = sum(1 for key in arrays if key.startswith(f"{name}:"))
    return [arrays[f"{name}:{number}"] for number in range(count)]


State = Callable[[], Mapping[str, Array]]
"""Gives an engine's arrays; called only when they are to be written."""
