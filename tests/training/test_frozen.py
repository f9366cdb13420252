"""Trials with a frozen body: trained on its features, which are made once, with the numbers of the whole model."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tiny_backbones import file_of
from tiny_problem import MLP, compiled, numbers, plan, problem, trial_with

from searchlab.data import SearchSplits
from searchlab.models import FAMILIES
from searchlab.records import Checkpoints, Cohort, EarlyStopping, Epoch, Features, TrainingPlan, Trial, TrialResult
from searchlab.tasks import Arrays
from searchlab.training import ENGINES, champion, features, frozen
from searchlab.training.recipe import Recipe

OTHERS = {name: held for name, held in MLP.items() if not name.startswith("model")}


def trial(number: int = 0, seed: int = 7, **changes: Any) -> Trial:
    """A head on a tiny backbone."""
    options = {"backbone": file_of(), "dropout": 0.2, "l2": 1e-3, **changes}
    return trial_with(
        {"model": "transfer", **{f"model.transfer.{n}": v for n, v in options.items()}, **OTHERS}, number, seed
    )


def cached(folder: Path, **changes: Any) -> TrainingPlan:
    return plan(features=Features(str(folder / "features"), "digits"), **changes)


def train(
    engine: str, *trials: Trial, under: TrainingPlan, leave_after: int | None = None
) -> tuple[dict[int, list[Epoch]], dict[int, TrialResult]]:
    """Train one cohort as a child does; close it after so many epochs."""
    epochs: dict[int, list[Epoch]] = {one.number: [] for one in trials}
    results: dict[int, TrialResult] = {}
    progress = frozen.train(ENGINES.get(engine), Cohort(trials), under, *problem())
    item = next(progress, None)
    while item is not None:
        if isinstance(item, TrialResult):
            results[item.trial] = item
        else:
            for epoch in item:
                epochs[epoch.trial].append(epoch)
            if leave_after is not None and any(epoch.epoch == leave_after for epoch in item):
                progress.close()
                return epochs, results
        try:
            item = progress.send(frozenset())
        except StopIteration:
            break
    return epochs, results


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> features.Store:
    """An empty memory of features."""
    fresh = features.Store()
    for module in ("searchlab.training.frozen", "searchlab.training.stages"):
        monkeypatch.setattr(f"{module}.STORE", fresh)
    return fresh


class Counting:
    """How many examples have gone through a body."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        call = features._Body.__call__

        def counted(body: Any, x: Any) -> Any:
            self.rows += len(x)
            return call(body, x)

        monkeypatch.setattr(features._Body, "__call__", counted)


def test_has_the_numbers_of_the_whole_model(tmp_path: Path) -> None:
    whole, _ = train("fit", trial(), under=plan())
    head, results = train("fit", trial(), under=cached(tmp_path))
    assert len(whole[0]) == len(head[0]) == 2
    for one, two in zip(numbers(whole[0]), numbers(head[0]), strict=True):
        assert one == pytest.approx(two, rel=1e-4, abs=1e-5)
    assert "which is frozen" in (results[0].summary or "")


@pytest.mark.parametrize("engine", compiled())
def test_any_engine_trains_heads(engine: str, tmp_path: Path) -> None:
    fit, _ = train("fit", trial(0), trial(1, dropout=0.4), under=cached(tmp_path))
    other, results = train(engine, trial(0), trial(1, dropout=0.4), under=cached(tmp_path))
    for number in (0, 1):
        assert results[number].engine == engine
        for one, two in zip(numbers(fit[number]), numbers(other[number]), strict=True):
            assert one == pytest.approx(two, rel=1e-3, abs=1e-4)


def test_features_are_made_once_for_all_trials_and_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: features.Store
) -> None:
    counting = Counting(monkeypatch)
    train("fit", trial(0), under=cached(tmp_path))
    train("fit", trial(1, seed=8, dropout=0.5, depth=1, width=8), under=cached(tmp_path))
    store._held.clear()  # as another process begins
    train("fit", trial(2), under=cached(tmp_path))
    _, splits = problem()
    assert counting.rows == len(splits.train) + len(splits.validation)
    train("fit", trial(3, pooling="max", backbone=file_of(size=8)), under=cached(tmp_path))
    assert counting.rows == 2 * (len(splits.train) + len(splits.validation))


