"""CSV and Parquet: every cell that does not fit is named by its line; nothing is dropped or coerced in silence."""

import numpy as np
import pandas as pd
import pydantic
import pytest

from searchlab.data import SOURCES
from searchlab.errors import DataError


def read(folder, content, **settings):
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = SOURCES.get("csv")
    return source.load(source.Options(**{"path": "t.csv", "target": "y", **settings}), folder)


def read_parquet(folder, frame, **settings):
    frame.to_parquet(folder / "t.parquet")
    source = SOURCES.get("parquet")
    return source.load(source.Options(**{"path": "t.parquet", "target": "y", **settings}), folder)


GOOD = "a,b,kind,y\n1,2.5,red,cat\n-3e2,,green,dog\n"


class TestTables:
    def test_columns_get_their_roles(self, tmp_path):
        found = read(tmp_path, GOOD, categories=["kind"])
        np.testing.assert_array_equal(found.examples.x, [[1, 2.5], [-300, np.nan]])
        assert found.examples.categories.tolist() == [["red"], ["green"]]
        assert found.examples.y.tolist() == ["cat", "dog"]
        assert (found.columns, found.category_columns, found.kind) == (("a", "b"), ("kind",), "table")

    def test_features_can_be_named(self, tmp_path):
        assert read(tmp_path, GOOD, features=["b"]).columns == ("b",)

    def test_categories_alone_will_do(self, tmp_path):
        found = read(tmp_path, GOOD, features=[], categories=["kind"])
        assert found.examples.x.shape == (2, 0)

    def test_group_time_and_fold_are_no_features(self, tmp_path):
        content = "a,who,when,part,y\n1,ann,2024-05-02,train,0\n2,bob,2024-05-01,test,1\n3,bob,2024-05-02,test,1\n"
        found = read(tmp_path, content, group="who", time="when", fold="part")
        assert found.columns == ("a",)
        assert found.examples.group.tolist() == ["ann", "bob", "bob"]
        assert found.examples.span.tolist() == [[1, 1], [0, 0], [1, 1]]
        assert found.examples.fold.tolist() == ["train", "test", "test"]

    @pytest.mark.parametrize(
        ("column", "settings", "kind", "first"),
        [
            ("3,4", {}, "i", 3),
            ("3.0,4.5", {}, "f", 3.0),
            ("3,4", {"target_type": "number"}, "f", 3.0),
            ("cat,dog", {}, "U", "cat"),
            ("02134,10115", {"target_type": "label"}, "U", "02134"),
            ("1,x", {"target_type": "label"}, "U", "1"),
        ],
    )
    def test_targets_are_what_all_cells_are(self, tmp_path, column, settings, kind, first):
        y = read(tmp_path, "a,y\n" + "".join(f"1,{cell}\n" for cell in column.split(",")), **settings).examples.y
        assert y.dtype.kind == kind and y[0] == first

    def test_other_separators_and_encodings(self, tmp_path):
        found = read(tmp_path, "a;y\n1;é\n2;ü\n".encode("latin-1"), separator=";", encoding="latin-1")
        assert found.examples.y.tolist() == ["é", "ü"]

    @pytest.mark.parametrize(
        "content",
        [
            b"\xef\xbb\xbfa,y\n1,cat\n2,dog\n",
            b"a,y\r\n1,cat\r\n2,dog\r\n",
            b"a,y\n1,cat\r\n2,dog\n",
            b"a,y\n1,cat\n2,dog",
            b"a,y\n1,cat\n2,dog\n\n\n",
            b'"a","y"\n"1","cat"\n2, dog \n',
        ],
        ids=["byte order mark", "CRLF", "mixed line ends", "no last line end", "blank lines at the end", "quotes"],
    )
    def test_harmless_oddities_read_the_same(self, tmp_path, content):
        found = read(tmp_path, content)
        assert found.columns == ("a",) and found.examples.x.tolist() == [[1.0], [2.0]]
        assert found.examples.y.tolist() == ["cat", "dog"]

    def test_a_cell_may_hold_a_line_break_and_lines_are_still_right(self, tmp_path):
        content = 'a,note,y\n1,"two\nlines",cat\nx,"one",dog\n'
        with pytest.raises(DataError, match=r"'a' should hold numbers, but has text in line 4 \('x'\)"):
            read(tmp_path, content, categories=["note"])


