"""Copies on both sides of a split: said, refused, or kept together; the test part decides nothing else."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from searchlab.data import Collection, Examples
from searchlab.data.copies import clusters
from searchlab.data.marks import marks
from searchlab.data.prepare import prepare
from searchlab.errors import DataError

SETTINGS = {"rule": "stratified", "validation": 0.2, "test": 0.2, "seed": 0}


def a_table(copies=6, n=60):
    """Each of the last rows equals one of the first."""
    x = np.random.default_rng(0).normal(size=(n, 3))
    x[n - copies :] = x[:copies]
    return Collection(Examples(x, np.arange(n) % 2), "table", "made", ("a", "b", "c"))


def photographs():
    """80 crops, of which the last 20 are the first ones, mirrored."""
    photograph = load_sample_images().images[1]
    found = [photograph[i : i + 64, j : j + 64] for i in range(0, 360, 60) for j in range(0, 560, 56)]
    x = np.stack([*found[:60], *(one[:, ::-1] for one in found[:20])])
    names = tuple(f"{number}.jpg" for number in range(80))
    return Collection(Examples(x, np.arange(80) % 2), "images", "made", names=names)


def part_of(prepared):
    rows = json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]
    return {row: part for part, numbers in rows.items() for row in numbers}


@pytest.mark.parametrize("rule", ["stratified", "random"])
def test_f6_equal_examples_stay_in_one_part(tmp_path, rule):
    prepared = prepare(a_table(), **{**SETTINGS, "rule": rule}, store=tmp_path, duplicates="together")
    part = part_of(prepared)
    assert all(part[row] == part[row + 54] for row in range(6)) and prepared.facts["copies"] == 12
    assert prepared.duplicates_across_parts == 0 and sum(prepared.counts.values()) == 60
    sealed = json.loads((Path(prepared.sealed_folder) / "meta.json").read_text())
    assert sealed["duplicates_of_search"] == 0


def test_f6_equal_examples_in_two_parts_are_refused_by_name(tmp_path):
    with pytest.raises(
        DataError, match=r"copies of one another.*\n  example \d \(\w+\) = example \d\d \(\w+\)"
    ) as caught:
        prepare(a_table(), **SETTINGS, store=tmp_path, duplicates="fail")
    assert "`data: {duplicates: together}`" in str(caught.value) and not list(tmp_path.iterdir())
    assert prepare(a_table(copies=0), **SETTINGS, store=tmp_path, duplicates="fail").facts["copies"] == 0


def test_f6_equal_examples_are_said_or_not(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        silent = prepare(a_table(20), **SETTINGS, store=tmp_path, duplicates="ignore")
        assert caplog.text == ""
        told = prepare(a_table(20), **SETTINGS, store=tmp_path)
    assert "validation examples are equal to a training example" in caplog.text and told.digest == silent.digest


def test_f7_near_copies_stay_in_one_part(tmp_path):
    prepared = prepare(photographs(), **SETTINGS, store=tmp_path, duplicates="together")
    part = part_of(prepared)
    assert sum(part[row] == part[row + 60] for row in range(20)) >= 19
    assert {"train", "validation", "test"} == {part[row] for row in range(20)}


def test_f7_near_copies_in_two_parts_are_said_and_refused(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        told = prepare(photographs(), **SETTINGS, store=tmp_path)
    assert told.near_duplicates_across_parts > told.duplicates_across_parts == 0
    assert "copies or near copies of a training example" in caplog.text
    with pytest.raises(DataError, match=r"\d+\.jpg \(\w+\) = \d+\.jpg \(\w+\)"):
        prepare(photographs(), **SETTINGS, store=tmp_path, duplicates="fail")


def test_what_the_test_rows_hold_changes_nothing_that_is_said(tmp_path):
    source = photographs()
    prepared = prepare(source, **SETTINGS, store=tmp_path / "one")
    test = [row for row, part in part_of(prepared).items() if part == "test"]
    x = source.examples.x.copy()
    x[test] = np.random.default_rng(0).integers(256, size=x[test].shape, dtype=np.uint8)
    other = prepare(replace(source, examples=replace(source.examples, x=x)), **SETTINGS, store=tmp_path / "two")
    assert replace(other, folder="", sealed_folder="") == replace(prepared, folder="", sealed_folder="")


def test_without_copies_the_split_is_that_of_before(tmp_path):
    source = a_table(copies=0)
    one, other = (prepare(source, **SETTINGS, store=tmp_path, duplicates=policy) for policy in ("warn", "together"))
    assert part_of(one) == part_of(other) and one.digest != other.digest  # what was asked for is part of it


def test_copies_join_the_groups_that_hold_them(tmp_path):
    source = a_table(copies=6)
    group = np.array([f"g{number // 3:02}" for number in range(60)])
    source = replace(source, examples=replace(source.examples, group=group))
    prepared = prepare(source, **{**SETTINGS, "rule": "group"}, store=tmp_path, duplicates="together")
    part = part_of(prepared)
    assert all(part[row] == part[row + 54] for row in range(6))
    assert all(len({part[row] for row in range(3 * g, 3 * g + 3)}) == 1 for g in range(20))


def test_who_goes_where_is_not_ours_to_change(tmp_path):
    fold = np.array(["train", "validation", "test"])[np.arange(60) % 3]
    source = replace(a_table(), examples=replace(a_table().examples, fold=fold))
    with pytest.raises(DataError, match="cannot move copies where `by: given` says"):
        prepare(source, **{**SETTINGS, "rule": "given"}, store=tmp_path, duplicates="together")


def test_a_chain_of_copies_is_one_cluster():
    x = np.arange(6.0)[:, None][[0, 1, 0, 2, 1, 0]]
    source = Collection(Examples(x, np.arange(6)), "table", "made", ("a",))
    assert clusters(source, marks(source.examples)).tolist() == [0, 1, 0, 3, 1, 0]