def test_what_decides_features_decides_their_key(tmp_path: Path) -> None:
    encoding, _ = problem()
    copy = tmp_path / "copy.keras"
    copy.write_bytes(Path(file_of()).read_bytes())

    def key(under: TrainingPlan | None = None, **changes: Any) -> str | None:
        return features.key_of(Recipe.of(trial(**changes), under or cached(tmp_path), encoding))

    assert key() == key(seed=9, dropout=0.5, depth=1) == key(backbone=str(copy)) != None  # noqa: E711
    other = replace(cached(tmp_path), features=Features(str(tmp_path), "other data"))
    different = [key(pooling="max"), key(resolution=16), key(backbone=file_of(10)), key(other)]
    different.append(key(cached(tmp_path, precision="mixed_bfloat16")))
    assert len({key(), *different}) == 6
    assert key(backbone="mobilenet_v3_small:none") is None and key(plan()) is None


def test_a_kill_between_two_pieces_costs_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoding, splits = problem()
    monkeypatch.setattr(features, "PIECE", 64 * splits.train.x[:1].nbytes)  # 240 examples: four pieces
    recipe = Recipe.of(trial(), cached(tmp_path), encoding)
    making = features.Store().make(recipe, splits)
    next(making)
    next(making)
    making.close()
    counting = Counting(monkeypatch)
    made = _all(features.Store(), recipe, splits)
    assert counting.rows == 240 - 2 * 64 + 90
    reference = recipe.family.body(encoding.problem, recipe.family_options, 0).predict(splits.train.x, verbose=0)  # type: ignore[attr-defined]
    np.testing.assert_allclose(made.train.x, reference, rtol=1e-5, atol=1e-6)
    assert (made.train.y == splits.train.y).all()
    (folder,) = (tmp_path / "features").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["train.npy", "validation.npy"]


def _all(store: features.Store, recipe: Recipe, splits: SearchSplits[Arrays]) -> SearchSplits[Arrays]:
    making = store.make(recipe, splits)
    while True:
        try:
            next(making)
        except StopIteration as end:
            made: SearchSplits[Arrays] = end.value
            return made


@pytest.mark.parametrize("stopped", [2, 3])
def test_fine_tuning_goes_on_from_any_epoch_with_equal_numbers(tmp_path: Path, stopped: int) -> None:
    """Four epochs: the head is trained in two; a trial may be left between the stages, or in the second."""
    one = trial(fine_tuning=0.5, unfreeze=1.0, tuning_rate=0.5, layer_decay=0.5)
    whole, _ = train("fit", one, under=cached(tmp_path, epochs=4))
    kept = Checkpoints(str(tmp_path / "checkpoints"), "study", every=0.0)
    part, none = train("fit", one, under=cached(tmp_path, epochs=4, checkpoints=kept), leave_after=stopped)
    assert not none and len(part[0]) == stopped
    rest, again = train("fit", one, under=cached(tmp_path, epochs=4, checkpoints=kept))
    assert again[0].resumed_from == stopped and again[0].state == "complete"
    assert numbers(rest[0]) == numbers(whole[0])
    rates = [epoch.metrics["learning_rate"] for epoch in whole[0]]
    assert rates[3] < rates[2] < 0.6 * rates[1]


