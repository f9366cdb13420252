"""The confusion of a classifier as a picture: a shade for each share of a true class, with numbers where they fit."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.lazy import lazy
from searchlab.records import Confusion

if TYPE_CHECKING:
    import matplotlib.backends.backend_agg as agg
    import matplotlib.figure as figures
else:
    agg, figures = lazy("matplotlib.backends.backend_agg"), lazy("matplotlib.figure")

NUMBERED = 30
"""Classes up to which every cell has its number."""

NAMED = 60
"""Classes up to which every row and column has its name."""

LONGEST = 18
"""Letters of a name, at most."""


def picture(confusion: Confusion) -> bytes:
    """A PNG file.  Drawn without pyplot, which has one state for the whole process, a notebook's too."""
    counts = np.asarray(confusion.counts, float)
    k = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    side = min(14.0, max(4.5, 1.8 + 0.42 * k))
    figure = figures.Figure(figsize=(side + 1.0, side), facecolor="white")
    agg.FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    image = axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(image, ax=axis, fraction=0.046, pad=0.03, label="share of the true class")
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if k <= NAMED:
        names = [_plain(name) for name in confusion.classes]
        size = "medium" if k <= 12 else "small" if k <= NUMBERED else "xx-small"
        is_long = max(map(len, names)) > 3
        axis.set_xticks(
            range(k), names, fontsize=size, rotation=45 if is_long else 0, ha="right" if is_long else "center"
        )
        axis.set_yticks(range(k), names, fontsize=size)
    if k <= NUMBERED:
        _number(axis, counts, shares)
    memory = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that no font here has: boxes will do
        figure.savefig(memory, format="png", dpi=110, bbox_inches="tight", pad_inches=0.15)
    return memory.getvalue()


def _number(axis: Any, counts: Any, shares: Any) -> None:
    """The count of each cell that has one, light on dark."""
    size = 10 if len(counts) <= 12 else 7
    for i, j in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[i, j] > 0.55 else "#1d2530"
        axis.text(j, i, f"{int(counts[i, j])}", ha="center", va="center", fontsize=size, color=colour)


def _plain(name: str) -> str:
    """A name that Matplotlib does not take for a formula, cut where it is long."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name)
    short = printable if len(printable) <= LONGEST else f"{printable[: LONGEST - 1]}…"
    return short.replace("$", r"\$")
