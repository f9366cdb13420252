"""ConvNeXt Tiny (Liu et al. 2022, arXiv:2201.03545): 28 million weights, the best of these and the dearest."""

from __future__ import annotations

from searchlab.models.backbones import Backbone
from searchlab.models.backbones._application import Application

BACKBONE: Backbone = Application("ConvNeXtTiny", r"(stage_\d+_block_\d+)_")
