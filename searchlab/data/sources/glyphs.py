"""Letters and digits drawn from installed fonts, bent at random: something to pretrain on without a network."""

from __future__ import annotations

import importlib.util
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pydantic

from searchlab import options
from searchlab.data import Array, Collection, Examples
from searchlab.errors import DataError
from searchlab.lazy import lazy
from searchlab.seeds import stream

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps
else:
    Image, ImageDraw, ImageFilter = lazy("PIL.Image"), lazy("PIL.ImageDraw"), lazy("PIL.ImageFilter")
    ImageFont, ImageOps = lazy("PIL.ImageFont"), lazy("PIL.ImageOps")

CHARACTERS = {
    "digits": string.digits,
    "letters": string.ascii_letters,
    "both": string.digits + string.ascii_letters,
}
FONTS = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmr10", "cmb10", "cmss10", "cmti10", "cmtt10")
"""What the names of those fonts of matplotlib begin with that have letters and digits; most others have signs."""

FINER = 4
"""Glyphs are drawn so many times larger than they are wanted, and reduced."""


class GlyphsOptions(options.Options):
    """Settings of the source `glyphs`."""

    characters: Literal["digits", "letters", "both"] = "both"
    """Which characters: 10, 52 or 62 classes."""
    examples: int = pydantic.Field(60, ge=1)
    """Of each character; font, size, place, slant and width are drawn anew for each."""
    size: int = pydantic.Field(8, ge=6, le=256)
    """Height and width in pixels."""
    fonts: str | None = options.on_disk(None)
    """A folder of .ttf and .otf files; null takes those that matplotlib brings."""
    seed: int = pydantic.Field(0, ge=0)
    """Another seed, other drawings."""


class Glyphs:
    """The source `glyphs`."""

    Options: type[options.Options] = GlyphsOptions

    def load(self, options: GlyphsOptions, folder: Path) -> Collection:
        """(n, size, size, 1) uint8, bright on black, and the character."""
        fonts = _fonts(None if options.fonts is None else folder / options.fonts)
        characters = CHARACTERS[options.characters]
        y = np.array([character for character in characters for _ in range(options.examples)])
        x = np.stack([_drawn(str(y[i]), fonts, options.size, stream(options.seed, "glyph", i)) for i in range(len(y))])
        words = f"{len(x)} drawings of {len(characters)} characters from {len(fonts)} fonts, {options.size}²"
        return Collection(
            Examples(x=x[..., None], y=y), "images", words, facts={"fonts": [font.stem for font in fonts]}
        )

    def shape(self, options: GlyphsOptions, folder: Path) -> tuple[int, ...]:
        """See `Sized`."""
        return options.size, options.size, 1


def _fonts(folder: Path | None) -> list[Path]:
    if folder is not None:
        found = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".ttf", ".otf"))
        if not found:
            raise DataError(f"{folder} holds no fonts (.ttf or .otf).")
        return found
    home = importlib.util.find_spec("matplotlib")
    if home is None or home.origin is None:
        raise DataError("matplotlib, whose fonts are taken, is not installed: name a folder of fonts with `fonts`.")
    files = sorted(Path(home.origin).parent.glob("mpl-data/fonts/ttf/*.ttf"))
    return [path for path in files if path.name.startswith(FONTS) and "Display" not in path.name]


def _drawn(character: str, fonts: list[Path], size: int, draw: np.random.Generator) -> Array:
    """(size, size) uint8: the character in some font, slanted, turned, stretched and moved a little, frame-filling."""
    fine = size * FINER
    font: Any = ImageFont.truetype(str(fonts[int(draw.integers(len(fonts)))]), fine)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(character))
    glyph = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(glyph).text((-left, -top), character, fill=255, font=font)
    heavier = int(draw.integers(3))
    if heavier:
        glyph = ImageOps.expand(glyph, heavier).filter(ImageFilter.MaxFilter(2 * heavier + 1))
    turn, slant = draw.uniform(-0.2, 0.2), draw.uniform(-0.35, 0.35)
    scale = draw.uniform(0.75, 1.0) * fine / max(glyph.size)
    stretch = draw.uniform(0.8, 1.3)
    forward = (
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        @ np.array([[1.0, slant], [0.0, 1.0]])
        @ np.diag([scale * stretch, scale])
    )
    back = np.linalg.inv(forward)
    middle = np.array([fine / 2, fine / 2]) + draw.uniform(-0.06, 0.06, 2) * fine
    shift = np.array(glyph.size) / 2 - back @ middle
    coefficients = (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1])
    whole = glyph.transform(
        (fine, fine), Image.Transform.AFFINE, tuple(map(float, coefficients)), Image.Resampling.BILINEAR
    )
    return np.asarray(whole.reduce(FINER), dtype=np.uint8)


SOURCE = Glyphs()