def test_a_head_that_makes_no_more_progress_gives_way_to_fine_tuning(tmp_path: Path) -> None:
    """Else patience would end most trials before they are fine-tuned; a trial that goes on finds the same border."""
    patient = EarlyStopping(1, min_delta=2.0)  # nothing is ever progress
    one = trial(fine_tuning=0.2, unfreeze=1.0, tuning_rate=0.01)
    one = replace(one, params=replace(one.params, values={**one.params.values, "schedule": "constant"}))
    whole, _ = train("fit", one, under=cached(tmp_path, epochs=10, early_stopping=patient))
    rates = [epoch.metrics["learning_rate"] for epoch in whole[0]]
    assert rates == pytest.approx([0.01, 0.01, 0.0001])
    kept = Checkpoints(str(tmp_path / "checkpoints"), "study", every=0.0)
    under = cached(tmp_path, epochs=10, early_stopping=patient, checkpoints=kept)
    train("fit", one, under=under, leave_after=2)
    rest, again = train("fit", one, under=under)
    assert numbers(rest[0]) == numbers(whole[0]) and again[0].resumed_from == 2


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_kept_weights_are_those_of_the_best_epoch(tmp_path: Path, share: float) -> None:
    under = cached(tmp_path, epochs=4, weights_folder=str(tmp_path))
    one = trial(fine_tuning=share, unfreeze=1.0, tuning_rate=1.0)
    _, results = train("fit", one, under=under)
    encoding, splits = problem()
    assert results[0].weights is not None
    model = champion.restore(under, encoding, one, results[0].weights)
    outputs = champion.predict(model, splits.validation.x)
    accuracy = float((outputs.argmax(axis=1) == splits.validation.y).mean())
    assert accuracy == pytest.approx(results[0].value, abs=1e-6)
    with np.load(results[0].weights) as content:
        assert len(content.files) == (2 if share == 0.0 else len(model.weights))
    complete = champion.exportable(model, encoding)
    champion.export(complete, tmp_path / "complete.keras")
    assert champion.load_keras(tmp_path / "complete.keras").count_params() == model.count_params()


def test_fine_tuning_moves_the_upper_layers_more_and_frozen_ones_not_at_all() -> None:
    encoding, splits = problem()
    one = trial(fine_tuning=1.0, unfreeze=1.0, layer_decay=0.01, dropout=0.0)
    one = replace(
        one,
        params=replace(
            one.params, values={**one.params.values, "optimizer": "sgd", "optimizer.sgd.learning_rate": 0.1}
        ),
    )
    recipe = Recipe.of(one, plan(), encoding)
    model = recipe.model()
    slower = recipe.family.thaw(model, recipe.family_options)  # type: ignore[attr-defined]
    before = [variable.numpy().copy() for variable in model.trainable_variables]
    steps = {}
    for name, factors in (("slow", slower), ("fast", [1.0] * len(slower))):
        for variable, value in zip(model.trainable_variables, before, strict=True):
            variable.assign(value)
        recipe.compile(model, 32, factors)
        model.fit(splits.train.x[:32], splits.train.y[:32], batch_size=32, verbose=0)
        steps[name] = [v.numpy() - b for v, b in zip(model.trainable_variables, before, strict=True)]
    for factor, slow, fast in zip(slower, steps["slow"], steps["fast"], strict=True):
        np.testing.assert_allclose(slow, factor * fast, rtol=1e-3, atol=1e-6)
    assert {round(factor, 6) for factor in slower} == {1e-4, 1e-2, 1.0}


def test_weights_that_are_no_weights_fail_the_trial_by_name(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.keras"
    wrong.write_text("not a model")
    _, results = train("fit", trial(0, backbone=str(wrong)), trial(1, backbone=str(wrong)), under=cached(tmp_path))
    assert [result.state for result in results.values()] == ["failed", "failed"]
    assert "wrong.keras: this is no .keras file" in (results[0].reason or "")


def _make_and_die(folder: str, backbone: str) -> None:
    encoding, splits = problem()
    features.PIECE = 64 * splits.train.x[:1].nbytes
    recipe = Recipe.of(trial(backbone=backbone), cached(Path(folder)), encoding)
    making = features.Store().make(recipe, splits)
    next(making)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_process_that_was_killed_holds_up_nobody(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_make_and_die, args=(str(tmp_path), file_of()))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    encoding, splits = problem()
    made = _all(features.Store(), Recipe.of(trial(), cached(tmp_path), encoding), splits)
    assert made.train.x.shape == (240, 12)


def test_another_families_trials_pass_through(tmp_path: Path) -> None:
    one = trial_with(MLP)
    direct, _ = train("fit", one, under=cached(tmp_path))
    assert len(direct[0]) == 2 and not (tmp_path / "features").exists()
    assert "transfer" in FAMILIES.names() and keras.backend.backend()
