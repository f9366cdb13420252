"""Near copies of photographs are found, other photographs are not taken for copies, and time grows as their number."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_digits, load_sample_images

from searchlab.data import near, rows
from searchlab.data.near import near_pairs


def crops(side):
    """Squares of scikit-learn's two photographs that do not overlap and are not plain (a sky has nothing to tell)."""
    found = [
        photograph[i : i + side, j : j + side]
        for photograph in load_sample_images().images
        for i in range(0, photograph.shape[0] - side + 1, side)
        for j in range(0, photograph.shape[1] - side + 1, side)
    ]
    found = np.stack(found)
    return found[near._looks(found).rows]


def saved(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def resized(image, factor):
    side = round(image.width * factor)
    return image.resize((side, side), Image.Resampling.BICUBIC).resize(image.size, Image.Resampling.BILINEAR)


COPIES = {
    "recompressed": lambda image: saved(image, 50),
    "mirrored": ImageOps.mirror,
    "mirrored and recompressed": lambda image: saved(ImageOps.mirror(image), 60),
    "half the size": lambda image: resized(image, 0.5),
    "double the size": lambda image: resized(image, 2.0),
    "brightened": lambda image: image.point(lambda level: min(255, round(1.1 * level + 8))),
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("side", [48, 64, 128])
def test_f7_planted_copies_are_found_and_no_others(side, copy):
    """At least 95 of 100 planted copies; of other pairs, and there are thousands, none."""
    originals = crops(side)
    copies = np.stack([np.asarray(COPIES[copy](Image.fromarray(one))) for one in originals])
    found = {tuple(pair) for pair in near_pairs(np.concatenate([originals, copies])).tolist()}
    planted = {(number, number + len(originals)) for number in range(len(originals))}
    assert len(found & planted) >= 0.95 * len(planted)
    assert found <= planted


@pytest.mark.parametrize("side", [32, 48, 64, 128])
def test_f7_different_photographs_are_no_copies(side):
    assert len(near_pairs(crops(side))) == 0


def test_f7_drawings_that_all_look_alike_are_no_copies():
    """1,797 handwritten digits, enlarged: two of them are one picture but for a few shades."""
    images = [Image.fromarray((digit * 15.9).astype(np.uint8)) for digit in load_digits().images]
    large = np.stack([np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC)) for image in images])[..., None]
    assert len(near_pairs(large)) <= 1
    copies = np.stack([np.asarray(saved(Image.fromarray(one[..., 0]), 50).convert("L")) for one in large])[..., None]
    found = {tuple(pair) for pair in near_pairs(np.concatenate([large, copies])).tolist()}
    assert sum((number, number + 1797) in found for number in range(1797)) >= 0.95 * 1797


def test_f7_real_numbers_are_looked_at_as_bytes_are():
    originals = crops(64)
    both = np.concatenate([originals, originals[:, :, ::-1]])
    assert len(near_pairs(both.astype(np.float32) / 255.0)) == len(originals)


def test_small_plain_and_single_images_have_no_copies():
    assert len(near_pairs(np.zeros((5, 64, 64, 3), np.uint8))) == 0
    assert (
        len(near_pairs(np.tile(np.random.default_rng(0).integers(256, size=(31, 64, 3), dtype=np.uint8), (5, 1, 1, 1))))
        == 0
    )
    assert len(near_pairs(crops(64)[:1])) == 0


def test_many_copies_of_one_image_hold_together():
    """As frames of a film would; not every pair is named."""
    frames = np.repeat(crops(64)[:1], 500, axis=0)
    pairs = near_pairs(frames)
    together = np.arange(500)
    for one, other in pairs.tolist():
        together[together == together[other]] = together[one]
    assert len(set(together.tolist())) == 1 and len(pairs) < 500 * 40


def test_images_are_read_in_pieces(monkeypatch):
    originals = crops(64)
    whole = near_pairs(np.concatenate([originals, originals[:, :, ::-1]]))
    monkeypatch.setattr(rows, "PIECE", 3 * originals[0].nbytes)
    np.testing.assert_array_equal(near_pairs(np.concatenate([originals, originals[:, :, ::-1]])), whole)


def test_time_does_not_grow_as_the_number_of_pairs():
    """Four times the images: sixteen times the pairs; counted in pairs looked at, not in seconds."""
    generator = np.random.default_rng(0)
    counts = []
    for n in (1000, 4000):
        detail = near._standard(generator.normal(size=(n, near.SIDE**2)).astype(np.float32))
        counts.append(sum(len(some) for some in near._candidates(detail)))
    assert counts[1] < 8 * counts[0]
