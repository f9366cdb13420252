"""Files of models and of weights that somebody else may have made: looked at before Keras opens them.

Why, where Keras has a safe mode: that is about code, and each of its versions had a way around it.  A file may also ask
for more memory than there is, or for other files of this machine.  So what is opened is what Keras's `save` writes, and
nothing else: an archive whose members are stored and not compressed (none can be larger than the file), a configuration
of Keras's own classes and ours, numbers that lie in the file itself, and no more weights than the file has.  The price:
an archive that was packed again, or weights that were compressed, must be saved by Keras once more.

The weights' file is HDF5, which Keras reads by h5py; this is our door to it, for what is said of a dataset before it is
read.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from searchlab import devices
from searchlab.errors import DataError
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import h5py
    import keras
    from keras.src.backend.common import global_state
else:
    h5py = lazy("h5py")
    keras = lazy("keras")
    global_state = lazy("keras.src.backend.common.global_state")

SUFFIX = ".keras"

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
CARD = "searchlab.json"
MEMBERS = frozenset({"metadata.json", CONFIG, WEIGHTS, CARD})
ASSET = re.compile(r"assets(/[\w\- ][\w\-. ]*)+")
"""Vocabularies of layers, below one folder."""

MOST_MEMBERS = 1000
MOST_DIRECTORY = 1 << 20
"""Bytes of an archive's directory, which is read whole."""
MOST_TEXT = 8 << 20
"""Bytes of a JSON member, which takes up to 25 times that as objects; that of a ResNet with 152 layers has one MB."""
MOST_DEPTH = 200
MOST_OBJECTS = 100_000
"""Groups, datasets and attributes of a file of weights."""
MOST_ATTRIBUTE = 1 << 16
SPARE = 64 << 20
"""Bytes of weights that a model may have beyond those in its file: states that are not saved."""

MODULES = re.compile(
    r"keras(\.(layers|models|initializers|regularizers|constraints|activations|losses|metrics|optimizers"
    r"|optimizers\.schedules|dtype_policies|quantizers|random|ops|ops\.\w+))?|keras\.src\.[\w.]+|keras_hub(\.[\w.]+)?"
)
"""Where classes may come from."""

FUNCTIONS = re.compile(r"builtins|keras\.(activations|losses|metrics|initializers|regularizers|constraints|ops)[\w.]*")
"""Where functions may come from; in a configuration, Keras calls its own "builtins"."""

REGISTERED = re.compile(r"(searchlab|keras|keras_hub)>\w+")

OF_KERAS = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"})
"""What configurations hold beside classes and functions."""

CARRY_CODE = frozenset(
    {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "__typespec__"}
)
"""Layers that hold code, or open a file that does."""

ALLOWED = "Allowed: a .keras file as model.save() of Keras writes it, of Keras's own layers and without code."


def load(path: str | Path) -> keras.Model:
    """The model in a `.keras` file; nothing in it is run, and its size is known before it takes memory.

    Raises:
        DataError: It is none, or one that cannot be loaded safely; the message says why.
    """
    source = Path(path)
    stored = look(source)
    try:
        needed = _needed(str(source), *_version(source))
        if needed > stored + SPARE:
            raise _refused(source, f"its layers ask for {needed} bytes of weights, and the file has {stored}")
        return keras.saving.load_model(source, compile=False, safe_mode=True)
    except DataError:
        raise
    except Exception as error:  # Keras has many words for what it cannot read
        raise _refused(source, f"this model cannot be loaded safely ({_first_line(error)})") from error


def look(source: Path) -> int:
    """See whether `source` is a `.keras` file that may be loaded, without Keras; the bytes of its weights.

    Raises:
        DataError: It may not; the message says why.
    """
    with _opened(source) as (file, archive):
        names = archive.namelist()
        for name in (CONFIG, WEIGHTS):
            if name not in names:
                raise _refused(source, f"it has no {name}")
        _check_config(source, _json(source, archive, CONFIG))
        return _check_weights(source, _Window(file, archive, WEIGHTS))


def look_at_weights(source: Path) -> None:
    """See whether the weights in `source`, an HDF5 file or a `.keras` file, may be loaded into a model.

    Raises:
        DataError: They may not; the message says why.
    """
    if source.suffix == SUFFIX:
        look(source)
    elif not source.is_file():
        raise _refused(source, "this is no file", "Allowed: a file that model.save_weights() of Keras has written.")
    else:
        with source.open("rb") as file:
            _check_weights(source, file)


def read_card(source: Path) -> Mapping[str, Any] | None:
    """What searchlab has written into the `.keras` file `source` beside the model; None where there is nothing.

    Raises:
        DataError: This is no `.keras` file, or one that may not be loaded.
    """
    with _opened(source) as (_, archive):
        card = _json(source, archive, CARD) if CARD in archive.namelist() else None
    if card is not None and not isinstance(card, dict):
        raise _refused(source, f"{CARD} is no card")
    return card


