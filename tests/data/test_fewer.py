"""A smaller training part: as many of each class as of the others, the other parts untouched."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from searchlab.data import Collection, Examples
from searchlab.data.fewer import fewer
from searchlab.data.prepare import load_search, prepare
from searchlab.errors import DataError

SETTINGS = {"rule": "stratified", "validation": 0.25, "test": 0.25, "seed": 3}
WORDS = np.repeat(["cat", "dog", "owl"], [60, 30, 6])


def labelled():
    x = np.random.default_rng(0).normal(size=(len(WORDS), 2))
    return Collection(Examples(x, WORDS), "table", "made", ("a", "b"))


def rows_of(prepared):
    return json.loads((Path(prepared.folder) / "split.json").read_text())["rows"]


@pytest.mark.parametrize(("count", "expected"), [(3, [1, 1, 1]), (9, [3, 3, 3]), (20, [9, 8, 3]), (48, [30, 15, 3])])
def test_classes_are_as_even_as_their_numbers_allow(count, expected):
    rows = np.flatnonzero(np.repeat([1, 0] * 3, [30, 30, 15, 15, 3, 3]))
    kept = fewer(rows, WORDS, count, seed=0)
    found = [(WORDS[kept] == name).sum() for name in ("cat", "dog", "owl")]
    assert sorted(found) == sorted(expected) and set(kept) <= set(rows) and (np.diff(kept) > 0).all()


def test_what_a_smaller_number_draws_is_among_what_a_larger_one_draws():
    for y in (WORDS, np.linspace(0.0, 1.0, len(WORDS))):
        kept = [set(fewer(np.arange(len(y)), y, count, seed=5)) for count in range(3, len(y) + 1)]
        assert all(small < large for small, large in itertools.pairwise(kept))


def test_the_seed_decides_who_is_drawn():
    drawn = [fewer(np.arange(96), WORDS, 9, seed=seed).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_quantities_are_drawn_whatever_their_values():
    kept = fewer(np.arange(50), np.linspace(0.0, 1.0, 50), 7, seed=0)
    assert len(set(kept)) == 7


def test_only_the_training_part_gets_smaller(tmp_path):
    whole = prepare(labelled(), **SETTINGS, store=tmp_path)
    small = prepare(labelled(), **SETTINGS, store=tmp_path, train_examples=9)
    assert small.counts == {**whole.counts, "train": 9} and small.left_out == whole.counts["train"] - 9
    assert small.classes["train"] == {"cat": 3, "dog": 3, "owl": 3}
    for part in ("validation", "test"):
        assert rows_of(small)[part] == rows_of(whole)[part]
    assert set(rows_of(small)["train"]) < set(rows_of(whole)["train"])
    assert len(load_search(small.folder)[1].train) == 9


def test_the_number_is_part_of_the_digest_and_its_absence_is_not(tmp_path):
    digests = [prepare(labelled(), **SETTINGS, store=tmp_path, train_examples=n).digest for n in (None, 48, 9, 10)]
    assert len(set(digests)) == 4
    assert digests[0] == "07ffea51de48a6d0fcec88683ac4ea65731e5fc9d345c69581411d60de7e9691"


def test_too_many_and_too_few_are_refused(tmp_path):
    with pytest.raises(DataError, match="`train_examples: 49` asks for more than the 48 examples"):
        prepare(labelled(), **SETTINGS, store=tmp_path, train_examples=49)
    with pytest.raises(DataError, match="leaves some of the 3 classes without an example; give 3 or more"):
        prepare(labelled(), **SETTINGS, store=tmp_path, train_examples=2)
