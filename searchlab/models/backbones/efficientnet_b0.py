"""EfficientNet B0 (Tan & Le 2019, arXiv:1905.11946): 4.0 million weights."""

from __future__ import annotations

from searchlab.models.backbones import Backbone
from searchlab.models.backbones._application import Application

BACKBONE: Backbone = Application("EfficientNetB0", r"(block\d+[a-z])_")
