import json
import math
from dataclasses import replace

import pytest

from searchlab.records import Epoch, GpuUse, TestScore, TrialRecord
from searchlab.space import Params
from searchlab.tracking.mlflow import words
from searchlab.tracking.mlflow.content import Content
from searchlab.tracking.mlflow.steps import content_of, file_step, from_line, run_uid, to_line


def told(study, number):
    content = Content(study.start)
    steps = [*content.study_started(), *content.trial_started(study.trials[number], 1.0)]
    for epoch in study.epochs(number):
        steps += content.epoch(epoch, 1, 2.0)
    return [*steps, *content.trial_finished(study.records[number])], run_uid(study.start.uid, number)


def merged(steps, run, kind):
    found = {}
    for step in steps:
        if step.run == run and step.kind == kind:
            found.update(step.body["values"])
    return found


class TestNames:
    def test_a_trial_is_named_by_what_varies(self, study):
        assert words.trial_name(study.trials[1], study.start.varied) == "001 · mlp depth=2 sgd lr=3.2e-3"

    def test_a_further_attempt_says_so(self, study):
        name = words.trial_name(replace(study.trials[0], attempt=2), study.start.varied)
        assert name.endswith("(attempt 2)")

    def test_names_stay_on_one_line(self, study):
        trial = replace(study.trials[0], params=Params({"model": "a\nb\x1b[31m"}))
        assert words.trial_name(trial, ()).isprintable()

    def test_every_attempt_has_a_uid_of_its_own_for_ever(self):
        uids = {run_uid("s"), run_uid("s", 0), run_uid("s", 1), run_uid("s", 1, 2), run_uid("t", 0)}
        assert len(uids) == 5
        assert run_uid("s", 1, 2) == "8efb1100-b1d4-5243-ab46-f10801fe8f7f"  # stored runs are found by it

    @pytest.mark.parametrize("key", ["../x", "a\nb", "💥", "k" * 251, "", "/", "a(b)"])
    def test_hostile_keys_become_allowed_ones_that_never_meet(self, key):
        safe = words.safe_key(key)
        assert 0 < len(safe) <= 250
        assert ".." not in safe.split("/")
        assert safe.replace("_", "").replace("-", "").replace(" ", "").replace(".", "").replace("/", "").isalnum()
        assert safe != words.safe_key(key + "!")

    def test_good_keys_stay(self):
        assert words.safe_key("optimizer.learning_rate") == "optimizer.learning_rate"
        assert words.log_label("optimizer.learning_rate") == "log10 optimizer.learning_rate"


