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

IDENTITY = ("task", "data_digest", "plan")
"""Facts that belong to the identity of a study: what is learned, from which bytes, and how each trial is trained."""


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
        facts = {name: self.facts[name] for name in IDENTITY if name in self.facts}
        whole: dict[str, Any] = json.loads(json.dumps({**{name: content[name] for name in named}, **facts, **rows}))
        return whole


def check_same(name: str, stored: Definition, asked: Definition) -> None:
    """Nothing, when both are one study.

    Raises:
        StudyConflict: They differ; the message has one line for each difference.
    """
    differences = list(_differences(stored.fingerprint(), asked.fingerprint()))
    if differences:
        raise StudyConflict(
            f"a study named {name!r} is stored, and it is not the one asked for. Its trials would not compare:\n"
            + "\n".join(f"  {line}" for line in differences)
            + "\nGive the study another name, or ask for what is stored. "
            "Only the number of trials, the timeout and the workers may change."
        )


def _differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*stored, *asked]):
        if key not in asked:
            yield f"{key}: stored {_words(stored[key])}, now absent"
        elif key not in stored:
            yield f"{key}: not stored, now {_words(asked[key])}"
        elif stored[key] != asked[key]:
            yield f"{key}: stored {_words(stored[key])}, now {_words(asked[key])}"


def _words(content: Any) -> str:
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if value is not None and key != "has_default"}
        return ", ".join(f"{key} {_words(value)}" for key, value in kept.items())
    return json.dumps(content, ensure_ascii=False)


def _without(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}
