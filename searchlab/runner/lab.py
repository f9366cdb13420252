"""A study made ready: data prepared, encoding fitted, plan drawn up.  Nothing is trained and no Keras is loaded."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from searchlab import atomic
from searchlab.data import SOURCES, Collection, Examples, SearchSplits
from searchlab.data.prepare import Prepared, load_search, prepare
from searchlab.errors import SpecError
from searchlab.models import FAMILIES
from searchlab.records import EarlyStopping, Features, Objective, TrainingPlan
from searchlab.runner import augmentable, backbones, known
from searchlab.runner.check import Checked, check
from searchlab.runner.home import Home, StudyFolder
from searchlab.runner.machine import LIBRARIES, versions
from searchlab.runner.watch import Watcher
from searchlab.space import Choice, Fixed, Params
from searchlab.space.measure import first_guesses
from searchlab.spec import StudySpec
from searchlab.tasks import TASKS, Encoding
from searchlab.training.model_card import card_of


@dataclass(frozen=True)
class Lab:
    """All that a session works with."""

    spec: StudySpec
    checked: Checked
    home: Home
    prepared: Prepared
    collection: Collection
    splits: SearchSplits[Examples]
    encoding: Encoding
    plan: TrainingPlan
    guesses: tuple[Params, ...]

    @property
    def folder(self) -> StudyFolder:
        """The study's files."""
        return self.home.study(self.spec.name)

    def card(self, trial: int) -> dict[str, Any]:
        """What the file of that trial's model says of itself, as JSON values."""
        dtype = str(self.splits.train.x.dtype)
        return card_of(self.spec, self.prepared, self.encoding, dtype=dtype, trial=trial).to_json()


def assemble(
    spec: StudySpec, home: Home, watcher: Watcher, checked: Checked | None = None, *, digest: str | None = None
) -> Lab:
    """Prepare the data of `spec` (once: the same data and split are found again) and fit its encoding.

    `checked` is what `check` gave for it, where that was done already.  Data that the home has under `digest` are
    taken without a look at their source.

    Raises:
        SpecError: Faults of the study file, all together.
        DataError: The data cannot be read, split or learned from.
    """
    checked = checked or check(spec)
    watcher.stage(f"preparing the data: {spec.data.source.name}")
    prepared = (known.by_digest(digest, home) if digest is not None else None) or _prepared(spec, checked, home)
    seen, splits = load_search(prepared.folder)
    encoding = TASKS.get(spec.task).fit(seen, splits.train)
    _check_families(spec, encoding)
    augmentable.refuse(spec.space, encoding.problem)
    return Lab(
        spec=spec,
        checked=checked,
        home=home,
        prepared=prepared,
        collection=seen,
        splits=splits,
        encoding=encoding,
        plan=replace(plan_of(spec, checked.objective, home), features=_features(spec, home, prepared)),
        guesses=first_guesses(spec.space),
    )


def _prepared(spec: StudySpec, checked: Checked, home: Home) -> Prepared:
    """The data of `spec`, split and stored: as they are known from before, or read."""
    note = known.note_of(spec, checked, home)
    prepared = known.recall(note, home) if note is not None else None
    if prepared is not None:
        _check_kind(spec, prepared.kind)
        return prepared
    collection = SOURCES.get(spec.data.source.name).load(checked.source, spec.folder)
    _check_kind(spec, collection.kind)
    split = spec.data.split
    prepared = prepare(
        collection,
        rule=split.by,
        validation=split.validation,
        test=split.test,
        seed=split.seed,
        embargo=split.embargo,
        shuffle_labels=spec.data.shuffle_labels,
        train_examples=split.train_examples,
        duplicates=spec.data.duplicates,
        store=home.folder,
    )
    if note is not None:
        known.remember(note, prepared)
    return prepared


def plan_of(spec: StudySpec, objective: Objective, home: Home) -> TrainingPlan:
    """How every trial of `spec` is trained.

    Raises:
        DataError: A backbone is a file that is not there.
    """
    training = spec.training
    stopping = training.early_stopping
    return TrainingPlan(
        task=spec.task,
        objective=objective,
        epochs=training.epochs,
        early_stopping=EarlyStopping(stopping.patience, stopping.min_delta) if stopping else None,
        precision=training.precision,
        jit_compile=training.jit_compile,
        deterministic=training.deterministic,
        backend=training.backend,
        weights_folder=str(home.study(spec.name).weights),
        files=backbones.gather(spec, home),
        optimizers=plugins_of(spec, "optimizer"),
    )


def _features(spec: StudySpec, home: Home, prepared: Prepared) -> Features | None:
    return (
        Features(str(home.folder / "features" / prepared.digest), prepared.digest)
        if spec.execution.feature_cache
        else None
    )


def facts_of(lab: Lab, backend: str) -> dict[str, Any]:
    """What a reader of the study should know, as JSON values; `backend` is what Keras runs on in its children."""
    spec, plan = lab.spec, asdict(lab.plan)
    own = backbones.digests(lab.plan.files)
    return {
        **({"backbones": own} if own else {}),
        "data": spec.data.source.name,
        "data_description": lab.collection.description,
        "data_digest": lab.prepared.digest,
        "counts": dict(lab.prepared.counts),
        "split": {"by": spec.data.split.by, "seed": spec.data.split.seed},
        "task": spec.task,
        "families": families_of(spec),
        "sampler": spec.search.sampler.name,
        "pruner": spec.search.pruner.name,
        "engine": spec.training.engine,
        "backend": backend,
        "plan": {name: plan[name] for name in ("early_stopping", "precision", "jit_compile", "deterministic")},
        "epochs": spec.training.epochs,
        "seed": spec.seed,
        "space_digest": spec.space.digest(),
        "spec_digest": spec.digest(),
        "versions": versions((*LIBRARIES, backend)),
        "git_commit": git_commit(spec.folder),
    }


def families_of(spec: StudySpec) -> tuple[str, ...]:
    """The families that a space may choose."""
    return plugins_of(spec, "model")


def plugins_of(spec: StudySpec, selector: str) -> tuple[str, ...]:
    """The plugins that a space may choose as its `selector` ("model", "optimizer", …); none when it says nothing."""
    if selector not in spec.space.names:
        return ()
    domain = spec.space[selector].domain
    names = domain.values if isinstance(domain, Choice) else (domain.value,) if isinstance(domain, Fixed) else ()
    return tuple(str(name) for name in names)


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that holds `folder`, with "+" when files were changed since; None outside of one."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def keep(lab: Lab, resolved: str) -> None:
    """Write down, in the study's folder, what the final test and the export will need."""
    atomic.write_text(lab.folder.spec, resolved)
    atomic.write_json(lab.folder.folder / "data.json", asdict(lab.prepared))
    atomic.write_json(lab.folder.folder / "encoding.json", lab.encoding.to_json())


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _check_kind(spec: StudySpec, kind: str) -> None:
    task = TASKS.get(spec.task)
    if kind not in task.accepts:
        raise SpecError(
            f"{spec.task} learns from {' or '.join(task.accepts)}, but {spec.data.source.name} gives {kind}",
            spec.mark("task"),
        )


def _check_families(spec: StudySpec, encoding: Encoding) -> None:
    for name in families_of(spec):
        accepts = FAMILIES.get(name).accepts
        if encoding.problem.kind not in accepts:
            raise SpecError(
                f"the {name} family takes {' or '.join(accepts)}, but {spec.task} on {spec.data.source.name} is "
                f"{encoding.problem.kind}",
                spec.space["model"].mark,
            )
