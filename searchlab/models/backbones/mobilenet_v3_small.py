"""MobileNetV3 Small (Howard et al. 2019, arXiv:1905.02244): 0.9 million weights, for the smallest budgets."""

from __future__ import annotations

from searchlab.models.backbones import Backbone
from searchlab.models.backbones._application import Application

BACKBONE: Backbone = Application("MobileNetV3Small", r"expanded_conv_?(\d*)_")
