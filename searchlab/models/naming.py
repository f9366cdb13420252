"""How a study file names a backbone: `NAME`, `NAME:WEIGHTS`, or the file of a model.

mobilenet_v2                      with the weights that its kind has by default (ImageNet's)
mobilenet_v2:none                 with weights that are drawn anew
mobilenet_v2:mine.weights.h5      with weights from a file
keras_hub:resnet_18_imagenet      a preset
glyphs.keras                      the same as keras_file:glyphs.keras
    study:glyphs                      the best model of another study
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from searchlab.errors import UnknownName
from searchlab.models.backbones import BACKBONES

FILE = "keras_file"
STUDY = "study"


@dataclass(frozen=True)
class Named:
    """A backbone and its weights, by name."""

    backbone: str
    which: str
    """"imagenet", "none", a file, a preset or a study."""

    @property
    def file(self) -> Path | None:
        """The file that it needs; None when it needs none."""
        takes = BACKBONES.get(self.backbone).takes_file and self.which not in ("imagenet", "none")
        return Path(self.which).expanduser() if takes else None

    def at(self, file: Path) -> Named:
        """The same, with its file at another place."""
        return replace(self, which=str(file))

    def __str__(self) -> str:
        return f"{self.backbone}:{self.which}"


def named(text: str) -> Named:
    """What `text` names; no file is looked at.

    Raises:
        UnknownName: No backbone is called so, or it needs weights and none are named.
    """
    name, colon, which = text.partition(":")
    if not colon and text.endswith(".keras"):
        name, which = FILE, text
    known = BACKBONES.names()
    if name not in known:
        raise UnknownName.among(known, kind="backbone", name=name)
    which = which or BACKBONES.get(name).weights or ""
    if not which:
        raise UnknownName(f"the backbone {name} needs to be told which: write {name}:WEIGHTS")
    return Named(name, which)
