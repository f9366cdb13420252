"""What is stored: disjoint parts, the same bytes each time, and nothing that test rows hold."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searchlab.data import Collection, Examples, folders
from searchlab.data.digest import canonical, of_array, of_examples
from searchlab.data.prepare import Prepared, load_prepared, load_search, prepare
from searchlab.errors import DataError, UnknownName

SETTINGS = {"rule": "stratified", "validation": 0.25, "test": 0.25, "seed": 3}


def a_table(n=60, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    x[0, 1] = np.nan
    words = np.array([["red", "small"], ["green", "big"]])[np.arange(n) % 2]
    examples = Examples(x=x, y=np.array(["cat", "dog", "owl"])[np.arange(n) % 3], categories=words)
    return Collection(examples, "table", "made", ("a", "b", "c"), ("colour", "size"), facts={"origin": "a test"})


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_parts_are_disjoint_and_complete(tmp_path):
    prepared = prepare(a_table(), **SETTINGS, store=tmp_path)
    rows = json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]
    assert sorted(rows["train"] + rows["validation"] + rows["test"]) == list(range(60))
    assert prepared.counts == {"train": 30, "validation": 15, "test": 15}
    assert prepared.classes["test"] == {"cat": 5, "dog": 5, "owl": 5}


def test_search_data_comes_back_as_it_was(tmp_path):
    source = a_table()
    prepared = prepare(source, **SETTINGS, store=tmp_path)
    rows = json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]
    collection, splits = load_search(prepared.folder, check=True)
    np.testing.assert_array_equal(splits.train.x, source.examples.x[rows["train"]])
    np.testing.assert_array_equal(splits.validation.categories, source.examples.categories[rows["validation"]])
    assert splits.train.y.dtype.kind == "U" and isinstance(splits.train.x, np.memmap)
    assert (collection.columns, collection.kind, collection.facts) == (("a", "b", "c"), "table", {"origin": "a test"})
    assert len(collection.examples) == len(splits.train)


def test_prepared_is_plain_and_can_be_read_again(tmp_path):
    prepared = prepare(a_table(), **SETTINGS, store=tmp_path)
    assert Prepared.from_json(json.loads(json.dumps(prepared.to_json()))) == prepared
    assert load_prepared(prepared.folder) == prepared


def test_preparing_twice_changes_nothing(tmp_path):
    first = prepare(a_table(), **SETTINGS, store=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert prepare(a_table(), **SETTINGS, store=tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_no_byte_of_the_search_data_depends_on_what_test_rows_hold(tmp_path):
    source = a_table()
    prepared = prepare(source, **SETTINGS, store=tmp_path / "one")
    test = json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]["test"]
    x, words = source.examples.x.copy(), source.examples.categories.astype("<U40")
    x[test] = np.random.default_rng(9).normal(size=x[test].shape) * 1e6
    words[test] = "a word that is much longer than the others"[:40]
    x[test[0]] = x[test[1]]  # and duplicates among them
    noise = replace(source, examples=replace(source.examples, x=x, categories=words))
    other = prepare(noise, **SETTINGS, store=tmp_path / "two")
    assert bytes_below(tmp_path / "one" / "data") == bytes_below(tmp_path / "two" / "data")
    assert other.digest == prepared.digest
    assert bytes_below(tmp_path / "one" / "sealed") != bytes_below(tmp_path / "two" / "sealed")


def test_search_data_does_not_tell_that_test_rows_repeat_others(tmp_path):
    source = a_table()
    prepared = prepare(source, **SETTINGS, store=tmp_path / "one")
    rows = json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]
    x, words = source.examples.x.copy(), source.examples.categories.copy()
    for test, other in zip(rows["test"], (rows["train"][3], rows["validation"][2]), strict=False):
        x[test], words[test] = x[other], words[other]
    leaky = replace(source, examples=replace(source.examples, x=x, categories=words))
    sealed = prepare(leaky, **SETTINGS, store=tmp_path / "two").sealed_folder
    assert bytes_below(tmp_path / "one" / "data") == bytes_below(tmp_path / "two" / "data")
    assert json.loads((Path(sealed) / "meta.json").read_text())["duplicates_of_search"] == 2


def test_counts_validation_rows_that_repeat_training_rows(tmp_path, caplog):
    source = a_table()
    assert prepare(source, **SETTINGS, store=tmp_path).duplicates_across_parts == 0
    x = source.examples.x.copy()
    x[:] = 1.0
    same = replace(source, examples=replace(source.examples, x=x))
    assert prepare(same, **SETTINGS, store=tmp_path).duplicates_across_parts == 15
    assert "15 of 15 validation examples" in caplog.text


def test_test_rows_are_for_the_owner_alone(tmp_path):
    sealed = Path(prepare(a_table(), **SETTINGS, store=tmp_path).sealed_folder)
    assert sealed.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in sealed.iterdir()} == {0o400}
    assert {path.name for path in sealed.iterdir()} == {"meta.json", "test.x.npy", "test.y.npy", "test.categories.npy"}


def test_changed_test_rows_do_not_replace_sealed_ones(tmp_path):
    source = a_table()
    prepared = prepare(source, **SETTINGS, store=tmp_path)
    test = json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]["test"]
    x = source.examples.x.copy()
    x[test] += 1.0
    with pytest.raises(DataError, match="test rows have changed"):
        prepare(replace(source, examples=replace(source.examples, x=x)), **SETTINGS, store=tmp_path)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "meta"])
def test_damaged_search_data_is_noticed(tmp_path, damage):
    folder = Path(prepare(a_table(), **SETTINGS, store=tmp_path).folder)
    path = folder / ("meta.json" if damage == "meta" else "train.x.npy")
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "meta":
        path.write_bytes(content[:-9])
    else:
        path.unlink()
    with pytest.raises(DataError, match="prepare"):
        prepare(a_table(), **SETTINGS, store=tmp_path)


def test_an_interrupted_write_leaves_no_folder(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "pieces", full)
    with pytest.raises(OSError, match="No space"):
        prepare(a_table(), **SETTINGS, store=tmp_path)
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    prepare(a_table(), **SETTINGS, store=tmp_path)


def test_the_split_is_the_same_in_another_process(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from test_prepare import SETTINGS, a_table; from searchlab.data.prepare import prepare\n"
        "print(prepare(a_table(), **SETTINGS, store=Path(sys.argv[2])).digest)"
    )
    here = str(Path(__file__).parent)
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, here, str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == prepare(a_table(), **SETTINGS, store=tmp_path / "here").digest


def test_another_seed_or_rule_is_other_data(tmp_path):
    digests = {
        prepare(a_table(), **{**SETTINGS, **change}, store=tmp_path).digest
        for change in ({}, {"seed": 4}, {"rule": "random"}, {"validation": 0.3}, {"shuffle_labels": True})
    }
    assert len(digests) == 5


def test_shuffling_labels_keeps_their_counts_and_breaks_their_tie_to_x(tmp_path):
    prepared = prepare(a_table(), **SETTINGS, shuffle_labels=True, store=tmp_path)
    assert prepared.classes["train"] == {"cat": 10, "dog": 10, "owl": 10}
    _, splits = load_search(prepared.folder)
    rows = json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]["train"]
    same = np.mean(splits.train.y == a_table().examples.y[rows])
    assert 0.1 < same < 0.6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.full((60, 3), np.inf)}, "x is infinite in these rows, counted from 0: 0, 1"),
        ({"y": np.full(60, np.nan)}, "target is not a finite number"),
        ({"y": np.arange(59)}, "y has shape"),
        ({"y": np.array([object()] * 60)}, "numbers or words"),
        ({"group": np.array([""] * 60)}, "group is empty"),
        ({"y": np.array(["cat"] * 58 + ["dog"] * 2)}, "at least 3 examples.*dog \\(2\\)"),
    ],
)
def test_unusable_examples_are_refused(tmp_path, change, words):
    source = a_table()
    with pytest.raises(DataError, match=words):
        prepare(replace(source, examples=replace(source.examples, **change)), **SETTINGS, store=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_series_must_have_no_holes(tmp_path):
    x = np.zeros((30, 4, 1))
    x[7, 2] = np.nan
    with pytest.raises(DataError, match="counted from 0: 7"):
        prepare(Collection(Examples(x, np.arange(30) % 2), "series", "made"), **SETTINGS, store=tmp_path)


def test_a_class_missing_in_a_part_is_refused_with_the_counts(tmp_path):
    source = a_table()
    y = np.array(["rare"] * 2 + ["common"] * 58)
    with pytest.raises(DataError, match="a class is missing") as caught:
        prepare(
            replace(source, examples=replace(source.examples, y=y)), **{**SETTINGS, "rule": "random"}, store=tmp_path
        )
    assert "rare" in str(caught.value) and "validation" in str(caught.value)


def test_an_unknown_rule_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="stratified"):
        prepare(a_table(), **{**SETTINGS, "rule": "stratifed"}, store=tmp_path)


class TestDigest:
    def test_does_not_depend_on_layout(self):
        array = np.arange(12.0).reshape(3, 4)
        assert of_array(array) == of_array(np.asfortranarray(array)) == of_array(array.astype(">f8"))
        assert of_array(np.array(["a", "bc"], "<U2")) == of_array(np.array(["a", "bc"], "<U9"))

    def test_depends_on_each_value_the_type_and_the_shape(self):
        array = np.zeros((60_000, 4), np.uint8)
        late = array.copy()
        late[-1, -1] = 1
        others = [late, array.astype(np.int8), array.reshape(4, -1), array[:-1]]
        assert len({of_array(one) for one in [array, *others]}) == 5

    def test_an_absent_array_is_not_an_empty_one(self):
        x = np.zeros((2, 1))
        assert of_examples(Examples(x, x)) != of_examples(Examples(x, x, group=np.array(["", ""])))

    def test_takes_empty_arrays_and_empty_words(self):
        assert canonical(np.array([""])).dtype.str == "<U1"
        of_array(np.zeros((0, 3)))
