"""Rows that are read from a file are those of the array, and are prepared, hashed and written as the array is."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from searchlab.data import Collection, Examples, rows
from searchlab.data.digest import of_array
from searchlab.data.prepare import load_search, prepare
from searchlab.data.rows import Rows, as_array, is_in_memory, pieces, stored, unmapped
from searchlab.errors import DataError

ARRAY = np.random.default_rng(0).normal(size=(50, 3, 2))


@pytest.fixture
def file(tmp_path):
    (tmp_path / "rows").write_bytes(b"head" + ARRAY.tobytes())
    with (tmp_path / "rows").open("rb") as file:
        yield file


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(10, 20),
        slice(20, 10),
        slice(-5, None),
        slice(0, 50, 7),
        slice(None, None, -1),
        3,
        -1,
        np.array([4, 4, -2, 0]),
        np.array([[1, 2], [3, 4]]),
        np.array([], dtype=np.int64),
    ],
    ids=str,
)
def test_rows_are_those_of_the_array(file, key):
    found = stored(file, ARRAY.shape, ARRAY.dtype, offset=4)
    np.testing.assert_array_equal(found[key], ARRAY[key])
    places = np.arange(49, -1, -1)
    np.testing.assert_array_equal(Rows(ARRAY.shape, ARRAY.dtype, lambda key: found[places[key]])[key], ARRAY[::-1][key])


def test_rows_say_what_they_are(file):
    found = stored(file, ARRAY.shape, ARRAY.dtype, offset=4)
    assert (found.shape, found.dtype, found.ndim, found.size) == (ARRAY.shape, ARRAY.dtype, ARRAY.ndim, ARRAY.size)
    assert found.nbytes == ARRAY.nbytes and len(found) == len(ARRAY) and not is_in_memory(found)
    np.testing.assert_array_equal(np.asarray(found), ARRAY)
    with pytest.raises(IndexError):
        found[np.array([50])]


def test_a_file_that_was_cut_off_is_noticed(file):
    with pytest.raises(EOFError):
        stored(file, (51, 3, 2), ARRAY.dtype, offset=4)[:]


def test_pieces_are_the_whole(file, monkeypatch):
    monkeypatch.setattr(rows, "PIECE", 7 * 48)
    for array in (ARRAY, as_array(stored(file, ARRAY.shape, ARRAY.dtype, offset=4))):
        found = list(pieces(array))
        assert {len(piece) for piece in found} == {7, 1}
        np.testing.assert_array_equal(np.concatenate(found), ARRAY)


def test_the_digest_is_that_of_the_array(file, monkeypatch):
    assert of_array(as_array(stored(file, ARRAY.shape, ARRAY.dtype, offset=4))) == of_array(ARRAY)


def test_a_large_map_is_read_and_its_view_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LARGE", 1)
    np.save(tmp_path / "a.npy", ARRAY)
    whole = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert not is_in_memory(unmapped(whole)) and is_in_memory(unmapped(whole[5:])) and unmapped(ARRAY) is ARRAY
    np.testing.assert_array_equal(unmapped(whole)[:], ARRAY)


def test_large_data_is_prepared_as_small_data_is(tmp_path, monkeypatch):
    x = np.random.default_rng(0).integers(256, size=(60, 4, 4, 3), dtype=np.uint8)
    source = Collection(Examples(x, np.arange(60) % 3), "images", "made")
    settings = {"rule": "stratified", "validation": 0.25, "test": 0.25, "seed": 3}
    small = prepare(source, **settings, store=tmp_path / "small")
    monkeypatch.setattr(rows, "LARGE", 1)
    lazy = as_array(Rows(x.shape, x.dtype, lambda key: x[key]))
    large = prepare(replace(source, examples=replace(source.examples, x=lazy)), **settings, store=tmp_path / "large")
    assert large.digest == small.digest
    for one, other in zip(
        load_search(small.folder)[1].train.x, load_search(large.folder, check=True)[1].train.x, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_numbers_that_are_none_are_found_in_every_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "PIECE", 1)
    x = np.zeros((30, 2, 2, 1))
    x[[7, 21], 1, 1] = np.nan
    with pytest.raises(DataError, match=r"in these rows, counted from 0: 7, 21\."):
        prepare(
            Collection(Examples(x, np.arange(30) % 2), "images", "made"),
            rule="random",
            validation=0.2,
            test=0.2,
            seed=0,
            store=tmp_path,
        )


def test_preparing_takes_memory_for_pieces_alone(tmp_path, monkeypatch):
    """A copy of a part, or a look at each number as a boolean, would take 20 MiB or more."""
    monkeypatch.setattr(rows, "LARGE", 1)
    monkeypatch.setattr(rows, "PIECE", 1 << 20)
    picture = np.random.default_rng(0).integers(256, size=(256, 256, 3), dtype=np.uint8)
    x = Rows(
        (200, *picture.shape), np.uint8, lambda key: picture + np.arange(200, dtype=np.uint8)[key, None, None, None]
    )
    source = Collection(Examples(as_array(x), np.arange(200) % 2), "images", "made")
    tracemalloc.start()
    try:
        prepare(source, rule="random", validation=0.2, test=0.2, seed=0, store=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
