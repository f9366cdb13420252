"""From files and overrides to one frozen spec."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from searchlab.config.writer import to_yaml
from searchlab.errors import Mark, SpecError, SpecErrors
from searchlab.spec import StoppingSpec, StudySpec
from searchlab.spec.duration import seconds
from searchlab.spec.load import load_study, load_text

SPACE = "model: {cnn: {depth: {low: 1, high: 3}, width: {per_layer: [16, 32]}}}\noptimizer: adam\n"
STUDY = "study: digits-cnn\ndata: {source: digits}\ntask: image_classification\nspace: spaces/cnn.yaml\n"
INLINE = STUDY.replace("spaces/cnn.yaml", "{model: cnn}")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "cnn.yaml").write_text(SPACE)
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return Path("study.yaml")


def faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        load_text(text, file="f", overrides=overrides)
    return [str(error) for error in caught.value.errors]


def test_what_is_not_said_takes_its_default(study: Path) -> None:
    spec = load_study(study)
    assert (spec.name, spec.task, spec.data.source.name, spec.seed) == (
        "digits-cnn",
        "image_classification",
        "digits",
        0,
    )
    assert (spec.search.sampler.name, spec.search.pruner.name) == ("tpe", "successive_halving")
    assert (spec.search.trials, spec.search.timeout, spec.search.objective, spec.search.direction) == (
        20,
        None,
        None,
        None,
    )
    assert spec.data.split.model_dump() == {
        "by": "stratified",
        "validation": 0.2,
        "test": 0.2,
        "seed": 0,
        "embargo": 0,
        "train_examples": None,
    }
    assert (spec.training.epochs, spec.training.early_stopping, spec.training.engine) == (20, None, "auto")
    assert (spec.training.precision, spec.training.jit_compile) == ("float32", "auto")
    assert (spec.execution.executor, spec.execution.workers, spec.execution.keep_weights) == ("local", "auto", 3)
    assert (spec.tracking.uri, spec.tracking.experiment, spec.tracking.enabled) == (None, "digits-cnn", True)
    assert spec.storage is None
    assert spec.space.names[0] == "model"


def test_what_is_said_is_taken() -> None:
    spec = load_text(
        "study: a\ndata: {source: csv, path: x.csv, columns: [a, b], split: {by: time, embargo: 3}, "
        "shuffle_labels: true}\n"
        "task: t\nspace: {model: cnn}\nsearch: {sampler: {tpe: {startup_trials: 5}}, pruner: none, trials: 7, "
        "timeout: 1h30m, objective: val_loss, direction: minimize}\n"
        "training: {epochs: 3, early_stopping: {patience: 4}, jit_compile: false}\nexecution: {workers: 2, gpus: 0}\n"
        "tracking: {experiment: e, enabled: false}\nstorage: sqlite:///x.db\nseed: 3\n"
    )
    assert spec.data.source.options == {"path": "x.csv", "columns": ["a", "b"]}
    assert (spec.data.split.by, spec.data.split.embargo, spec.data.shuffle_labels) == ("time", 3, True)
    assert (spec.search.sampler.name, spec.search.sampler.options) == ("tpe", {"startup_trials": 5})
    assert (spec.search.timeout, spec.search.trials, spec.search.direction) == (5400.0, 7, "minimize")
    assert spec.training.early_stopping == StoppingSpec(patience=4)
    assert (spec.execution.workers, spec.execution.gpus, spec.storage, spec.seed) == (2, 0, "sqlite:///x.db", 3)


def test_a_space_file_counts_from_the_study_and_keeps_its_places(study: Path, tmp_path: Path) -> None:
    spec = load_study(tmp_path / "study.yaml")
    assert spec.folder == tmp_path
    assert spec.space["model.cnn.depth"].mark == Mark("spaces/cnn.yaml", 1, 15)
    assert spec.mark("space.model.cnn.depth") == Mark("spaces/cnn.yaml", 1, 15)


def test_a_missing_space_file_is_told_with_all_other_faults(study: Path) -> None:
    study.write_text(STUDY.replace("spaces/cnn", "cn") + "seed: x\n")
    with pytest.raises(SpecErrors) as caught:
        load_study(study)
    assert [(error.mark.line, error.mark.column) for error in caught.value.errors if error.mark] == [(4, 8), (5, 7)]


def test_a_missing_study_is_told() -> None:
    with pytest.raises(SpecError, match="no shipped study"):
        load_study("nowhere.yaml")


def test_overrides_win_in_both_files(study: Path) -> None:
    spec = load_study(study, ["search.trials=3", "space.model.cnn.depth=2", "space.optimizer.adam.rate=0.5"])
    assert spec.search.trials == 3
    assert spec.space.names[-2:] == ("optimizer", "optimizer.adam.rate")
    assert str(spec.mark("search.trials")) == "command line"
    assert str(spec.space["model.cnn.depth"].mark) == "command line"


def test_an_override_may_name_another_space_and_change_it(study: Path, tmp_path: Path) -> None:
    (tmp_path / "mlp.yaml").write_text("model: {mlp: {units: 3}}\n")
    spec = load_study(study, ["space.model.mlp.units=5", "space=mlp.yaml"])
    assert spec.space["model.mlp.units"].domain.value == 5  # type: ignore[union-attr]


def test_faulty_overrides_come_with_the_other_faults() -> None:
    assert faults(INLINE + "seed: x\n", "a", "search.trials=0", "space.model=3") == [
        "command line: 'a' is not of the form name.name=value",
        "command line: model must be a name, a list of names or a mapping of names to options, not 3.",
        "command line: trials must lie in [1, 1000000], but is 0.",
        "f:5:7: seed must be a whole number at least 0, not 'x'.",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sede: 3", "f:5:1: no key of a study is called 'sede'. Did you mean 'seed'?"),
        ("seed: -1", "f:5:7: seed must be a whole number at least 0, not -1."),
        ("seed: true", "f:5:7: seed must be a whole number at least 0, not true."),
        ("storage: 3", "f:5:10: storage must be the URL of a database, or null, not 3."),
        ("search: {trials: 0}", "f:5:18: trials must lie in [1, 1000000], but is 0."),
        (
            "search: {trial: 3}",
            "f:5:10: no key of search is called 'trial'. Did you mean 'trials'? Known: sampler, pruner,",
        ),
        ("search: {timeout: 30x}", "f:5:19: timeout must be a number of seconds above 0 or a span such as 90s, 30m,"),
        ("search: {timeout: 0}", "f:5:19: timeout must be a number of seconds above 0"),
        ("search: {sampler: [tpe]}", "f:5:19: sampler must be a name, or one name with its options"),
        ("search: {sampler: {a: , b: }}", "f:5:19: sampler must be a name, or one name"),
        (
            "search: {direction: maximise}",
            "f:5:21: direction must be 'minimize' or 'maximize', or null, not 'maximise'.",
        ),
        ("search: 3", "f:5:9: search must be a mapping of names to values, not 3."),
        ("training: {epoch: 3}", "f:5:12: no key of training is called 'epoch'. Did you mean 'epochs'?"),
        ("training: {epochs: 2.5}", "f:5:20: epochs must be a whole number in [1, 1000000], not 2.5."),
        ("training: {epochs: .inf}", "f:5:20: epochs must be"),
        ("training: {precision: float23}", "f:5:23: precision must be 'float32' or"),
        (
            "training: {early_stopping: {patience: 0}}",
            "f:5:39: early_stopping.patience must lie in [1, 1000000], but is 0.",
        ),
        ("execution: {workers: -1}", "f:5:22: workers must lie in [0, 1000000], but is -1."),
        ("execution: {gpus: all}", "f:5:19: gpus must be a whole number in [0, 1024], or 'auto', not 'all'."),
        ("tracking: {enabled: no}", "f:5:21: enabled must be true or false, not 'no'. Did you mean false?"),
        ("tracking: {uri: ''}", "f:5:17: uri must be text, or null (string should have at least 1 character)"),
    ],
)
def test_a_faulty_section_is_refused_at_its_place(line: str, message: str) -> None:
    """G2, G5."""
    assert faults(f"{INLINE}{line}\n")[0].startswith(message[:60])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("3", "f:2:7: data must be a mapping with 'source', not 3."),
        ("{split: {}}", "f:2:7: data.source must be the name of a data source, not missing."),
        ("{source: [a]}", "f:2:16: data.source must be the name of a data source, not a list."),
        ("{source: a, split: {validation: 1.0}}", "f:2:39: validation must lie in (0, 1), but is 1.0."),
        (
            "{source: a, split: {validation: 0.5, test: 0.6}}",
            "f:2:26: data.split: validation and test together must be below 1, but are 1.1.",
        ),
        ("{source: a, split: {b: 3}}", "f:2:27: no key of data.split is called 'b'. Did you mean 'by'? Known: by,"),
        ("{source: a, shuffle_labels: yes}", "f:2:35: shuffle_labels must be true or false, not 'yes'."),
        ("{source: a, scale: .nan}", "f:2:26: scale must be a finite number, not nan."),
    ],
)
def test_faulty_data_is_refused_at_its_place(data: str, message: str) -> None:
    assert faults(INLINE.replace("{source: digits}", data))[0].startswith(message)


@pytest.mark.parametrize("key", ["study", "data", "task", "space"])
def test_what_must_be_there_is_missed(key: str) -> None:
    text = "".join(line for line in INLINE.splitlines(keepends=True) if not line.startswith(key))
    assert faults(text) == [f"f:1:1: a study must have {key!r}, which is missing."]


@pytest.mark.parametrize(
    "name",
    ["../../x", "a/b", '"a\\nb"', "x" * 101, "'\"'", "a%", "a{}", ".a", "-a", "é", "''", "a b", "3", "[a]", '"a\\n"'],
)
def test_a_name_that_would_be_dangerous_is_refused(name: str) -> None:
    """G8."""
    assert faults(INLINE.replace("digits-cnn", name))[0].startswith("f:1:8: ")


def test_all_faults_of_a_file_come_together() -> None:
    text = "study: a/b\ndata: {source: 3, split: {test: 2}}\nspace: {model: 3}\nsearch: {trials: x}\nseed: x\nfoo: 1\n"
    assert [error.split(":")[1] for error in faults(text)] == ["1", "1", "2", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("text", ["[1, 2]", "3", "word"])
def test_what_is_no_study_is_refused(text: str) -> None:
    assert faults(text)[0].startswith("f:1:1: a study must be a mapping of study, data,")


class TestEnvironment:
    """G9: `${NAME}` in addresses and data options."""

    TEXT = INLINE.replace(
        "{source: digits}", '{source: csv, path: "${FOLDER}/x.csv", cols: {"a.b": ["${FOLDER}"]}}'
    ) + ('tracking: {uri: "http://u:${WORD}@host"}\nstorage: "${WORD}"\n')

    @pytest.fixture(autouse=True)
    def _variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FOLDER", "/data")
        monkeypatch.setenv("WORD", "s3cret")

    def test_variables_are_filled_in(self) -> None:
        spec = load_text(self.TEXT)
        assert spec.data.source.options == {"path": "/data/x.csv", "cols": {"a.b": ["/data"]}}
        assert (spec.tracking.uri, spec.storage) == ("http://u:s3cret@host", "s3cret")

    def test_what_is_written_down_has_their_names(self) -> None:
        spec = load_text(self.TEXT)
        written = to_yaml(spec.resolved())
        assert "s3cret" not in written
        assert load_text(written) == spec

    def test_undefined_ones_are_named_at_their_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WORD")
        monkeypatch.setenv("WORDS", "x")
        found = [error for error in faults(self.TEXT) if "WORD" in error]
        assert found[0].startswith("f:5:17: the environment variable WORD is not set. Did you mean 'WORDS'")
        assert found[1].startswith("f:6:10: the environment variable WORD is not set.")

    def test_what_is_no_name_is_refused(self) -> None:
        assert "is not the name of an environment variable" in faults(self.TEXT.replace("${WORD}", "${A B}"))[0]


def whole() -> StudySpec:
    return load_text(
        "study: a\ndata: {source: csv, path: '1e-4', split: {by: time}}\ntask: t\n"
        "space:\n  model:\n    cnn: {depth: {low: 1, high: 3, default: 2}, width: {per_layer: [8, 16]}, "
        "act: [relu, 'no']}\n"
        "    default: cnn\n    mlp:\n  training: {b: {choices: [1, 2], default: 2}, "
        "lr: {low: 1e-7, high: 1.0, log: true}}\n"
        "search: {sampler: {tpe: {n: 5}}, timeout: 30m}\ntraining: {early_stopping: {patience: 2}}\n"
    )


def test_a_resolved_spec_reads_back_as_an_equal_one() -> None:
    spec = whole()
    again = load_text(to_yaml(spec.resolved()))
    assert again == spec
    assert again.digest() == spec.digest()
    assert load_text(json.dumps(spec.resolved())) == spec


def test_a_smaller_training_part_is_said_where_it_is_asked_for_alone() -> None:
    spec = whole()
    assert "train_examples" not in spec.resolved()["data"]["split"]  # digests of before hold
    split = spec.data.split.model_copy(update={"train_examples": 50})
    small = replace(spec, data=replace(spec.data, split=split))
    assert load_text(json.dumps(small.resolved())) == small and small.digest() != spec.digest()


def test_specs_that_differ_have_other_digests() -> None:
    texts = [
        INLINE,
        INLINE + "seed: 1",
        INLINE.replace("cnn}", "mlp}"),
        INLINE + "search: {trials: 3}",
        INLINE.replace("digits}", "digits, a: 1}"),
    ]
    assert len({load_text(text).digest() for text in texts}) == len(texts)


def test_a_spec_travels() -> None:
    spec = whole()
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_marks_point_at_the_value_or_what_encloses_it() -> None:
    spec = load_text(INLINE + "search: {trials: 3}\n", file="f")
    assert spec.mark("search.trials") == Mark("f", 5, 10)
    assert spec.mark("search.objective") == Mark("f", 5, 1)
    assert spec.mark("training.engine") is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90s", 90.0),
        ("30m", 1800.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
    ],
)
def test_spans_of_time(written: object, expected: float) -> None:
    assert seconds(written) == expected


@pytest.mark.parametrize("written", [True, 0, -1, "", "30", "30x", "m", "1h 30m", "0s", [], float("nan"), float("inf")])
def test_what_is_no_span_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="30m"):
        seconds(written)


def test_what_is_done_about_copies_is_one_of_four_words() -> None:
    spec = whole()
    assert spec.data.duplicates == "warn" and "duplicates" not in spec.resolved()["data"]  # digests of before hold
    other = replace(spec, data=replace(spec.data, duplicates="together"))
    assert load_text(json.dumps(other.resolved())) == other and other.digest() != spec.digest()
    with pytest.raises(
        SpecErrors, match="duplicates must be one of ignore, warn, fail, together, not 'togther'"
    ) as caught:
        load_text("study: a\ndata: {source: a, duplicates: togther}\ntask: t\nspace: {model: cnn}\n")
    assert "Did you mean 'together'" in str(caught.value)
