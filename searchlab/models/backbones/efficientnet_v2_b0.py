"""EfficientNetV2 B0 (Tan & Le 2021, arXiv:2104.00298): 5.9 million weights, faster than B0 on GPUs."""

from __future__ import annotations

from searchlab.models.backbones import Backbone
from searchlab.models.backbones._application import Application

BACKBONE: Backbone = Application("EfficientNetV2B0", r"(block\d+[a-z])_")
