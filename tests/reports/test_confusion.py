"""Precision, recall and F1 as scikit-learn has them, tables that hold no formula, a picture of any size."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from searchlab.records import Confusion
from searchlab.reports.confusion import CORNER, counts_csv, mistakes, scores, scores_csv
from searchlab.reports.confusion_picture import picture

COUNTS = ((5, 1, 0, 0), (2, 3, 0, 0), (0, 0, 0, 0), (1, 0, 2, 0))
CONFUSION = Confusion(7, ("ant", "bee", "cat", "=dog"), COUNTS)


def test_scores_are_those_of_scikit_learn():
    pairs = [(i, j) for i, row in enumerate(COUNTS) for j, count in enumerate(row) for _ in range(count)]
    y, predicted = np.transpose(pairs)
    expected = precision_recall_fscore_support(y, predicted, labels=range(4), zero_division=np.nan)
    for i, one in enumerate(scores(CONFUSION)):
        assert one.name == CONFUSION.classes[i] and one.examples == expected[3][i]
        for found, wanted in ((one.precision, expected[0][i]), (one.recall, expected[1][i])):
            assert found is None if np.isnan(wanted) else found == pytest.approx(wanted)
        assert one.f1 == pytest.approx(np.nan_to_num(expected[2][i]))


def test_a_class_that_nobody_has_and_nobody_predicts_has_no_score():
    only = scores(Confusion(0, ("a", "b"), ((3, 0), (0, 0))))[1]
    assert (only.examples, only.precision, only.recall, only.f1) == (0, None, None, None)


def test_the_most_frequent_mistakes_come_first():
    found = [(one.true, one.predicted, one.count, one.share) for one in mistakes(CONFUSION, 2)]
    assert found == [("bee", "ant", 2, 0.4), ("=dog", "cat", 2, pytest.approx(2 / 3))]
    assert len(mistakes(CONFUSION, 99)) == 4


def test_the_tables_can_be_read_back_and_hold_no_formula():
    table = pd.read_csv(io.StringIO(scores_csv(CONFUSION)))
    assert list(table.columns) == ["class", "examples", "precision", "recall", "f1"]
    assert table["class"].tolist() == ["ant", "bee", "cat", "'=dog"] and table["examples"].tolist() == [6, 5, 0, 3]
    counts = pd.read_csv(io.StringIO(counts_csv(CONFUSION)), index_col=CORNER)
    assert list(counts.columns) == ["ant", "bee", "cat", "'=dog"]
    assert counts.to_numpy().tolist() == [list(row) for row in COUNTS]


@pytest.mark.parametrize("k", [2, 30, 31, 150])
def test_a_picture_is_drawn_for_any_number_of_classes_and_names(k, recwarn):
    counts = tuple(tuple(int(i == j) * 5 for j in range(k)) for i in range(k))
    names = tuple(f"$\\class{i}$ 猫\n{'x' * 40}" for i in range(k))
    content = picture(Confusion(0, names, counts))
    assert content.startswith(b"\x89PNG") and 5_000 < len(content) < 500_000
    assert not recwarn.list


def test_drawing_leaves_the_state_of_matplotlib_alone():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    picture(CONFUSION)
    assert plt.get_fignums() == before