class TestTrials:
    def test_what_a_trial_took_of_its_gpu_is_a_tag_and_numbers(self, study):
        plain = study.records[0]
        use = GpuUse("Fake GPU", utilization=0.5, memory=3 << 30, energy=None)
        record = replace(plain, result=replace(plain.result, gpu=use))
        steps, run = list(Content(study.start).trial_finished(record)), run_uid(study.start.uid, 0)
        assert merged(steps, run, "tags")["searchlab.gpu"] == "Fake GPU"
        numbers = merged(steps, run, "metrics")
        assert (numbers["gpu_utilization"], numbers["gpu_memory_mib"]) == (0.5, 3072.0)
        assert "gpu_energy_wh" not in numbers
        assert not any("gpu" in key for key in merged(told(study, 0)[0], run, "metrics"))

    def test_parameters_that_a_trial_lacks_are_left_out(self, study):
        steps, run = told(study, 0)
        params = merged(steps, run, "params")
        assert "optimizer.momentum" not in params
        assert "None" not in params.values()

    def test_parameters_are_short_and_the_exact_ones_in_a_file(self, study):
        steps, run = told(study, 1)
        params = merged(steps, run, "params")
        assert params["optimizer.learning_rate"] == "0.00316228"
        assert params["log10 optimizer.learning_rate"] == "-2.500"
        assert params["model.batch_norm"] == "true"
        file = next(step for step in steps if step.kind == "file" and step.body["path"] == "trial.json")
        assert json.loads(content_of(file))["params"] == dict(study.trials[1].params.values)

    def test_long_values_have_an_alias_and_are_not_cut_silently(self, study):
        trial = replace(study.trials[0], params=Params({"model": "mlp", "model.mlp.layers": "64 " * 3000}))
        steps = list(Content(study.start).trial_started(trial, 1.0))
        text = merged(steps, run_uid(study.start.uid, 0), "params")["model.layers"]
        assert len(text) <= 6000
        assert "9000 characters, sha256" in text
        file = next(step for step in steps if step.kind == "file")
        assert "64 " * 3000 in content_of(file).decode()

    def test_numbers_that_are_not_finite_are_a_tag_and_never_a_metric(self, study):
        steps, run = told(study, 2)
        for step in steps:
            if step.kind == "metrics":
                assert all(math.isfinite(value) for value in step.body["values"].values())
        assert merged(steps, run, "tags")["searchlab.nonfinite"] == "loss nan at epoch 2; val_loss nan at epoch 2"

    @pytest.mark.parametrize(("number", "status"), [(0, "FINISHED"), (1, "KILLED"), (2, "FAILED")])
    def test_the_status_says_how_it_ended(self, study, number, status):
        steps, run = told(study, number)
        assert steps[-1].kind == "end"
        assert steps[-1].body["status"] == status
        assert merged(steps, run, "tags")["searchlab.state"] == study.records[number].state

    def test_the_engine_is_a_tag(self, study):
        record = study.records[0]
        by_fit = replace(record, result=replace(record.result, engine="fit: seeds of its own"))
        tags = {}
        for step in Content(study.start).trial_finished(by_fit):
            if step.kind == "tags":
                tags |= step.body["values"]
        assert tags["searchlab.engine"] == "fit: seeds of its own"

    def test_a_failure_keeps_its_reason_and_traceback(self, study):
        steps, run = told(study, 2)
        assert merged(steps, run, "tags")["searchlab.reason"] == "diverged"
        assert any(step.kind == "file" and step.body["path"] == "failure.txt" for step in steps)
        assert "objective" not in merged(steps, run, "metrics")

    def test_a_trial_that_nobody_announced_is_written_whole(self, study):
        content = Content(study.start)
        steps = list(content.trial_finished(study.records[0]))
        points = {step.body["step"] for step in steps if "val_accuracy" in step.body.get("values", {})}
        assert points == {1, 2, 3}
        assert "begin" in {step.kind for step in steps}

    def test_a_record_without_a_result_is_enough(self, study):
        record = TrialRecord(study.trials[0], "failed")
        assert list(Content(study.start).trial_finished(record))[-1].body["status"] == "FAILED"

    def test_an_attempt_before_is_marked_as_lost(self, study):
        steps = list(Content(study.start).trial_started(replace(study.trials[0], attempt=2), 1.0))
        lost = next(step for step in steps if step.kind == "end")
        assert lost.run == run_uid(study.start.uid, 0, 1)
        assert lost.body == {"status": "FAILED", "state": "lost", "only_running": True}


