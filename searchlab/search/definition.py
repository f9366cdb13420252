"""What a study is, as the storage keeps it, and whether it is the study that was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from searchlab.errors import StudyConflict
from searchlab.records import Objective
from searchlab.search import encoding
from searchlab.space import Params, Pick, Space

FORMAT = 1

IDENTITY = ("task", "data_digest", "backend", "backbones")
"""Facts that belong to the identity of a study: what is learned, from which bytes, by whose arithmetic, on what."""

DECIDING = {"searchlab": 2, "keras": 2, "optuna": 1, "numpy": 1}
"""How many parts of these libraries' versions decide the numbers; of the backend's library two."""


@dataclass(frozen=True)
class Definition:
    """All that decides which trials a study has and what their values mean, and the facts beside it."""

    space: Space
    objective: Objective
    sampler: Pick
    pruner: Pick
    epochs: int
    seed: int
    facts: Mapping[str, Any]
    first_guesses: tuple[Params, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` makes an equal definition."""
        return {
            "format": FORMAT,
            "space": encoding.space_to_json(self.space),
            "objective": asdict(self.objective),
            "sampler": encoding.pick_to_json(self.sampler),
            "pruner": encoding.pick_to_json(self.pruner),
            "epochs": self.epochs,
            "seed": self.seed,
            "facts": dict(self.facts),
            "first_guesses": [dict(guess.values) for guess in self.first_guesses],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Definition:
        """The definition whose `to_json` gave `content`.

        Raises:
            StudyConflict: It was written by a later version.
        """
        if content["format"] != FORMAT:
            raise StudyConflict(f"the study was stored in format {content['format']}, and this version reads {FORMAT}")
        return cls(
            space=encoding.space_from_json(content["space"]),
            objective=encoding.objective_from_json(content["objective"]),
            sampler=encoding.pick_from_json(content["sampler"]),
            pruner=encoding.pick_from_json(content["pruner"]),
            epochs=content["epochs"],
            seed=content["seed"],
            facts=content["facts"],
            first_guesses=tuple(Params(values) for values in content["first_guesses"]),
        )

    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for two runs to share a study.  Budget, timeout and parallelism are no part of it."""
        content = self.to_json()
        named = ("objective", "epochs", "seed", "sampler", "pruner")
        rows = {f"space: {row['name']}": _without(row, "name") for row in content["space"]}
        plan = {f"training: {name}": value for name, value in self.facts.get("plan", {}).items()}
        facts = {name: self.facts[name] for name in IDENTITY if name in self.facts}
        parts = {**{name: content[name] for name in named}, **facts, **plan, **rows}
        whole: dict[str, Any] = json.loads(json.dumps(parts))
        return whole

    def versions(self) -> dict[str, str]:
        """The versions that decide the numbers of its trials, by library; those that were noted."""
        noted = self.facts.get("versions", {})
        return {name: str(noted[name]) for name in (*DECIDING, str(self.facts.get("backend"))) if name in noted}


def check_same(name: str, stored: Definition, asked: Definition) -> None:
    """Nothing, when both are one study.  A fact that an older version did not store is not compared.

    Raises:
        StudyConflict: They differ; the message has one line for each difference.
    """
    rows, versions = list(differences(stored, asked)), list(_other_versions(stored, asked))
    if not rows and not versions:
        return
    remedies = ["start a new one from its history: --fork NAME"]
    if versions:
        pins = " ".join(f"'{library}=={theirs}'" for library, theirs, _ in versions)
        remedies.insert(0, f"install what it was begun with: pip install {pins}")
    if rows:
        remedies.insert(0, "ask for what is stored, give the study another name: --set study=NAME")
    lines = [*rows, *(f"version of {library}: {theirs} | {ours}" for library, theirs, ours in versions)]
    raise StudyConflict(
        f"a study named {name!r} is stored, and it is not the one asked for. Its trials would not compare "
        "(stored | here):\n"
        + "\n".join(f"  {line}" for line in lines)
        + f"\nEither {', or '.join(remedies)}. Only the number of trials, the timeout and the workers may change."
    )


def differences(stored: Definition, asked: Definition) -> Iterator[str]:
    """What differs between the fingerprints of two definitions, but for versions: `key: stored | here`."""
    old, new = stored.fingerprint(), asked.fingerprint()
    for key in dict.fromkeys([*old, *new]):
        is_noted = key in old or (key not in IDENTITY and not key.startswith("training: "))
        if is_noted and (key not in old or key not in new or old[key] != new[key]):
            yield f"{key}: {_side(old, key)} | {_side(new, key)}"


def _other_versions(stored: Definition, asked: Definition) -> Iterator[tuple[str, str, str]]:
    """Each library whose version differs in a part that decides the numbers, and both versions."""
    ours = asked.versions()
    for library, theirs in stored.versions().items():
        parts = DECIDING.get(library, 2)
        if library in ours and theirs.split(".")[:parts] != ours[library].split(".")[:parts]:
            yield library, theirs, ours[library]


def _side(fingerprint: Mapping[str, Any], key: str) -> str:
    return _words(fingerprint[key]) if key in fingerprint else "absent"


def _words(content: Any) -> str:
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if value is not None and key != "has_default"}
        return ", ".join(f"{key} {_words(value)}" for key, value in kept.items())
    return json.dumps(content, ensure_ascii=False)


def _without(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}
