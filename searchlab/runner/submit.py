"""A study for a team: what its evaluator needs is sent there, and how it goes comes back.

Files and folders that the study names and that are here are sent once: what the team has got by its digest is not sent
again.  A whole path that is not here is one of the team's own data.
"""

from __future__ import annotations

import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from searchlab import atomic
from searchlab.config.writer import to_yaml
from searchlab.data.parcels import Parcel, pack
from searchlab.errors import DataError, Interrupted, ServiceError, SpecError, nearest
from searchlab.options import places
from searchlab.runner.check import check
from searchlab.spec import StudySpec
from searchlab.tracking.mlflow.accounts import Accounts
from searchlab.tracking.mlflow.inbox import OVER, STUDY_FILE, Answer, Mail

PACE = 1.0
"""Seconds between two questions how it goes."""

SILENCE = 60.0
"""Seconds without a word from the evaluator after which it is taken to be away."""

USER = r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}"
"""What a user may be called: it becomes a part of an experiment's name and of a ledger."""


def submit(spec: StudySpec, mail: Mail, *, priority: int = 0, say: Callable[[str], None]) -> str:
    """Send the study to the team; the request to follow.  `say` hears what takes a while.

    Raises:
        SpecErrors, DataError: The study cannot be sent as it is.
        ServiceError: The server cannot be reached, or nobody takes requests there.
    """
    checked = check(spec)
    with tempfile.TemporaryDirectory(prefix="searchlab-") as name:
        parcels = _parcels(spec, places(checked.source), Path(name), say)
        text = to_yaml(_content(spec, parcels))
        study = Path(name, STUDY_FILE)
        atomic.write_text(study, text)
        digests = [parcel.digest for parcel in parcels.values()]
        request = mail.ask("run", spec.name, stage="asking", digests=digests, priority=priority)
        wanted = _awaited(mail, request).content.get("send", ())
        for parcel in parcels.values():
            if parcel.digest in wanted:
                say(f"sending {parcel.name} ({_bytes(parcel.size)})")
                mail.send(request, parcel.file)
        mail.send(request, study)
        mail.post(request)
    return request


def follow(mail: Mail, request: str) -> Iterator[Answer]:
    """What the evaluator says of a request, each time it says something new, to the last word.

    Raises:
        ServiceError: Nobody takes it.
    """
    said: Answer | None = None
    heard = time.monotonic()
    while said is None or said.stage not in OVER:
        answer = _patiently(mail, request)
        if answer != said:
            said, heard = answer, time.monotonic()
            yield answer
        elif answer.stage in ("asking", "waiting") and time.monotonic() - heard > SILENCE:
            raise ServiceError(_away())
        time.sleep(PACE)


def ask(mail: Mail, kind: str, study: str, **details: Any) -> Answer:
    """Have the evaluator do something; its last word.

    Raises:
        ServiceError: Nobody takes requests there.
    """
    *_, last = follow(mail, mail.ask(kind, study, **details))
    return last


def make_user(server: str, name: str, admin: tuple[str, str] | None) -> str:
    """Make a user of the team's MLflow server, as the administrator `admin`; the password.

    Raises:
        SpecError: The name is none, or taken.
        ServiceError: The server cannot be reached, or does not let this administrator do that.
    """
    if re.fullmatch(USER, name) is None:
        raise SpecError(f"{name!r} is no name of a user. Allowed: letters, digits, dots and hyphens, 64 at most.")
    password = secrets.token_urlsafe(18)
    if not Accounts(server, admin).add(name, password):
        raise SpecError(f"a user {name!r} is there already; MLflow's page of that account changes a password")
    return password


def _patiently(mail: Mail, request: str) -> Answer:
    """The answer, also where the server is away for a while: the study goes on without us."""
    begun = time.monotonic()
    while True:
        try:
            return mail.answer(request)
        except ServiceError:
            if time.monotonic() - begun > SILENCE:
                raise
            time.sleep(PACE)


def _awaited(mail: Mail, request: str) -> Answer:
    """The first word of the evaluator."""
    for answer in follow(mail, request):
        if answer.stage == "refused":
            raise SpecError(str(answer.content.get("words", "refused")))
        if answer.stage == "writing":
            return answer
    raise Interrupted(_away())


def _away() -> str:
    return "nobody takes requests there: is the evaluator running? (docker compose ps, docker compose logs evaluator)"


def _parcels(spec: StudySpec, named: dict[str, str], folder: Path, say: Callable[[str], None]) -> dict[str, Parcel]:
    """What is to be sent, by the option that names it.

    Raises:
        DataError: An option names what is not here, and cannot be the team's.
    """
    found: dict[str, Parcel] = {}
    for option, value in named.items():
        path = spec.folder / Path(value).expanduser()
        if path.exists():
            say(f"packing {path.name}")
            found[option] = pack(path, folder)
        elif not Path(value).is_absolute():
            near = nearest(path.name, sorted(one.name for one in path.parent.glob("*")))
            raise DataError(
                f"there is no {path}.{near} The team's own data have whole paths, such as /data/{path.name}."
            )
    return found


def _content(spec: StudySpec, parcels: dict[str, Parcel]) -> dict[str, Any]:
    """The study file as it is sent: the team's storage and server are its own.

    Raises:
        SpecError: A value comes from the environment, which is not the team's.
    """
    content = spec.resolved()
    content["storage"] = None
    content["tracking"]["uri"] = None
    for option, parcel in parcels.items():
        content["data"][option] = f"{parcel.digest}/{parcel.name}"
    ours = {("storage",), ("tracking", "uri"), *(("data", option) for option in parcels)}
    for path, text in spec.as_written.items():
        if path not in ours:
            words = f"{text!r} comes from the environment of this machine, which a team has not got; write it out"
            raise SpecError(words, spec.mark(".".join(path)))
    return content


def _bytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 1 << 20 else f"{size / 2**10:.1f} KiB"
