"""What holds for every data source, those not written yet included."""

import json
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pydantic
import pytest
from PIL import Image

from searchlab.data import SOURCES, Recognized, Sized
from searchlab.data.digest import of_examples
from searchlab.data.parts import is_labels
from searchlab.data.prepare import load_search, prepare

NAMES = SOURCES.names()
RECOGNIZED = [name for name in NAMES if isinstance(SOURCES.get(name), Recognized)]
"""Sources that need not be read again while their data have not changed."""
DIMENSIONS = {"images": 4, "table": 2, "series": 3, "tokens": 2}


def table_of(n=40):
    generator = np.random.default_rng(0)
    return pd.DataFrame({"a": generator.normal(size=n), "b": range(n), "kind": ["cat", "dog"] * (n // 2)})


def needs_csv(folder):
    table_of().to_csv(folder / "t.csv", index=False)
    return {"path": "t.csv", "target": "kind"}


def needs_parquet(folder):
    table_of().to_parquet(folder / "t.parquet")
    return {"path": "t.parquet", "target": "kind"}


def needs_npz(folder):
    np.savez(folder / "a.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    return {"path": "a.npz"}


def needs_image_folder(folder):
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / "photos" / label).mkdir(parents=True)
        for k in range(10):
            pixels = generator.integers(256, size=(6, 5, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / label / f"{k}.png")
    return {"path": "photos", "size": [4, 4]}


def needs_text_file(folder):
    for label in ("prose", "verse"):
        (folder / label).mkdir()
        for k in range(9):
            (folder / label / f"{k}.txt").write_text(f"{label} {k} " * 60)
    return {"root": ".", "files": {"prose": ["prose/*.txt"], "verse": ["verse/*.txt"]}, "length": 20}


def needs_keras_dataset(folder):
    return {"name": "mnist"}


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a source used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(params=NAMES)
def case(request, tmp_path, monkeypatch, offline):
    """The source, its options and the folder they count from; sources that read files get small ones."""
    source = SOURCES.get(request.param)
    settings = globals().get(f"needs_{request.param}", lambda folder: {})(tmp_path)
    if request.param == "keras_dataset":
        import keras

        generator = np.random.default_rng(0)
        part = generator.integers(256, size=(60, 28, 28), dtype=np.uint8), np.arange(60, dtype=np.uint8) % 10
        monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (part, part))
    return source, source.Options(**settings), tmp_path


def rule_for(examples):
    if examples.fold is not None:
        return "given"
    if examples.group is not None:
        return "group"
    if examples.span is not None:
        return "time"
    return "stratified" if is_labels(examples.y) else "random"


class TestEverySource:
    def test_gives_what_its_kind_promises(self, case):
        source, options, folder = case
        collection = source.load(options, folder)
        examples = collection.examples
        assert examples.x.ndim == DIMENSIONS[collection.kind] and len(examples.y) == len(examples) > 0
        assert "\n" not in collection.description and collection.description
        if collection.kind == "images":
            assert examples.x.dtype == np.uint8 or examples.x.dtype.kind == "f"
        if collection.kind in ("table", "series"):
            assert examples.x.dtype.kind == "f" and len(collection.columns) == examples.x.shape[-1]
        if collection.kind == "tokens":
            assert examples.x.dtype.kind == "i" and 0 <= examples.x.min() <= examples.x.max() < len(
                collection.vocabulary
            )
        if collection.kind == "series" and examples.span is not None:
            assert (examples.span[:, 0] <= examples.span[:, 1]).all()
        json.dumps(dict(collection.facts))

    def test_gives_the_same_twice(self, case):
        source, options, folder = case
        first, second = source.load(options, folder), source.load(options, folder)
        assert of_examples(first.examples) == of_examples(second.examples)
        assert first.description == second.description

    def test_can_be_prepared_and_its_parts_are_disjoint(self, case, tmp_path):
        source, options, folder = case
        collection = source.load(options, folder)
        prepared = prepare(
            collection, rule=rule_for(collection.examples), validation=0.2, test=0.2, seed=0, store=tmp_path / "store"
        )
        seen, splits = load_search(prepared.folder, check=True)
        assert seen.kind == collection.kind
        assert prepared.counts["train"] == len(splits.train) > len(splits.validation) == prepared.counts["validation"]
        again = prepare(
            source.load(options, folder),
            rule=rule_for(collection.examples),
            validation=0.2,
            test=0.2,
            seed=0,
            store=tmp_path / "other",
        )
        assert again.digest == prepared.digest

    def test_tells_the_form_of_an_example_before_it_is_read(self, case):
        source, options, folder = case
        if not isinstance(source, Sized):
            pytest.skip("cannot tell")
        expected = source.load(options, folder).examples.x.shape[1:]
        assert np.prod(source.shape(options, folder)) == np.prod(expected)

    @pytest.mark.parametrize("case", RECOGNIZED, indirect=True)
    def test_recognizes_its_data_until_they_change(self, case):
        source, options, folder = case
        first = source.fingerprint(options, folder)
        assert source.fingerprint(options, folder) == first
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files[0].write_bytes(files[0].read_bytes() + b"\0")
        assert source.fingerprint(options, folder) != first

    def test_refuses_options_that_it_does_not_have(self, case):
        source, options, _ = case
        with pytest.raises(pydantic.ValidationError, match="Extra inputs"):
            source.Options(**{**options.model_dump(), "no_such_option": 1})

    def test_explains_every_option(self, case):
        for name, field in case[0].Options.model_fields.items():
            assert field.description, name


def test_options_are_read_without_a_heavy_library():
    program = (
        "import sys; from searchlab.data import SOURCES, SPLITS\n"
        "[SOURCES.get(name).Options.model_json_schema() for name in SOURCES.names()]\n"
        "[SPLITS.get(name) for name in SPLITS.names()]\n"
        "import searchlab.data.prepare, searchlab.data.seal\n"
        "heavy = {'keras', 'sklearn', 'pandas', 'statsmodels', 'PIL', 'pyarrow', 'tensorflow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