class TestStudies:
    def test_nothing_is_called_test_before_the_seal_is_opened(self, study):
        content = Content(study.start)
        steps = list(content.study_started())
        for number in range(4):
            steps += content.trial_started(study.trials[number], 1.0)
            steps += content.trial_finished(study.records[number])
        steps += content.study_finished(study.result, {})
        keys = {key for step in steps if step.kind == "metrics" for key in step.body["values"]}
        assert not [key for key in keys if key.startswith("test")]
        score = TestScore(3, {"accuracy": 0.8}, {"accuracy": (0.6, 0.9)}, "Wilson", 20, 1)
        assert merged(list(content.test_scored(score)), content.parent, "metrics") == {"test_accuracy": 0.8}

    def test_the_description_tells_the_best_and_how_to_open_the_seal(self, study):
        text = words.description(study.start, study.result)
        assert "**Best val_accuracy 0.83**, trial 3 · 4 of 4 trials: 2 complete, 1 pruned, 1 failed" in text
        assert "searchlab final-test small" in text
        assert "| 3 | 0.83 | 4 | sgd | 0.003162 | 0.9 |" in text

    def test_the_description_tells_the_test_score_when_there_is_one(self, study):
        score = TestScore(3, {"accuracy": 0.8}, {"accuracy": (0.6, 0.9)}, "Wilson", 20, 2, {"accuracy": 0.1})
        text = words.description(study.start, study.result, score)
        assert "**accuracy** 0.8 (95 % interval 0.6 to 0.9, Wilson); baseline 0.1" in text
        assert "opened 2 times" in text
        assert "Sealed" not in text

    def test_markup_in_names_is_shown_and_not_obeyed(self, study):
        text = words.description(replace(study.start, description="<script>*a*|b"))
        assert r"\<script\>\*a\*\|b" in text

    def test_a_study_without_a_value_says_so(self, study):
        result = replace(study.result, trials=(study.records[2],))
        content = Content(study.start)
        steps = list(content.study_finished(result, {}))
        assert steps[-1].body["status"] == "FAILED"
        assert "No trial has a value" in words.description(study.start, result)

    def test_the_table_of_the_best_is_one_that_mlflow_shows(self, study):
        table = json.loads(words.best_table(study.result))
        assert table["columns"][:2] == ["trial", "val_accuracy"]
        assert [row[0] for row in table["data"]] == [3, 0]

    def test_what_has_no_end_is_marked_as_interrupted(self, study):
        content = Content(study.start)
        list(content.trial_started(study.trials[0], 1.0))
        ends = list(content.abandoned())
        assert [step.run for step in ends] == [run_uid(study.start.uid, 0), content.parent]
        assert list(content.abandoned())[:-1] == []

    def test_a_study_that_was_finished_is_not_interrupted(self, study):
        content = Content(study.start)
        for number in range(4):
            list(content.trial_started(study.trials[number], 1.0))
            list(content.trial_finished(study.records[number]))
        list(content.study_finished(study.result, {}))
        assert list(content.abandoned()) == []

    def test_looking_at_a_finished_study_does_not_interrupt_it(self, study):
        content = Content(study.start)
        list(content.study_started())
        assert list(content.abandoned()) == []


def test_steps_survive_a_line_of_json(study):
    steps, _ = told(study, 2)
    steps.append(file_step("run", 1.0, "a.png", b"\x89PNG\x00"))
    for step in steps:
        assert from_line(to_line(step)) == step
    assert content_of(from_line(to_line(steps[-1]))) == b"\x89PNG\x00"


def test_epochs_count_from_one_and_keep_their_time(study):
    content = Content(study.start)
    step = next(iter(content.epoch(Epoch(0, 1, {"loss": 1.0}, 0.5), 1, 77.0)))
    assert (step.body["step"], step.at) == (1, 77.0)


def test_the_table_of_the_best_is_one_that_its_viewer_can_show(study):
    """It takes a dot in a name for a path, and prints every digit."""
    table = json.loads(words.best_table(study.result))
    assert "optimizer learning_rate" in table["columns"]
    assert not [name for name in table["columns"] if "." in name]
    assert 0.00316228 in table["data"][0]


def test_a_description_shows_the_learning_rate_whatever_else_varies(study):
    others = {f"model.mlp.option_{number}": number for number in range(20)}
    trials = [replace(one, params=Params({**one.params.values, **others})) for one in study.trials]
    records = tuple(replace(one, trial=trial) for one, trial in zip(study.records, trials, strict=True))
    varied = (*(f"model.option_{number}" for number in range(20)), *study.start.varied)
    text = words.description(replace(study.start, varied=varied), replace(study.result, trials=records))
    (head,) = [line for line in text.splitlines() if line.startswith("| trial |")]
    assert "learning_rate" in head and "optimizer" in head and "depth" in head
    assert head.count("|") == 11
    assert "| 0.003162 |" in text
