from __future__ import annotations

from dataclasses import replace

from searchlab.records import TestScore
from searchlab.reports.card import ROOM, card

LOAD = 'model = mlflow.pyfunc.load_model("models:/small@champion")'
FACTS = {
    "task": "image_classification",
    "data": "digits",
    "data_description": "images of *digits*",
    "data_digest": "9a1c33d2f00e4b71",
    "counts": {"train": 1077, "validation": 360, "test": 360},
    "split": {"by": "stratified", "seed": 4},
    "sampler": "tpe",
    "pruner": "none",
    "epochs": 20,
    "versions": {"python": "3.11.2", "keras": "3.15.1", "pydantic": "2"},
    "git_commit": "abc1234+",
}


def test_a_card_says_what_a_reader_has_to_know(result):
    text = card(replace(result, facts=FACTS), result.trials[0], load=LOAD, classes=("zero", "one"))
    assert text.startswith("Image classification on digits, a `cnn` with 1,000 weights.")
    assert f"```python\n{LOAD}\n```" in text
    assert "93.0 %" in text and "best of 3" in text
    assert "still sealed" in text
    assert r"images of \*digits\*, digest `9a1c33d2f00e4b71`" in text
    assert "1,077 train, 360 validation, 360 test, split stratified with seed 4" in text
    assert "2 classes: zero, one" in text
    assert "trial 2 of study `small`: 4 of 5 trials (2 complete, 1 pruned, 1 failed)" in text
    assert "sampler `tpe`, pruner `none`, up to 20 epochs a trial, seed 7" in text
    assert "- `optimizer.momentum` 0.9" in text
    assert "python 3.11.2, keras 3.15.1; git commit `abc1234+`" in text and "pydantic" not in text
    assert "None" not in text


def test_an_opened_seal_shows_its_score_with_the_interval(result):
    score = TestScore(2, {"test_accuracy": 0.91}, {"test_accuracy": (0.87, 0.94)}, "Wilson", 360, 1)
    text = card(replace(result, facts=FACTS, test=score), result.trials[0], load=LOAD)
    assert "Test accuracy: 91.0 %, 95 % interval 87.0 % to 94.0 %" in text
    assert "sealed" not in text


def test_the_score_of_another_trial_is_not_that_of_this_model(result):
    score = TestScore(0, {"test_accuracy": 0.91}, {"test_accuracy": (0.87, 0.94)}, "Wilson", 360, 1)
    text = card(replace(result, facts=FACTS, test=score), result.trials[0], load=LOAD)
    assert "opened for trial 0, not for this model" in text and "91.0" not in text


def test_little_is_known_of_old_studies_and_that_is_said(result):
    text = card(result, result.trials[0], load=LOAD)
    assert "no git checkout" in text and "None" not in text


def test_many_classes_and_parameters_leave_room(result):
    classes = tuple(f"the class with the number {number}" for number in range(1000))
    params = {f"model.cnn.option_{number}": "x" * 200 for number in range(300)}
    trial = result.trials[0].trial
    record = replace(result.trials[0], trial=replace(trial, params=type(trial.params)(params)))
    text = card(replace(result, facts=FACTS), record, load=LOAD, classes=classes)
    assert len(text) <= ROOM
    assert "1000 classes" in text and "### Limits" in text


def test_h8_names_of_classes_are_shown_as_they_are(result):
    hostile = ("\x1b[31mred\r\nnext", "<script>alert(1)</script>", "[a](javascript:alert(1))", "| a | b |")
    text = card(replace(result, facts=FACTS), result.trials[0], load=LOAD, classes=hostile)
    assert "\x1b" not in text and "\r" not in text
    assert r"\<script\>" in text and r"\[a\](javascript" in text and r"\| a \| b \|" in text
