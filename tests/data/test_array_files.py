"""Arrays in .npz files: named, whole, and never pickled."""

import zipfile

import numpy as np
import pydantic
import pytest

from searchlab.data import SOURCES
from searchlab.errors import DataError


def read(folder, arrays, **settings):
    np.savez_compressed(folder / "a.npz", **arrays)
    source = SOURCES.get("npz")
    return source.load(source.Options(path="a.npz", **settings), folder)


def test_parts_that_the_file_holds_apart_become_folds(tmp_path):
    arrays = {
        "x_train": np.zeros((6, 4, 4), np.uint8),
        "y_train": np.arange(6)[:, None],
        "x_test": np.ones((2, 4, 4), np.uint8),
        "y_test": np.arange(2)[:, None],
    }
    found = read(tmp_path, arrays, x="x_train", y="y_train", x_test="x_test", y_test="y_test", kind="images")
    assert found.examples.x.shape == (8, 4, 4, 1) and found.examples.y.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert found.examples.fold.tolist() == ["train"] * 6 + ["test"] * 2


def test_fold_and_group_arrays(tmp_path):
    arrays = {"x": np.zeros((3, 2)), "y": [1, 2, 3], "part": ["train", "test", "train"], "who": [7, 7, 8]}
    found = read(tmp_path, arrays, fold="part", group="who", columns=["a", "b"])
    assert found.examples.fold.tolist() == arrays["part"] and found.examples.group.tolist() == ["7", "7", "8"]
    assert (found.kind, found.columns) == ("table", ("a", "b"))


@pytest.mark.parametrize(
    ("arrays", "settings", "words"),
    [
        ({"X": np.zeros((3, 2)), "y": [1, 2, 3]}, {}, r"no array 'x'.*Arrays: X, y"),
        ({"x": np.zeros((3, 2)), "y": [1, 2]}, {}, r"x of shape \(3, 2\), but y of shape \(2,\)"),
        ({"x": np.zeros((3, 2, 2)), "y": [1, 2, 3]}, {}, "say with `kind:`"),
        ({"x": np.zeros((3, 2, 2)), "y": [1, 2, 3]}, {"kind": "table"}, "table have 2 dimensions"),
        ({"x": np.zeros((3, 2)), "y": [1, 2, 3]}, {"columns": ["a"]}, "names 1, but x has 2"),
        ({"x": np.array([{}, {}], dtype=object), "y": [1, 2]}, {}, "Python objects are refused"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, settings, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, arrays, **settings)


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "npy", "huge"])
def test_damaged_files_are_refused(tmp_path, damage):
    read(tmp_path, {"x": np.random.default_rng(0).normal(size=(30, 4)), "y": np.zeros(30)})
    path = tmp_path / "a.npz"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        path.write_bytes(content[:200] + bytes([content[200] ^ 255]) + content[201:])
    elif damage == "text":
        path.write_text("<html>not found</html>")
    elif damage == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:  # a header that promises 8 exabytes
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000, 1), }"
        header += b" " * (117 - len(header)) + b"\n"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(DataError, match="npz"):
        source = SOURCES.get("npz")
        source.load(source.Options(path="a.npz"), tmp_path)


@pytest.mark.parametrize(
    "settings",
    [{"x_test": "a"}, {"x_validation": "a", "y_validation": "b"}, {"x_test": "a", "y_test": "b", "fold": "c"}],
)
def test_half_named_parts_are_refused(settings):
    with pytest.raises(pydantic.ValidationError):
        SOURCES.get("npz").Options(path="a.npz", **settings)
