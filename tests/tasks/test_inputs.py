"""Images, series, tokens and tables, as models get them."""

import numpy as np
import pytest

from searchlab.data import Collection, Examples
from searchlab.errors import DataError
from searchlab.tasks._pictures import Pictures, Rows
from searchlab.tasks._series import Series
from searchlab.tasks._table import MOST_WORDS, Table
from searchlab.tasks._tokens import Tokens


def collection(x, *, kind="table", categories=None, **settings):
    x = np.asarray(x)
    examples = Examples(x, np.zeros(len(x)), categories=None if categories is None else np.asarray(categories))
    return Collection(examples, kind, "made up", **settings)


def fit(inputs, x, **settings):
    found = collection(x, **settings)
    return inputs.fit(found, found.examples)


class TestTable:
    def test_gaps_get_the_median_of_training(self):
        table = fit(Table, [[1.0], [np.nan], [2.0], [9.0]])
        gap, median = table.encode(collection([[np.nan], [2.0]]).examples)
        assert gap == median

    def test_a_column_of_gaps_alone_is_zeros(self):
        table = fit(Table, [[1.0, np.nan], [2.0, np.nan]])
        assert table.encode(collection([[1.0, np.nan], [1.0, 5.0]]).examples).tolist() == [[-1.0, 0.0], [-1.0, 5.0]]

    def test_words_become_columns_and_unknown_ones_zeros(self):
        table = fit(Table, np.empty((3, 0)), categories=[["b", "x"], ["a", "x"], ["b", "x"]])
        new = collection(np.empty((3, 0)), categories=[["a", "x"], ["b", "y"], ["c", "x"]]).examples
        assert table.encode(new).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]

    def test_names_are_no_category(self):
        people = [[f"person {i}"] for i in range(MOST_WORDS + 1)]
        with pytest.raises(DataError, match="'name' has 1001 different words"):
            fit(Table, np.zeros((len(people), 1)), categories=people, category_columns=("name",))

    @pytest.mark.parametrize(
        "x, message",
        [
            ([["a"], ["b"]], "must be numbers"),
            ([[1.0], [np.inf]], "column 0 of row 1 is infinite"),
            (np.empty((2, 0)), "no column"),
            (np.empty((0, 2)), "no rows"),
            ([1.0, 2.0], "shape"),
        ],
    )
    def test_what_is_no_table_is_refused(self, x, message):
        with pytest.raises(DataError, match=message):
            fit(Table, x)

    def test_other_columns_than_in_training_are_refused(self):
        with pytest.raises(DataError, match=r"1 columns of numbers and 0 of words.* 2 and 0"):
            fit(Table, [[1.0], [2.0]]).encode(collection([[1.0, 2.0]]).examples)


class TestTokens:
    def test_known_tokens_keep_their_order_and_all_others_are_one_unknown(self):
        tokens = fit(Tokens, [[7, 3, 0], [900, 3, 0]])
        assert tokens.vocabulary_size == 5
        new = collection([[3, 7, 900], [4, 905, 0], [0, 0, 3]]).examples
        assert tokens.encode(new).tolist() == [[1, 2, 3], [4, 4, 0], [0, 0, 1]]

    def test_an_example_of_padding_alone_reads_as_one_unknown_token(self):
        assert fit(Tokens, [[1, 2]]).encode(collection([[0, 0]]).examples).tolist() == [[3, 0]]

    def test_whole_numbers_of_any_width_will_do(self):
        x = np.array([[1, 200]], np.uint8)
        assert fit(Tokens, x).encode(collection(x).examples).tolist() == [[1, 2]]

    @pytest.mark.parametrize("x, message", [([[1.0]], "whole"), ([[-1]], "negative"), ([1, 2], "shape")])
    def test_what_is_no_token_is_refused(self, x, message):
        with pytest.raises(DataError, match=message):
            fit(Tokens, x)

    def test_another_length_than_in_training_is_refused(self):
        with pytest.raises(DataError, match=r"2 tokens.* 3"):
            fit(Tokens, [[1, 2]]).encode(collection([[1, 2, 3]]).examples)


class TestPictures:
    def test_rows_run_from_top_to_bottom_and_keep_their_channels(self):
        x = np.arange(2 * 3 * 2 * 2, dtype=np.uint8).reshape(2, 3, 2, 2)
        rows = fit(Rows, x)
        assert rows.shape == (3, 4)
        assert (np.diff(rows.encode(collection(x).examples).reshape(2, -1)[:, ::2], axis=1) > 0).all()

    def test_bytes_and_equal_floats_give_equal_arrays(self):
        x = np.random.default_rng(0).integers(0, 17, (5, 2, 2, 1))
        one, two = (fit(Pictures, x.astype(t)).encode(collection(x.astype(t)).examples) for t in (np.uint8, np.float64))
        assert (one == two).all()

    @pytest.mark.parametrize(
        "x, message",
        [
            (np.zeros((2, 4, 4)), "shape"),
            (np.zeros((0, 4, 4, 1)), "no images"),
            (np.full((1, 1, 1, 1), "a"), "numbers"),
        ],
    )
    def test_what_is_no_image_is_refused(self, x, message):
        with pytest.raises(DataError, match=message):
            fit(Pictures, x)

    def test_another_size_than_in_training_is_refused(self):
        with pytest.raises(DataError, match=r"\(2, 2, 1\), as in training"):
            fit(Pictures, np.zeros((2, 2, 2, 1))).encode(collection(np.zeros((1, 3, 3, 1))).examples)


def test_a_series_with_gaps_is_refused_with_the_first_example_that_has_one():
    x = np.zeros((4, 2, 1))
    x[2, 1] = np.nan
    with pytest.raises(DataError, match="1 of 4 series hold NaN or infinite numbers, example 2 first"):
        fit(Series, x)
