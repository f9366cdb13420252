"""Named places at which a test may have the process fail; without SEARCHLAB_FAILPOINT nothing happens there.

    SEARCHLAB_FAILPOINT=result.spooled                  kill -9 at the first passing
    SEARCHLAB_FAILPOINT=child.epoch:sleep=2@3           sleep two seconds at the third passing in a process
    SEARCHLAB_FAILPOINT=a:raise,b:enospc@2              several

What to do is `kill`, `stop` (SIGSTOP), `sleep=SECONDS`, `raise` or `enospc` (a full disk).  With
SEARCHLAB_FAILPOINT_ONCE, a folder, each is done by one process only, whichever comes first.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from functools import cache
from pathlib import Path

from searchlab.errors import SpecError, UnknownName

VARIABLE = "SEARCHLAB_FAILPOINT"
ONCE = "SEARCHLAB_FAILPOINT_ONCE"

NAMES = (
    "study.named",
    "study.defined",
    "study.remembered",
    "study.kept",
    "study.joined",
    "trial.claimed",
    "trial.sent",
    "trial.judged",
    "result.came",
    "result.spooled",
    "result.told",
    "lease.renewing",
    "reap.counted",
    "reap.released",
    "reap.done",
    "trial.retried",
    "leave.asked",
    "leave.giving",
    "child.ready",
    "child.epoch",
    "child.result",
    "champion.made",
    "champion.logged",
    "report.written",
    "restore.named",
    "restore.made",
    "restore.planted",
    "gc.removed",
    "mlflow.sending",
    "mlflow.sent",
)
ACTIONS = ("kill", "stop", "sleep", "raise", "enospc")

_wanted = os.environ.get(VARIABLE)
_passings: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Fail here, if that is wanted."""
    if _wanted:
        _pass(name)


def parse(text: str) -> dict[str, tuple[str, float, int]]:
    """By name: what to do, for how many seconds, at which passing.

    Raises:
        SpecError: No such name or action; the message has the nearest ones.
    """
    found = {}
    for one in text.split(","):
        place, _, passing = one.strip().partition("@")
        name, _, deed = place.partition(":")
        action, _, seconds = (deed or "kill").partition("=")
        if name not in NAMES:
            raise UnknownName.among(NAMES, kind="failpoint", name=name)
        if action not in ACTIONS:
            raise UnknownName.among(ACTIONS, kind="action of a failpoint", name=action)
        try:
            found[name] = (action, float(seconds or 0.0), int(passing or 1))
        except ValueError:
            raise SpecError(f"{VARIABLE}: {one!r} is not of the form NAME:ACTION=SECONDS@PASSING") from None
    return found


@cache
def _plan() -> dict[str, tuple[str, float, int]]:
    return parse(_wanted or "")


def _pass(name: str) -> None:
    action, seconds, passing = _plan().get(name, ("", 0.0, 0))
    _passings[name] += 1
    if _passings[name] != passing or not _is_first(name):
        return
    if action == "sleep":
        time.sleep(seconds)
    elif action == "raise":
        raise RuntimeError(f"failpoint {name}")
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"failpoint {name}")
    else:
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)


def _is_first(name: str) -> bool:
    folder = os.environ.get(ONCE)
    if not folder:
        return True
    try:
        Path(folder, name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
