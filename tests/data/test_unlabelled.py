"""Examples without targets: read as training reads its own, in batches, with every unreadable file told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from searchlab.data import unlabelled
from searchlab.data.unlabelled import Unlabelled, arrays, images, series, table
from searchlab.errors import DataError

RED = (255, 0, 0)


def picture(path: Path, width: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, 8), RED).save(path)
    return path


def names_of(found: Unlabelled) -> list[Any]:
    return [name for batch in found.batches for name in batch.names]


def all_x(found: Unlabelled) -> Any:
    return np.concatenate([batch.examples.x for batch in found.batches])


def test_folders_are_walked_and_files_that_are_no_images_are_told(tmp_path: Path) -> None:
    first = picture(tmp_path / "one.png")
    picture(tmp_path / "more" / "deep" / "b.jpg")
    picture(tmp_path / "more" / "a.bmp", width=20)
    (tmp_path / "more" / "notes.txt").write_text("no image")
    (tmp_path / "more" / ".hidden.png").write_bytes(b"")
    (tmp_path / "more" / "Thumbs.db").write_bytes(b"")
    found = images([first, tmp_path / "more", tmp_path / "gone.png"], (4, 6, 3), {})
    assert (found.column, found.count) == ("file", 5)
    (batch,) = found.batches
    assert [Path(str(name)).name for name in batch.names] == ["one.png", "a.bmp", "b.jpg"]
    assert batch.examples.x.shape == (3, 4, 6, 3) and batch.examples.x.dtype == np.uint8
    assert len(batch.faults) == 2
    assert "notes.txt: it cannot be decoded" in batch.faults[0]
    assert batch.faults[1].endswith("gone.png: there is no such file")


def test_images_come_in_batches_that_bound_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        picture(tmp_path / f"{number}.png")
    monkeypatch.setattr(unlabelled, "BATCH_BYTES", 2 * 4 * 4 * 4 * 3)
    assert [len(batch.names) for batch in images([tmp_path], (4, 4, 3), {}).batches] == [2, 2, 1]


def test_images_fit_as_in_the_study(tmp_path: Path) -> None:
    picture(tmp_path / "wide.png", width=16)
    padded = all_x(images([tmp_path], (4, 4, 3), {"fit": "pad"}))
    assert tuple(padded[0, 0, 0]) == (0, 0, 0) and tuple(padded[0, 2, 2]) == RED
    (batch,) = images([tmp_path], (4, 4, 3), {"max_pixels": 10}).batches
    assert "more than max_pixels" in batch.faults[0]


def test_a_folder_without_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file in"):
        images([tmp_path], (4, 4, 3), {})


def test_a_table_is_read_by_the_columns_of_training_and_needs_no_target(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("town;b;a\nBonn;2;1\nOslo;?;3\n")
    options = {"separator": ";", "missing": ["?"]}
    found = table(path, columns=["a", "b"], category_columns=["town"], options=options)
    (batch,) = found.batches
    np.testing.assert_array_equal(batch.examples.x, [[1, 2], [3, np.nan]])
    assert batch.examples.categories is not None and batch.examples.categories.tolist() == [["Bonn"], ["Oslo"]]
    assert (found.column, batch.names) == ("row", (1, 2))
    assert all_x(table(path, columns=["a"], category_columns=[], options=options)).shape == (2, 1)


def test_a_parquet_file_is_a_table_too(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]}).to_parquet(tmp_path / "new.parquet")
    found = table(tmp_path / "new.parquet", columns=None, category_columns=[], options={})
    np.testing.assert_array_equal(all_x(found), [[1, 3], [2, 4]])


def test_every_fault_of_a_table_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b\n1,x\n")
    with pytest.raises(DataError, match=r"(?s)'b' should hold numbers.*no column is called 'c'"):
        table(tmp_path / "new.csv", columns=["a", "b"], category_columns=["c"], options={})


def test_the_newest_window_of_a_series_is_among_those_that_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("who,v\n" + "".join(f"{who},{value}\n" for who in "ab" for value in range(6)))
    options = {"stride": 2, "series": "who"}
    found = series(path, columns=["v"], window=3, options=options)
    assert names_of(found) == [4, 6, 10, 12]
    found = series(path, columns=["v"], window=3, options=options)
    np.testing.assert_array_equal(all_x(found)[:2, :, 0], [[1, 2, 3], [3, 4, 5]])
    with pytest.raises(DataError, match="no series in the file is that long"):
        series(path, columns=["v"], window=7, options=options)
    path.write_text("v,w\n1,1\n,2\n3,3\n")
    with pytest.raises(DataError, match="values are missing in line 3"):
        series(path, columns=["v"], window=2, options={})


def test_arrays_are_read_by_name_and_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.npz"
    np.savez(path, x=np.zeros((3, 8, 8)), odd=np.array([{}], dtype=object))
    assert all_x(arrays(path, name="x", kind="images")).shape == (3, 8, 8, 1)
    assert names_of(arrays(path, name="x", kind="series")) == [1, 2, 3]
    with pytest.raises(DataError, match=r"no array 'y'.*Arrays: x, odd"):
        arrays(path, name="y", kind="images")
    with pytest.raises(DataError, match="Python objects are refused"):
        arrays(path, name="odd", kind="images")
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"broken\.npz cannot be read"):
        arrays(tmp_path / "broken.npz", name="x", kind="images")
