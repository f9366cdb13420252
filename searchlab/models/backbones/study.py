"""The best model of another study of the same home, without its last layer: `study:NAME`, once that study was run."""

from __future__ import annotations

from searchlab.models.backbones import Backbone
from searchlab.models.backbones.keras_file import KerasFile

BACKBONE: Backbone = KerasFile()
