"""One image file as pixels, or a sentence that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from searchlab.data import Array
from searchlab.lazy import lazy

if TYPE_CHECKING:
    from PIL import Image, ImageOps
else:
    Image, ImageOps = lazy("PIL.Image"), lazy("PIL.ImageOps")

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded.  Pillow knows many more, one of which (EPS) starts another program."""

Fit = Literal["stretch", "crop", "pad"]


def pixels(path: Path, *, size: tuple[int, int], channels: int, fit: Fit, max_pixels: int) -> Array | str:
    """(height, width, channels) uint8, turned upright as its EXIF says; or what is wrong with the file.

    `size` is (height, width).  Deep images keep their 8 highest bits; what is transparent becomes white.
    """
    try:
        if path.stat().st_size == 0:
            return "it is empty (0 bytes)"
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                return f"{image.width} × {image.height} pixels are more than max_pixels ({max_pixels})"
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # a telephone's JPEG has others behind it
                return f"it has {image.n_frames} frames; one picture is needed"
            image.load()
            plain = _flat(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
        return np.asarray(_sized(plain, size, fit), dtype=np.uint8).reshape(*size, channels)
    except Image.DecompressionBombError:
        return f"it has far more pixels than max_pixels ({max_pixels})"
    except Exception as error:  # a broken file makes Pillow's readers fail in any way there is
        return f"it cannot be decoded ({str(error).replace(str(path), path.name) or type(error).__name__})"


def _sized(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    height, width = size
    if fit == "crop":
        return ImageOps.fit(image, (width, height))
    if fit == "pad":
        return ImageOps.pad(image, (width, height))
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """8 bits a channel, without transparency."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        deep = image.mode.startswith("I")
        image = Image.fromarray(np.clip(values / 257.0 if deep else values, 0, 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        solid = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", solid.size, "white"), solid)
    return image.convert(mode)
