"""What `searchlab gc` takes for rubbish, and what it must not touch."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from searchlab.records import Objective, TrialResult
from searchlab.runner import sweep
from searchlab.runner.home import Home
from searchlab.search.study import Study
from searchlab.space import Float, Parameter, Pick, Space


def age(folder: Path) -> None:
    """As if nobody had touched it, or what it holds, for long."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (0, 0))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A study of four trials: two complete, one failed, one running."""
    home = Home(tmp_path)
    study = Study.create(
        home.storage_url,
        "digits",
        space=Space((Parameter("x", Float(0.0, 1.0)),)),
        objective=Objective("val_accuracy", "maximize"),
        sampler=Pick("random", {}),
        pruner=Pick("none", {}),
        epochs=3,
        seed=0,
        facts={"folder": str(tmp_path)},
    )
    resolved = (
        "study: digits\ndata: {source: digits}\ntask: image_classification\nspace: {model: mlp}\n"
        "execution: {keep_weights: 1}\n"
    )
    study.remember(resolved=resolved)
    folder = home.study("digits")
    for number, state in enumerate(("complete", "complete", "failed", "running")):
        study.ask()
        for path in (
            folder.weights / f"trial-{number:04d}.weights.npz",
            folder.checkpoints / f"trial-{number:04d}.ckpt",
            folder.checkpoints / f"trial-{number:04d}.old.ckpt",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 100)
        weights = str(folder.weights / f"trial-{number:04d}.weights.npz")
        if state == "complete":
            study.tell(TrialResult(number, "complete", 0.5 + number / 10, weights=weights))
        elif state == "failed":
            study.tell(TrialResult(number, "failed", None, cause="lost"))
    for name in ("used", "unused"):
        for part in ("data", "sealed", "features"):
            (home.folder / part / name).mkdir(parents=True)
            (home.folder / part / name / "x.npy").write_bytes(b"x" * 50)
            age(home.folder / part / name)
        home.known.mkdir(exist_ok=True)
        (home.known / f"{name}.json").write_text(json.dumps({"digest": name}), encoding="utf-8")
        os.utime(home.known / f"{name}.json", (0, 0))
    (home.folder / "backbones").mkdir()
    for name in ("used.keras", "unused.keras"):
        (home.folder / "backbones" / name).write_bytes(b"x" * 50)
        os.utime(home.folder / "backbones" / name, (0, 0))
    (folder.folder / "backbones.json").write_text(json.dumps({"mine.keras": "used.keras"}), encoding="utf-8")
    (folder.folder / "data.json").write_text(json.dumps({"digest": "used"}), encoding="utf-8")
    (folder.folder / "results.jsonl").write_text("kept", encoding="utf-8")
    for number in (os.getpid(), 2**22 + 1):
        (folder.logs / f"worker-{number}").mkdir(parents=True)
        (folder.logs / f"worker-{number}" / "child-0.log").touch()
        age(folder.logs / f"worker-{number}")
    (folder.folder / ".tmp-old").touch()
    os.utime(folder.folder / ".tmp-old", (0, 0))
    (folder.folder / ".tmp-new").touch()
    study.close()  # with which SQLite folds its log into the file
    return home


def test_finds_what_nobody_needs_and_nothing_else(home: Home) -> None:
    folder = home.study("digits").folder
    mine = (path for path in home.folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))  # SQLite's come and go
    everything = {path for path in mine if path.is_file() or path.name.startswith("worker-")}
    found = sweep.find(home)
    names = {str(item.path.relative_to(home.folder)) for item in found}
    checkpoints = {f"studies/digits/checkpoints/trial-000{n}{end}.ckpt" for n in (0, 1, 2) for end in ("", ".old")}
    assert names == checkpoints | {
        "studies/digits/weights/trial-0000.weights.npz",
        "studies/digits/weights/trial-0002.weights.npz",
        f"studies/digits/logs/worker-{2**22 + 1}",
        "studies/digits/.tmp-old",
        "data/unused",
        "sealed/unused",
        "features/unused",
        "backbones/unused.keras",
        "known/unused.json",
    }
    assert {path for path in home.folder.rglob("*") if path in everything} == everything  # looking removes nothing
    assert (
        sweep.remove(found)
        == sum(item.bytes for item in found)
        == 6 * 100 + 2 * 100 + 4 * 50 + len('{"digest": "unused"}')
    )
    assert sweep.find(home) == ()
    assert (folder / "weights" / "trial-0001.weights.npz").exists() and (folder / "results.jsonl").exists()
    assert (folder / "checkpoints" / "trial-0003.ckpt").exists()


def test_young_data_may_belong_to_a_study_that_is_about_to_begin(home: Home) -> None:
    for part in ("data", "sealed", "features"):
        os.utime(home.folder / part / "unused", (time.time(), time.time()))
    assert not any(item.path.name == "unused" for item in sweep.find(home))


@pytest.mark.parametrize("name", [f"studies/digits/logs/worker-{2**22 + 1}", "data/unused"])
def test_what_was_written_to_lately_may_be_another_machine_s(home: Home, name: str) -> None:
    path = home.folder / name
    next(iter(path.iterdir())).touch()
    assert path not in {item.path for item in sweep.find(home)}


def test_the_folder_of_a_study_in_another_storage_is_left_alone(home: Home, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert not any("checkpoints" in str(item.path) for item in sweep.find(home, other))
