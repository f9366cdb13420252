"""H2: model files that somebody else has made are looked at before Keras opens them, and refused with one reason."""

from __future__ import annotations

import importlib
import io
import json
import marshal
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from searchlab import cli
from searchlab.errors import DataError
from searchlab.models import archive
from searchlab.models.backbones._application import _load
from searchlab.runner import backbones
from searchlab.runner.home import Home
from searchlab.spec.load import load_study

ROOT = Path(__file__).parents[2]
CONFIG, WEIGHTS = archive.CONFIG, archive.WEIGHTS

Members = dict[str, bytes]


def members_of(model: Any, folder: Path) -> Members:
    path = folder / "made.keras"
    model.save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """What is in the file of a small model of images."""
    raw = keras.Input((4, 4, 3), name="raw")
    x = keras.layers.Conv2D(2, 3, name="conv")(raw)
    x = keras.layers.Dense(2, name="dense")(keras.layers.Flatten(name="flat")(x))
    return members_of(keras.Model(raw, keras.layers.Softmax(name="probability")(x)), tmp_path_factory.mktemp("honest"))


def write(path: Path, members: Mapping[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def with_layer(honest: Members, module: str | None, name: str, config: Any, **more: Any) -> Members:
    """`honest`, whose layer `flat` is another class."""
    content = json.loads(honest[CONFIG])
    layer = next(one for one in content["config"]["layers"] if one["name"] == "flat")
    layer.update(module=module, class_name=name, config=config, **more)
    return {**honest, CONFIG: json.dumps(content).encode()}


def with_weights(honest: Members, change: Callable[[h5py.File], object]) -> Members:
    buffer = io.BytesIO(honest[WEIGHTS])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return {**honest, WEIGHTS: buffer.getvalue()}


def kernel(file: h5py.File) -> h5py.Group:
    """Where the first weights are, which are taken away."""
    found: list[str] = []
    file.visititems(lambda name, thing: found.append(name) if isinstance(thing, h5py.Dataset) else None)
    group = file[found[0]].parent
    del group["0"]
    assert isinstance(group, h5py.Group)
    return group


def canary_of(folder: Path) -> Path:
    return folder / "canary"


def marshalled(folder: Path) -> Any:
    """What Keras writes for a Lambda: the code of a function that leaves a file."""
    code = compile(f"lambda x: open({str(canary_of(folder))!r}, 'w') and x", "evil", "eval").co_consts[0]
    return {"class_name": "__lambda__", "config": {"code": b64encode(marshal.dumps(code)).decode(), "closure": None}}


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch canary",)


def of_layers(honest: Members, folder: Path) -> dict[str, tuple[Members, str]]:
    """Configurations that name what they must not, and the words of their refusal."""
    kinds: dict[str, tuple[str | None, str, Any, str]] = {
        "lambda": ("keras.layers", "Lambda", {"name": "flat", "function": marshalled(folder)}, "holds a Lambda"),
        "lambda_inside": (
            "keras.layers",
            "Activation",
            {"name": "flat", "activation": marshalled(folder)},
            "a __lambda__",
        ),
        "tfsm": ("keras.layers", "TFSMLayer", {"name": "flat", "filepath": "saved"}, "holds a TFSMLayer"),
        "torch": ("keras.layers", "TorchModuleWrapper", {"name": "flat", "module": "AAAA"}, "TorchModuleWrapper"),
        "eval": ("builtins", "function", "eval", "cannot be loaded safely"),
        "eval_class": ("builtins", "eval", {}, r"names builtins\.eval, which is not Keras's"),
        "system": ("os", "function", "system", r"names os\.system, which is not Keras's"),
        "fetch": ("keras.utils", "function", "get_file", r"names keras\.utils\.get_file"),
        "of_numpy": ("numpy", "load", {}, r"names numpy\.load"),
        "registered": (None, "Mine", {"name": "flat"}, "cannot be loaded safely"),
        "traversal": ("keras.layers", "Flatten", {"name": "../../flat"}, "leads to a file or an address"),
        "absolute": ("keras.layers", "Flatten", {"name": "/tmp/flat"}, "leads to a file or an address"),
        "backslash": ("keras.layers", "Flatten", {"name": "..\\flat"}, "leads to a file or an address"),
        "hub": ("keras.layers", "Flatten", {"name": "flat", "data_format": "hf://evil/model"}, "hf://evil/model"),
        "vocabulary": ("keras.layers", "StringLookup", {"name": "flat", "vocabulary": "words.txt"}, "no list of words"),
    }
    cases = {
        name: (with_layer(honest, module, kind, config), words) for name, (module, kind, config, words) in kinds.items()
    }
    cases["other_registered"] = (
        with_layer(honest, "keras.layers", "Flatten", {"name": "flat"}, registered_name="evil>Flatten"),
        "'evil>Flatten', which neither Keras nor searchlab",
    )
    cases["deep"] = (
        {**honest, CONFIG: b'{"class_name": "Functional", "config": ' + b"[" * 500 + b"]" * 500 + b"}"},
        "",
    )
    cases["very_deep"] = ({**honest, CONFIG: b"[" * 200_000}, "config.json cannot be read")
    cases["no_model"] = ({**honest, CONFIG: b"[]"}, "describes no model")
    dense = json.loads(honest[CONFIG])
    for layer in dense["config"]["layers"]:
        if layer["name"] == "dense":
            layer["config"]["units"] = 4_000_000_000
    cases["weights_of_nothing"] = ({**honest, CONFIG: json.dumps(dense).encode()}, "layers ask for")
    return cases


def of_weights(honest: Members, folder: Path) -> dict[str, tuple[Members, str]]:
    """Files of weights that say what they do not hold."""
    other = folder / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones((3, 3, 3, 2), np.float32)
    (folder / "raw").write_bytes(b"\0" * 216)

    def external(file: h5py.File) -> None:
        kernel(file).create_dataset("0", (3, 3, 3, 2), "f4", external=[(str(folder / "raw"), 0, 216)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((3, 3, 3, 2), "f4")
        layout[...] = h5py.VirtualSource(str(other), "secret", (3, 3, 3, 2))
        kernel(file).create_virtual_dataset("0", layout)

    def twice(file: h5py.File) -> None:
        file["again"] = file["layers"]

    changes: dict[str, tuple[Callable[[h5py.File], object], str]] = {
        "shape_bomb": (lambda file: kernel(file).create_dataset("0", (1 << 40,), "f4"), "do not lie in the file"),
        "packed_bomb": (
            lambda file: kernel(file).create_dataset("0", (1 << 34,), "f4", chunks=(1 << 20,), compression="gzip"),
            "do not lie in the file",
        ),
        "external_link": (
            lambda file: kernel(file).__setitem__("0", h5py.ExternalLink(str(other), "secret")),
            "are a link to",
        ),
        "soft_link": (lambda file: kernel(file).__setitem__("0", h5py.SoftLink("/layers")), "are a link to"),
        "external_storage": (external, "lie in another file"),
        "virtual": (virtual, "lie in another file"),
        "circle": (twice, "have two names"),
        "objects": (
            lambda file: kernel(file).create_dataset("0", data=["a"], dtype=h5py.string_dtype()),
            "are no numbers",
        ),
        "a_type": (lambda file: kernel(file).__setitem__("0", np.dtype("f4")), "are no numbers"),
    }
    cases = {name: (with_weights(honest, change), words) for name, (change, words) in changes.items()}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as file:
        file.attrs["name"] = np.zeros(10_000)
    cases["attribute"] = ({**honest, WEIGHTS: buffer.getvalue()}, "an attribute 'name' of more")
    cases["no_hdf5"] = ({**honest, WEIGHTS: pickle.dumps(Evil())}, "no HDF5 file")
    cases["cut"] = ({**honest, WEIGHTS: honest[WEIGHTS][:-3000]}, "no HDF5 file")
    return cases


def of_archives(honest: Members, folder: Path) -> dict[str, str]:
    """Files that are no archive of Keras's, written into `folder`; the words of their refusal."""
    words = {}
    for name, member in {
        "climbs": "../canary",
        "absolute_member": str(canary_of(folder)),
        "windows": "..\\canary",
        "climbs_in_assets": "assets/../../canary",
        "cut_name": "canary\0/model",
        "npz": "model.weights.npz",
        "code": "model.py",
    }.items():
        write(folder / f"{name}.keras", {**honest, member: b"evil"})
        words[name] = "it has a member"
    zeros = bytes(1 << 26)
    write(folder / "bomb.keras", {**honest, WEIGHTS: zeros}, compression=zipfile.ZIP_DEFLATED)
    write(folder / "bomb_of_card.keras", {**honest, archive.CARD: zeros}, compression=zipfile.ZIP_DEFLATED)
    words |= dict.fromkeys(("bomb", "bomb_of_card"), "is compressed")
    write(folder / "large_text.keras", {**honest, CONFIG: b"[" + b"{}," * (archive.MOST_TEXT // 3) + b"{}]"})
    words["large_text"] = "are allowed"
    write(folder / "many.keras", {**honest, **{f"assets/{n}": b"" for n in range(2000)}})
    words["many"] = "2003 members"
    write(folder / "crowd.keras", {**honest, **{f"assets/{n}": b"" for n in range(25_000)}})
    words["crowd"] = "its directory has"
    with pytest.warns(UserWarning), zipfile.ZipFile(folder / "double.keras", "w") as file:
        for name, content in [*honest.items(), (CONFIG, b"{}")]:
            file.writestr(name, content)
    words["double"] = "two members 'config.json'"
    overlapping(folder / "overlap.keras", honest)
    words["overlap"] = "more than the file"
    write(folder / "empty.keras", {})
    words["empty"] = "it has no config.json"
    (folder / "pickle.keras").write_bytes(pickle.dumps(Evil()))
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    (folder / "objects_npy.keras").write_bytes(buffer.getvalue())
    with h5py.File(folder / "old.keras", "w") as file:
        file["a"] = 1
    words |= dict.fromkeys(("pickle", "objects_npy", "old"), "this is no .keras file")
    (folder / "saved.keras").mkdir()
    (folder / "saved.keras" / "saved_model.pb").write_bytes(b"")
    words["saved"] = "this is a folder"
    return words


def overlapping(path: Path, honest: Members) -> None:
    """Many members that are the same bytes, so that few of them say to be many."""
    write(path, {**honest, **{f"assets/{n}": b"0" * 100_000 if n == 0 else b"" for n in range(50)}})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        first = file.getinfo("assets/0")
    place = content.rfind(b"PK\5\6")
    (place,) = struct.unpack_from("<I", content, place + 16)
    while content[place : place + 4] == b"PK\1\2":
        lengths = struct.unpack_from("<HHH", content, place + 28)
        if content[place + 46 :].startswith(b"assets/"):
            struct.pack_into("<III", content, place + 16, first.CRC, first.file_size, first.file_size)
            struct.pack_into("<I", content, place + 42, first.header_offset)
        place += 46 + sum(lengths)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def hostile(honest: Members, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of hostile files, and what is said of each."""
    folder = tmp_path_factory.mktemp("hostile")
    words = of_archives(honest, folder)
    for name, (members, reason) in {**of_layers(honest, folder), **of_weights(honest, folder)}.items():
        write(folder / f"{name}.keras", members)
        words[name] = reason
    return folder, words


LOOK = """
import sys, warnings
from pathlib import Path
from searchlab.errors import DataError
from searchlab.models.backbones import BACKBONES
from searchlab.models.backbones._application import _load
from searchlab.training import champion, model_card
import keras
network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
ways = {
    "load": champion.load_keras,
    "backbone": lambda path: BACKBONES.get("keras_file").build(str(path), 4, 4),
    "weights": lambda path: _load(network, str(path)),
}
for path in sorted(Path.cwd().glob("*.keras")):
    for way, use in ways.items():
        try:
            use(path)
            print(way, path.stem, "WAS OPENED", sep="\\t")
        except DataError as error:
            print(way, path.stem, type(error).__name__, error, sep="\\t")
with open("/proc/self/status") as status:  # what getrusage says counts the process that it was forked from too
    peak = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))
print("peak", peak, sep="\\t")
"""


@pytest.fixture(scope="module")
def said(hostile: tuple[Path, dict[str, str]]) -> list[list[str]]:
    """What a fresh process says of all of them, opened in each of the ways that there are."""
    folder, _ = hostile
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_h2_every_hostile_file_is_refused_with_one_reason(
    hostile: tuple[Path, dict[str, str]], said: list[list[str]]
) -> None:
    folder, words = hostile
    for way in ("load", "backbone"):
        found = {line[1]: line[2:] for line in said if line[0] == way}
        assert found.keys() == words.keys()
        for name, (kind, *text) in found.items():
            assert kind == ("DataError" if way == "load" else "MissingWeights"), (name, kind)
            assert re.search(words[name], text[0]), (name, text)
            assert text[0].startswith(str(folder / f"{name}.keras")) and "Allowed: " in text[0]
    assert not [line for line in said if line[2:3] == ["WAS OPENED"]]


def test_h2_no_hostile_file_runs_code_or_writes_or_takes_a_gigabyte(
    hostile: tuple[Path, dict[str, str]], said: list[list[str]]
) -> None:
    folder, _ = hostile
    assert not [path for path in folder.rglob("*canary*")] and not (folder.parent / "canary").exists()
    assert said[-1][0] == "peak" and int(said[-1][1]) < 1024


def test_h2_predict_tells_a_user_what_is_wrong_in_one_line(
    hostile: tuple[Path, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    importlib.import_module("searchlab.cli.predict")  # which makes itself known to `app`
    folder, words = hostile
    for name in ("lambda", "bomb_of_card", "climbs", "shape_bomb", "pickle", "saved"):
        monkeypatch.setattr(sys, "argv", ["searchlab", "predict", str(folder / f"{name}.keras"), str(tmp_path)])
        assert cli._status() == 3
        said = capsys.readouterr()
        assert said.out == "" and len(said.err.splitlines()) == 1
        assert re.search(words[name], said.err) and "Allowed: " in said.err


def test_h2_a_run_refuses_a_hostile_backbone_before_it_copies_it(
    hostile: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, _ = hostile
    study = tmp_path / "few.yaml"
    text = "study: few\ndata: {source: digits}\ntask: image_classification\nsearch: {trials: 1}\n"
    for name, words in (("lambda.keras", "holds a Lambda"), ("mine.weights.h5", "no HDF5 file")):
        (tmp_path / "mine.weights.h5").write_bytes(pickle.dumps(Evil()))
        backbone = folder / name if name.endswith(".keras") else f"mobilenet_v2:{tmp_path / name}"
        study.write_text(f"{text}space: {{model: {{transfer: {{backbone: '{backbone}'}}}}}}\n")
        home = Home(tmp_path / "home")
        with pytest.raises(DataError, match=words):
            backbones.gather(load_study(str(study)), home)
        assert not (home.folder / backbones.FOLDER).exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("old.h5", "only a .keras file"), ("model.pkl", "only a .keras file"), ("gone.keras", "there is no file")],
)
def test_h2_other_names_are_no_model(tmp_path: Path, name: str, words: str) -> None:
    if not name.startswith("gone"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=words):
        archive.load(tmp_path / name)


@pytest.mark.parametrize("name", ["shape_bomb", "external_link", "external_storage", "virtual", "no_hdf5"])
def test_h2_weights_of_their_own_file_are_looked_at_too(honest: Members, tmp_path: Path, name: str) -> None:
    members, words = of_weights(honest, tmp_path)[name]
    path = tmp_path / "mine.weights.h5"
    path.write_bytes(members[WEIGHTS])
    with pytest.raises(DataError, match=words):
        archive.look_at_weights(path)
    with pytest.raises(DataError, match=r"^\S+/mine.weights.h5: .*Allowed: "):
        _load(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), str(path))


def various() -> dict[str, Any]:
    """Models of many kinds of layers."""
    words = keras.layers.StringLookup(vocabulary=["../x", "hf://y", "\\", "z"], name="words")
    sequence = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(7, 4, mask_zero=True),
            keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True, dropout=0.1)),
            keras.layers.TimeDistributed(keras.layers.Dense(4)),
            keras.layers.GRU(2),
        ],
        name="sequence",
    )
    raw = keras.Input((6, 4))
    attention = keras.layers.MultiHeadAttention(2, 3)(raw, raw)
    mixed = keras.layers.LayerNormalization(dtype="mixed_bfloat16")(attention + raw[:, ::-1])
    attended = keras.Model(raw, keras.ops.mean(keras.layers.EinsumDense("...x,xy->...y", 3)(mixed), axis=1))
    text = keras.Input((1,), dtype="string")
    compiled = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    compiled.compile("adam", keras.losses.MeanSquaredError(), [keras.metrics.MeanAbsoluteError()])
    return {
        "sequence": sequence,
        "attended": attended,
        "lookup": keras.Model(text, words(text)),
        "compiled": compiled,
        "nested": keras.Sequential([keras.Input((3,)), compiled, keras.layers.Normalization(mean=1.0, variance=2.0)]),
        "bfloat16": keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")]),
        "none": keras.Sequential([keras.Input((3,)), keras.layers.Flatten()]),
    }


def test_h2_what_keras_writes_is_loaded(tmp_path: Path) -> None:
    for name, model in various().items():
        path = tmp_path / f"{name}.keras"
        model.save(path)
        loaded = archive.load(path)
        for one, two in zip(loaded.get_weights(), model.get_weights(), strict=True):
            assert (np.asarray(one, np.float32) == np.asarray(two, np.float32)).all()
        if name != "lookup":
            model.save_weights(tmp_path / f"{name}.weights.h5")
            archive.look_at_weights(tmp_path / f"{name}.weights.h5")


def test_h2_a_look_leaves_no_variable_behind_that_somebody_gives_a_value(honest: Members, tmp_path: Path) -> None:
    """The second scope gave values to the weights of a model that was refused: 500 GB."""
    dense = json.loads(honest[CONFIG])
    next(one for one in dense["config"]["layers"] if one["name"] == "dense")["config"]["units"] = 1 << 36
    path = write(tmp_path / "large.keras", {**honest, CONFIG: json.dumps(dense).encode()})
    with pytest.raises(DataError, match="layers ask for"):
        archive.load(path)
    with keras.StatelessScope():
        keras.layers.Dense(2).build((None, 3))
