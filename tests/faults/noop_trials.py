"""An engine that trains nothing: epochs take as long as a script says, and fail as it says.  Not a test file.

What it reports is a function of (the trial's seed, the epoch) alone, so that a test knows every value beforehand.  The
script is a JSON file that NOOP_SCRIPT names: `{"seconds": 0.1, "trials": {"3": "segfault@2", "*": "raise@1!"}}`.  A
trial's deed is done before the end of that epoch ("@" alone: of every epoch), in its first attempt, or in all of them
with "!" at the end.  Every epoch that ended is a line of the file beside the script that is called `epochs.jsonl`.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from searchlab.data import SearchSplits
from searchlab.records import Cohort, TrainingPlan, Trial
from searchlab.tasks import Arrays, Encoding
from searchlab.training import Progress
from searchlab.training.account import Account

SCRIPT = "NOOP_SCRIPT"
LOG = "epochs.jsonl"


def value(seed: int, epoch: int) -> float:
    """The validation accuracy of a trial with this seed after this epoch; it grows from epoch to epoch."""
    best = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big") / 2**32
    return best * (1.0 - math.exp(-0.7 * epoch))


class ResourceExhaustedError(Exception):
    """As TensorFlow calls what a GPU says that has too little memory."""


class InternalError(Exception):
    """As TensorFlow calls what the driver of a GPU says."""


class UnimplementedError(Exception):
    """As TensorFlow calls kernels that it has not got."""


def _raise(error: BaseException) -> None:
    raise error


def _ask_for_memory() -> None:
    print("terminate called after throwing an instance of 'std::bad_alloc'", flush=True)
    os.abort()


def _hold() -> None:
    """Wait for ever in native code that lets no other thread of ours run, and that no signal wakes."""
    native, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(128)
    native.pthread_mutex_lock(mutex)
    native.pthread_mutex_lock(mutex)


DEEDS: dict[str, Callable[[], Any]] = {
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exit0": lambda: os._exit(0),
    "exit1": lambda: os._exit(1),
    "raise": lambda: _raise(ValueError("the moon is not a cheese")),
    "memory": lambda: _raise(MemoryError()),
    "gpu": lambda: _raise(ResourceExhaustedError("OOM when allocating tensor")),
    "ecc": lambda: _raise(
        InternalError("CUDA error: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered")
    ),
    "illegal": lambda: _raise(InternalError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")),
    "no_kernel": lambda: _raise(
        UnimplementedError("Determinism is not yet supported in GPU implementation of Bincount.")
    ),
    "chatter": lambda: print("word " * 50_000, flush=True),
    "bad_alloc": _ask_for_memory,
    "sleep": lambda: time.sleep(3600),
    "hold": _hold,
}
"""What a script may have a trial do."""

VALUES = {"nan": float("nan"), "infinite": float("inf"), "constant": 0.25}
"""What a script may have a trial report in place of its own value."""


class Noop:
    """The engine."""

    def train(self, cohort: Cohort, plan: TrainingPlan, encoding: Encoding, splits: SearchSplits[Arrays]) -> Progress:
        """See `searchlab.training.Engine`."""
        for trial in cohort.trials:
            yield from _train(trial, plan)


def _train(trial: Trial, plan: TrainingPlan) -> Progress:
    script = json.loads(Path(os.environ[SCRIPT]).read_text())
    account = Account(trial, plan, engine="noop")
    try:
        if account.resume() is not None:
            yield from account.replay()
        while not account.is_over:
            epoch = account.course.epochs + 1
            time.sleep(script.get("seconds", 0.0))
            number = value(trial.seed, epoch)
            deed = _deed(script, trial, epoch)
            if deed in DEEDS:
                DEEDS[deed]()
            number = VALUES.get(deed, number)
            metrics = {"loss": 1 - number, "accuracy": number, "val_loss": 1 - number, "val_accuracy": number}
            report = account.take(metrics, script.get("seconds", 0.0), lambda: lambda: [np.full(1, trial.number)])
            _note(trial, epoch)
            if report is not None:
                yield from account.report(report, dict)
        yield account.ended()
    except Exception as error:
        yield account.failed(error)


def _deed(script: dict[str, Any], trial: Trial, epoch: int) -> str:
    """What the script has the trial do at the end of this epoch; "" when that is nothing."""
    trials = script.get("trials", {})
    deed, _, when = trials.get(str(trial.number), trials.get("*", "")).partition("@")
    always = when.endswith("!")
    return deed if when.rstrip("!") in (str(epoch), "") and (always or trial.attempt == 1) else ""


def _note(trial: Trial, epoch: int) -> None:
    line = json.dumps(
        {"trial": trial.number, "attempt": trial.attempt, "epoch": epoch, "at": time.time(), "pid": os.getpid()}
    )
    with Path(os.environ[SCRIPT]).with_name(LOG).open("a") as log:
        log.write(line + "\n")  # one write: whole lines


ENGINE = Noop()
