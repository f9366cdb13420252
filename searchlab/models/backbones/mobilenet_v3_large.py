"""MobileNetV3 Large (Howard et al. 2019, arXiv:1905.02244): 3.0 million weights."""

from __future__ import annotations

from searchlab.models.backbones import Backbone
from searchlab.models.backbones._application import Application

BACKBONE: Backbone = Application("MobileNetV3Large", r"expanded_conv_?(\d*)_")