FAULTS = {
    "ragged": (b"a,y\n1,0\n1,0,7\n1\n", "line 3 has 3 cells, but the header has 2\n  line 4 has 1 cells"),
    "text in numbers": (b"a,y\n1,0\nabc,1\n2,0\nn/k,1\n", r"text in lines 3 \('abc'\), 5 \('n/k'\)"),
    "thousands separators": (b'a,y\n1,0\n"1,234",1\n', r"text in line 3 \('1,234'\)"),
    "leading zeros": (b"a,y\n02134,0\n10115,1\n", r"text in line 2 \('02134'\)"),
    "hexadecimal": (b"a,y\n0x1F,0\n1_000,1\n", r"'0x1F'.*'1_000'"),
    "a number too large": (b"a,y\n1,0\n1e400,1\n", "too large in line 3"),
    "infinity": (b"a,y\ninf,0\n1,1\n", r"text in line 2 \('inf'\)"),
    "a missing target": (b"a,y\n1,0\n1,NaN\n1,\n", "target 'y' is missing in lines 3, 4"),
    "mixed targets": (b"a,y\n1,0\n1,1\n1,two\n", r"numbers and text; the fewer ones are in line 4 \('two'\)"),
    "latin-1": ("a,y\n1,é\n".encode("latin-1"), "line 2 is not utf-8.*encoding"),
    "NUL": (b"a,y\n1,\x000\n", "line 2 holds a NUL byte"),
    "UTF-16": ("a,y\n1,0\n".encode("utf-16"), "line 1 holds a NUL byte; a UTF-16 file"),
    "duplicate names": (b"a,b,a,y\n1,2,3,0\n", "more than one column 'a'"),
    "blank names": (b"a,,y\n1,2,0\n", "no name for column 2"),
    "a blank line inside": (b"a,y\n1,0\n\n2,1\n", "line 3 is blank, but rows follow"),
    "no rows": (b"a,y\n", "no rows"),
    "an empty file": (b"", "empty"),
    "an open quote": (b'a,y\n"1,0\n2,1\n', "cannot be read as CSV"),
    "a quote inside": (b'a,y\n"1"x,0\n', "cannot be read as CSV"),
    "another separator": (b"a;y\n1;0\n", "no column is called 'y'.*Columns: a;y"),
    "one endless line": (b"a,y\n" + b"1" * 1_100_000, "longer than 1000000 bytes"),
    "old Mac line ends": (b"a,y\r1,0\r", "cannot be read as CSV"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_with_the_place(tmp_path, fault):
    content, words = FAULTS[fault]
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, content)
    assert "t.csv" in str(caught.value)


def test_all_faults_come_together(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "a,b,when,y\nx,1,2024,0\n1,y,soon,\n", time="when")
    assert [word in str(caught.value) for word in ("'a'", "'b'", "'when'", "'y'")] == [True] * 4
    assert str(caught.value).count("\n") == 3


def test_unknown_columns_get_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"'kin' \(categories\). Did you mean 'kind'") as caught:
        read(tmp_path, GOOD, categories=["kin"], group="nobody")
    assert "'nobody'" in str(caught.value)


def test_a_missing_file_gets_the_nearest(tmp_path):
    (tmp_path / "flowers.csv").write_text(GOOD)
    with pytest.raises(DataError, match=r"Did you mean 'flowers.csv'"):
        read(tmp_path, GOOD, path="flower.csv")
    with pytest.raises(DataError, match="is not a file"):
        read(tmp_path, GOOD, path=".")


def test_the_target_is_no_feature(tmp_path):
    with pytest.raises(DataError, match="among its own features"):
        read(tmp_path, GOOD, features=["a", "y"])


@pytest.mark.parametrize(
    "settings",
    [{"group": "y"}, {"categories": ["a"], "group": "a"}, {"series": "s"}, {"window": 3, "categories": ["k"]}],
)
def test_contradicting_options_are_refused(settings):
    with pytest.raises(pydantic.ValidationError):
        SOURCES.get("csv").Options(path="t.csv", target="y", **settings)


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        ("1,,0", {"group": "g"}, "group 'g' is missing in line 2"),
        ("1,held,0", {"fold": "g"}, "must say train, validation or test, but does not in line 2"),
        ("1,2024-13-01,0", {"time": "g"}, "should hold times.*'2024-13-01'"),
        ("1,2024-01-01T00:00Z,0\n1,2024-01-02T00:00,0\n1,2024-01-02T01:00,0", {"time": "g"}, "offset.*in line 2"),
    ],
)
def test_bad_groups_folds_and_times(tmp_path, rows, settings, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, f"a,g,y\n{rows}\n", **settings)


def series(n=12, start=0, step=1):
    return "t,a,y\n" + "".join(f"{start + k * step},{k},{k * 10}\n" for k in range(n))


