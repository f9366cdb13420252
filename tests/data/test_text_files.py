"""Windows of characters: a fixed alphabet, files as groups, nothing from outside the root."""

import numpy as np
import pytest

from searchlab.data import SOURCES
from searchlab.errors import DataError


def read(folder, **settings):
    source = SOURCES.get("text_file")
    common = {"root": ".", "files": {"a": ["a/*.txt"], "b": ["b/*.txt"]}, "length": 5, "stride": 5}
    return source.load(source.Options(**{**common, **settings}), folder)


def words(collection, row):
    return "".join(collection.vocabulary[token] for token in collection.examples.x[row])


@pytest.fixture
def texts(tmp_path):
    for label, content in {"a": "hello world", "b": "tschüß\r\nx\x07y"}.items():
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_bytes(content.encode())
    return tmp_path


def test_windows_follow_one_another_and_the_rest_is_left(texts):
    found = read(texts)
    assert [words(found, row) for row in range(4)] == ["hello", " worl", "tsch<other>", "<other>\nx<other>y"]
    assert found.examples.y.tolist() == ["a", "a", "b", "b"]
    assert found.examples.group.tolist() == ["a/1.txt", "a/1.txt", "b/1.txt", "b/1.txt"]


def test_the_vocabulary_does_not_depend_on_the_text(texts):
    before = read(texts).vocabulary
    (texts / "a" / "2.txt").write_text("≈ç√∫ entirely other letters")
    assert read(texts).vocabulary == before and before[0] == "<pad>" and len(before) == 99


def test_a_short_file_is_padded_at_the_end_and_an_empty_one_gives_nothing(texts):
    (texts / "a" / "2.txt").write_text("hi")
    (texts / "a" / "3.txt").write_text("")
    found = read(texts)
    assert words(found, 2) == "hi<pad><pad><pad>" and (found.examples.group == "a/3.txt").sum() == 0


def test_windows_of_a_class_are_shared_evenly_by_its_files(texts):
    (texts / "a" / "1.txt").write_text("x" * 1000)
    (texts / "a" / "2.txt").write_text("".join(chr(65 + k // 40) for k in range(1000)))
    (texts / "a" / "3.txt").write_text("z" * 10)
    found = read(texts, per_class=12)
    counts = dict(zip(*np.unique(found.examples.group, return_counts=True), strict=True))
    assert counts == {"a/1.txt": 5, "a/2.txt": 5, "a/3.txt": 2, "b/1.txt": 2}
    assert words(found, 5) == "AAAAA" and words(found, 9) == "YYYYY"  # from all over the file
    assert len(read(texts, per_class=2).examples) == 4


def test_the_standard_library_is_at_hand():
    found = read(None, root="stdlib", files={"a": ["json/*.py"], "b": ["**/_pydecimal.py"]}, length=64, per_class=50)
    assert len(found.examples) == 100 and found.facts["python"]
    assert not any("site-packages" in name for name in found.examples.group)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": ["a/*.md"], "b": ["b/*"]}, "no file below . matches 'a/\\*.md'"),
        ({"a": ["../*.txt"], "b": ["b/*"]}, "must name files below"),
        ({"a": ["/etc/*"], "b": ["b/*"]}, "must name files below"),
        ({"a": ["*/1.txt"], "b": ["b/*"]}, r"b/1.txt is both 'a' and 'b'"),
        ({"a": ["a/*"], "b": ["link.txt"]}, "link that leads out"),
        ({"a": ["a/*"], "b": ["binary"]}, "NUL bytes"),
    ],
)
def test_files_that_do_not_belong_are_refused(texts, tmp_path_factory, files, message):
    outside = tmp_path_factory.mktemp("outside") / "secret.txt"
    outside.write_text("secret words")
    (texts / "link.txt").symlink_to(outside)
    (texts / "binary").write_bytes(b"ab\0cd")
    with pytest.raises(DataError, match=message):
        read(texts, files=files)
