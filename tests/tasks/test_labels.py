"""Labels of all sorts."""

import numpy as np
import pytest

from searchlab.errors import DataError
from searchlab.tasks._labels import Classes


@pytest.mark.parametrize(
    "y, names",
    [
        (np.array(["b", "a", "b"]), ("a", "b")),
        (np.array(["b", "a", "b"], object), ("a", "b")),
        (np.array([7, -1, 7], np.int8), (-1, 7)),
        (np.array([10, 2, 10], np.uint16), (2, 10)),
        (np.array([1.0, 0.0, 1.0]), (0, 1)),
        (np.array([True, False, True]), (0, 1)),
    ],
)
def test_words_and_whole_numbers_are_classes_in_ascending_order(y, names):
    classes = Classes.fit(y)
    assert classes.names == names
    assert classes.encode(y).tolist() == [1, 0, 1]
    assert classes.decode(np.array([0, 1])).tolist() == list(names)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.array([0.5, 1.0]), "is this a regression"),
        (np.array([np.nan, 1.0]), "1 of 2 labels are missing"),
        (np.array(["a", None], object), "1 of 2 labels are missing"),
        (np.array(["a", "a"]), "at least two classes.*all are 'a'"),
        (np.array([[1], [2]]), r"shape \(n,\)"),
        (np.array([], int), "there are none"),
        (np.array([1j, 2j]), "complex"),
    ],
)
def test_what_is_no_label_is_refused(y, message):
    with pytest.raises(DataError, match=message):
        Classes.fit(y)


def test_a_new_label_is_refused_with_the_nearest_known_one():
    classes = Classes.fit(np.array(["apple", "banana"]))
    with pytest.raises(DataError, match=r"'bananas'.* Did you mean 'banana'.*Known: apple, banana"):
        classes.encode(np.array(["apple", "bananas"]))
    with pytest.raises(DataError, match=r"such as 1 are of another type than in training \('apple'\)"):
        classes.encode(np.array([1, 2]))
    with pytest.raises(DataError, match="such as 9"):
        Classes.fit(np.array([1, 5])).encode(np.array([5, 9]))