# The archive ----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: Path) -> Iterator[tuple[BinaryIO, zipfile.ZipFile]]:
    """The file and the archive in it, whose members may be read: they are not larger than the file."""
    if source.suffix != SUFFIX:
        raise _refused(source, "only a .keras file can be loaded, and this is none")
    if source.is_dir():
        raise _refused(source, "this is a folder")
    try:
        with source.open("rb") as file:
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # read by ZipFile, which then reads all
            if end is not None and end[5] > MOST_DIRECTORY:
                raise _refused(source, f"its directory has {end[5]} bytes, and {MOST_DIRECTORY} are allowed")
            with zipfile.ZipFile(file) as archive:
                _check_members(source, archive)
                yield file, archive
    except FileNotFoundError:
        raise DataError(f"there is no file {source}") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, struct.error) as error:
        raise _refused(source, f"this is no .keras file ({_first_line(error)})") from None


def _check_members(source: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise _refused(source, f"it has {len(members)} members, and {MOST_MEMBERS} are allowed")
    seen: set[str] = set()
    for member in members:
        name = member.orig_filename
        if name not in MEMBERS and not ASSET.fullmatch(name):
            known = ", ".join(sorted(MEMBERS))
            raise _refused(source, f"it has a member {name!r}", f"Allowed: {known}, and vocabularies below assets/.")
        if name in seen:
            raise _refused(source, f"it has two members {name!r}")
        seen.add(name)
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            packed = f"{member.compress_size} bytes for {member.file_size}"
            allowed = "Allowed: members stored as they are, as Keras does."
            raise _refused(source, f"its member {name!r} is compressed ({packed})", allowed)
        if name.endswith(".json") and member.file_size > MOST_TEXT:
            raise _refused(source, f"its member {name!r} has {member.file_size} bytes, and {MOST_TEXT} are allowed")
    total = sum(member.file_size for member in members)
    if total > source.stat().st_size:
        raise _refused(source, f"its members say to have {total} bytes, more than the file")


def _json(source: Path, archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise _refused(source, f"{name} cannot be read ({_first_line(error)})") from None


class _Window(io.RawIOBase):
    """A stored member as a file of its own, wherever one begins to read: `ZipExtFile` would go back by reading anew."""

    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile, name: str) -> None:
        member = archive.getinfo(name)
        archive.open(member).close()  # compares both headers
        file.seek(member.header_offset + 26)
        lengths = struct.unpack("<HH", file.read(4))
        self._file, self._start, self._length = file, member.header_offset + 30 + sum(lengths), member.file_size
        self._place = 0

    def readable(self) -> bool:
        """It can."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what is left, at most."""
        self._file.seek(self._start + self._place)
        content = self._file.read(max(0, min(len(buffer), self._length - self._place)))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


# The configuration ----------------------------------------------------------------------------------------------------


def _check_config(source: Path, config: Any) -> None:
    """See that all that it names is Keras's own or ours, and that no text in it leads to a file or an address."""
    if not isinstance(config, dict) or "class_name" not in config:
        raise _refused(source, f"{CONFIG} describes no model")
    waiting: list[tuple[Any, int]] = [(config, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise _refused(source, f"{CONFIG} is nested more than {MOST_DEPTH} times")
        if isinstance(node, str):
            _check_text(source, node)
        elif isinstance(node, list):
            waiting.extend((item, depth + 1) for item in node)
        elif isinstance(node, dict):
            if "class_name" in node:
                _check_class(source, node)
            for key, value in node.items():
                if key == "vocabulary":
                    _check_vocabulary(source, value)
                elif key not in ("module", "registered_name"):  # checked with their class
                    waiting.append((value, depth + 1))


def _check_class(source: Path, node: Mapping[str, Any]) -> None:
    name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if name in CARRY_CODE:
        raise _refused(source, f"it holds a {name}, which carries code or opens other files")
    if name in OF_KERAS:
        return
    if not isinstance(name, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        raise _refused(source, f"{CONFIG} names a class by {name!r}, {module!r}, {registered!r}")
    if registered is not None and REGISTERED.fullmatch(registered):
        return
    what = node.get("config") if name == "function" else name
    allowed = FUNCTIONS if name == "function" else MODULES
    if module is not None and not allowed.fullmatch(module):
        raise _refused(source, f"it names {module}.{what}, which is not Keras's")
    if registered is not None and registered not in (name, what):
        raise _refused(source, f"it names {registered!r}, which neither Keras nor searchlab has registered")


def _check_text(source: Path, text: str) -> None:
    parts = re.split(r"[/\\]", text)
    if "://" in text or ".." in parts or text.startswith(("/", "\\", "~")) or "\\" in text:
        raise _refused(source, f"{CONFIG} has {text[:80]!r}, which leads to a file or an address")
    if not text.isprintable() and len(parts) > 1:
        raise _refused(source, f"{CONFIG} has {text[:80]!r} for a name")


def _check_vocabulary(source: Path, words: Any) -> None:
    """Words may be anything, but a text would be the name of a file with them."""
    if words is not None and (not isinstance(words, list) or not all(isinstance(one, str | int) for one in words)):
        raise _refused(source, f"{CONFIG} has a vocabulary {str(words)[:80]!r} that is no list of words")


# The weights ----------------------------------------------------------------------------------------------------------


def _check_weights(source: Path, file: BinaryIO | _Window) -> int:
    """The bytes of all datasets of an HDF5 file, which are numbers and lie in it."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        with h5py.File(file, "r") as content:
            total = _check_group(source, content, length)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, UnicodeError) as error:  # h5py's words for damage
        raise _refused(source, f"its weights are no HDF5 file ({_first_line(error)})") from None
    if total > length:
        raise _refused(source, f"its weights say to have {total} bytes, and the file has {length}")
    if total > devices.memory() // 2:
        raise _refused(source, f"its weights take {total} bytes twice, and this machine has {devices.memory()}")
    return total


def _check_group(source: Path, root: Any, length: int) -> int:
    total = count = 0
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        thing = waiting.pop()
        address = h5py.h5o.get_info(thing.id).addr
        if address in seen:
            raise _refused(source, f"its weights {thing.name!r} have two names")
        seen.add(address)
        count += 1 + len(thing.attrs)
        _check_attributes(source, thing)
        if isinstance(thing, h5py.Dataset):
            total += _bytes_of(source, thing, length)
            continue
        if not isinstance(thing, h5py.Group):
            raise _refused(source, f"its weights hold {thing.name!r}, which are no numbers")
        if count + len(waiting) + len(thing) > MOST_OBJECTS:
            raise _refused(source, f"its weights hold more than {MOST_OBJECTS} objects")
        for name in thing:
            link = thing.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                where = getattr(link, "filename", None) or getattr(link, "path", "")
                raise _refused(source, f"its weights {name!r} are a link to {where!r}")
            waiting.append(thing[name])
    return total


def _bytes_of(source: Path, dataset: Any, length: int) -> int:
    """What a dataset takes in memory, all of which is in the file."""
    name = dataset.name
    if dataset.external or dataset.is_virtual:
        raise _refused(source, f"its weights {name!r} lie in another file")
    if dataset.dtype.hasobject or dataset.dtype.kind not in "fiubV" or dataset.dtype.fields is not None:
        raise _refused(source, f"its weights {name!r} are of type {dataset.dtype}, which are no numbers")
    size = 0 if dataset.shape is None else math.prod(dataset.shape) * int(dataset.dtype.itemsize)
    layout, offset = dataset.id.get_create_plist().get_layout(), dataset.id.get_offset()
    if layout == h5py.h5d.COMPACT:
        there = size <= dataset.id.get_storage_size()
    else:
        there = layout == h5py.h5d.CONTIGUOUS and (size == 0 or (offset is not None and offset + size <= length))
    if not there:
        raise _refused(
            source,
            f"its weights {name!r} say to be {size} bytes, of shape {dataset.shape}, which do not lie in the file",
            "Allowed: weights as Keras saves them, whole and not compressed.",
        )
    return size


def _check_attributes(source: Path, thing: Any) -> None:
    for name in thing.attrs:
        attribute = thing.attrs.get_id(name)
        if attribute.get_storage_size() > MOST_ATTRIBUTE:
            raise _refused(source, f"its weights have an attribute {name[:80]!r} of more than {MOST_ATTRIBUTE} bytes")


@lru_cache(maxsize=64)
def _needed(source: str, size: int, changed: int) -> int:
    """The bytes of the weights of the model in the archive `source`, which is made without them."""
    with zipfile.ZipFile(source) as archive:
        config = json.loads(archive.read(CONFIG), object_hook=_without_training)
    before = global_state.get_global_attribute("uninitialized_variables")
    try:
        with keras.StatelessScope(initialize_variables=False):
            global_state.set_global_attribute("uninitialized_variables", [])
            model = keras.saving.deserialize_keras_object(config, safe_mode=True)
            return sum(math.prod(one.shape) * (2 if "16" in str(one.dtype) else 4) for one in model.variables)
    finally:  # nobody shall give values to these variables
        global_state.set_global_attribute("uninitialized_variables", before)


def _without_training(node: dict[str, Any]) -> dict[str, Any]:
    """A model's optimizer would want variables with values."""
    return {name: value for name, value in node.items() if name != "compile_config"}


def _version(source: Path) -> tuple[int, int]:
    found = source.stat()
    return found.st_size, found.st_mtime_ns


def _refused(source: Path, fault: str, allowed: str = ALLOWED) -> DataError:
    return DataError(f"{source}: {fault}. {allowed}")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
