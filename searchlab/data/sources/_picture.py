"""One image file as pixels, or a sentence that says why not."""

from __future__ import annotations

import warnings
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # odd EXIF, palette transparency: read all the same
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    return f"{image.width} × {image.height} pixels are more than max_pixels ({max_pixels})"
                if getattr(image, "n_frames", 1) > 1:
                    return f"it has {image.n_frames} frames; one picture is needed"
                image.load()
                plain = _flat(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return f"it has far more pixels than max_pixels ({max_pixels})"
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError, TypeError) as error:
        return f"it cannot be decoded ({str(error).replace(str(path), path.name)})"
    height, width = size
    if fit == "crop":
        plain = ImageOps.fit(plain, (width, height))
    elif fit == "pad":
        plain = ImageOps.pad(plain, (width, height))
    elif plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(plain, dtype=np.uint8).reshape(height, width, channels)


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