class TestWindows:
    def test_hold_the_past_and_foretell_the_next(self, tmp_path):
        found = read(tmp_path, series(), time="t", window=3, horizon=2, stride=4)
        assert found.kind == "series" and found.columns == ("a", "y")
        assert found.examples.x.shape == (2, 3, 2)
        assert found.examples.x[1].tolist() == [[4, 40], [5, 50], [6, 60]]
        assert found.examples.y.tolist() == [[30, 40], [70, 80]]
        assert found.examples.span.tolist() == [[0, 4], [4, 8]]

    def test_a_horizon_of_one_gives_one_target(self, tmp_path):
        assert read(tmp_path, series(), features=["a"], window=3, time="t").examples.y.tolist() == list(
            range(30, 120, 10)
        )

    def test_each_series_has_windows_of_its_own_on_one_clock(self, tmp_path):
        rows = "".join(f"{who},{day},{k}\n" for k, (day, who) in enumerate((d, w) for d in range(5) for w in "ab"))
        found = read(tmp_path, "who,day,y\n" + rows, series="who", time="day", window=2)
        assert found.examples.x[:, :, 0].tolist() == [[0, 2], [2, 4], [4, 6], [1, 3], [3, 5], [5, 7]]
        assert found.examples.span.tolist() == [[0, 2], [1, 3], [2, 4]] * 2
        assert found.examples.group is None
        grouped = read(tmp_path, "who,day,y\n" + rows, group="who", time="day", window=2)
        assert grouped.examples.group.tolist() == ["a"] * 3 + ["b"] * 3

    def test_windows_across_given_parts_are_left_out(self, tmp_path):
        rows = "".join(f"{k},{'train' if k < 6 else 'test'}\n" for k in range(12))
        found = read(tmp_path, "y,part\n" + rows, fold="part", window=2)
        assert found.examples.fold.tolist() == ["train"] * 4 + ["test"] * 4
        assert found.examples.span[:, 1].max() == 11 and found.examples.span[3].tolist() == [3, 5]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (series(4), "need 5 rows.* has 4"),
            ("t,y\n1,1\n3,1\n2,1\n4,1\n5,1\n6,1\n", "line 4 is not later than line 3"),
            ("t,y\n1,1\n2,1\n2,1\n4,1\n5,1\n6,1\n", "line 4 is not later than line 3"),
            ("t,y\n1,1\n2,\n3,1\n4,1\n5,1\n6,1\n", "no holes, but values are missing in line 3"),
            ("t,y\n1,1\n2,x\n3,1\n4,1\n5,1\n6,1\n", r"text in line 3 \('x'\)"),
        ],
        ids=["too short", "unsorted", "repeated", "hole", "text"],
    )
    def test_series_that_cannot_be_cut_are_refused(self, tmp_path, content, words):
        with pytest.raises(DataError, match=words):
            read(tmp_path, content, time="t", window=3, horizon=2)

    def test_local_times_that_repeat_when_clocks_change_are_noticed(self, tmp_path):
        hours = ["2024-10-27T01:00", "2024-10-27T02:00", "2024-10-27T02:00", "2024-10-27T03:00"]
        with pytest.raises(DataError, match="offset from UTC"):
            read(tmp_path, "t,y\n" + "".join(f"{hour},1\n" for hour in hours), time="t", window=2)
        zoned = [f"2024-10-27T0{h}:00+0{z}:00" for h, z in ((1, 2), (2, 2), (2, 1), (3, 1))]
        found = read(tmp_path, "t,y\n" + "".join(f"{hour},1\n" for hour in zoned), time="t", window=2)
        assert found.examples.span.tolist() == [[0, 2], [1, 3]]


class TestParquet:
    def test_types_come_from_the_file(self, tmp_path):
        frame = pd.DataFrame(
            {
                "a": pd.array([1, None, 3], dtype="Int64"),
                "flag": [True, False, True],
                "word": ["x", None, "z"],
                "when": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-03"]),
                "y": [0.0, 1.0, 2.0],
            }
        )
        found = read_parquet(tmp_path, frame, categories=["word"], time="when")
        np.testing.assert_array_equal(found.examples.x, [[1, 1], [np.nan, 0], [3, 1]])
        assert found.examples.categories.tolist() == [["x"], [""], ["z"]]
        assert found.examples.y.dtype.kind == "f" and found.examples.span[:, 0].tolist() == [1, 0, 2]

    @pytest.mark.parametrize("y", [[1, 2, 3], pd.array([1, 2, 3], dtype="Int8")])
    def test_whole_numbers_are_labels(self, tmp_path, y):
        assert read_parquet(tmp_path, pd.DataFrame({"a": [1.0, 2, 3], "y": y})).examples.y.dtype == np.int64

    @pytest.mark.parametrize("y", [[True, False, True], ["yes", "no", "yes"], pd.Categorical(["b", "a", "b"])])
    def test_booleans_and_words_are_labels(self, tmp_path, y):
        found = read_parquet(tmp_path, pd.DataFrame({"a": [1.0, 2, 3], "y": y})).examples.y
        assert found.tolist() == [str(one) for one in y]

    def test_bad_cells_are_named_by_row(self, tmp_path):
        frame = pd.DataFrame({"a": [1.0, np.inf, 3], "b": ["1", "2", "three"], "y": [0, 1, 2]})
        with pytest.raises(DataError, match=r"infinite or too large in row 2") as caught:
            read_parquet(tmp_path, frame)
        assert "in row 3 ('three')" in str(caught.value)

    def test_other_files_are_refused(self, tmp_path):
        (tmp_path / "t.parquet").write_bytes(b"PAR1 not really PAR1")
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            source = SOURCES.get("parquet")
            source.load(source.Options(path="t.parquet", target="y"), tmp_path)
