"""Image folders: what is no usable image is listed by path, all at once, and nothing outside is read."""

import zlib

import numpy as np
import pytest
from PIL import Image

from searchlab.data import SOURCES
from searchlab.errors import DataError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(path, image=None, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (8, 8), RED)).save(path, **settings)


def read(folder, **settings):
    source = SOURCES.get("image_folder")
    return source.load(source.Options(**{"path": "photos", "size": 8, **settings}), folder)


@pytest.fixture
def photos(tmp_path):
    save(tmp_path / "photos" / "cat" / "1.png")
    save(tmp_path / "photos" / "dog" / "1.png", Image.new("RGB", (16, 8), BLUE))
    return tmp_path / "photos"


def test_class_folders_become_labels(photos, tmp_path):
    (photos / "cat" / ".DS_Store").write_bytes(b"x")
    save(photos / "cat" / "more" / "2.bmp")
    found = read(tmp_path)
    assert found.examples.y.tolist() == ["cat", "cat", "dog"] and found.examples.fold is None
    assert found.examples.x.shape == (3, 8, 8, 3) and found.examples.x.dtype == np.uint8
    assert tuple(found.examples.x[2, 0, 0]) == BLUE


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_part_folders_become_folds(tmp_path, name):
    for part in ("train", name, "test"):
        for kind in ("cat", "dog"):
            save(tmp_path / "photos" / part / kind / "1.png")
    assert read(tmp_path).examples.fold.tolist() == ["test"] * 2 + ["train"] * 2 + ["validation"] * 2


def test_sizes_and_fits(tmp_path):
    half = Image.new("RGB", (8, 4), RED)
    half.paste(BLUE, (4, 0, 8, 4))
    save(tmp_path / "photos" / "cat" / "1.png", half)
    save(tmp_path / "photos" / "dog" / "1.png", half)
    assert read(tmp_path, size=[2, 3]).examples.x.shape == (2, 2, 3, 3)
    assert read(tmp_path, channels=1).examples.x.shape == (2, 8, 8, 1)
    stretched, cropped, padded = (read(tmp_path, size=4, fit=fit).examples.x[0] for fit in ("stretch", "crop", "pad"))
    assert tuple(stretched[0, 0]) == RED and tuple(stretched[3, 3]) == BLUE
    assert tuple(cropped[0, 0]) == RED and tuple(padded[0, 0]) == (0, 0, 0)


def test_a_turned_photograph_stands_upright(tmp_path):
    image = Image.new("RGB", (8, 8), RED)
    image.paste(BLUE, (0, 0, 8, 4))  # blue above
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view: what is above goes to the right
    for kind in ("cat", "dog"):
        save(tmp_path / "photos" / kind / "1.png", image, exif=exif)
    picture = read(tmp_path).examples.x[0]
    assert tuple(picture[4, 7]) == BLUE and tuple(picture[4, 0]) == RED


def test_odd_modes_become_plain_pixels(tmp_path):
    deep = Image.fromarray(np.full((8, 8), 257 * 100, np.uint16))
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    palette = Image.new("RGB", (8, 8), RED).convert("P")
    for name, image in {"deep": deep, "clear": clear, "palette": palette}.items():
        save(tmp_path / "photos" / name / "1.png", image)
    save(tmp_path / "photos" / "print" / "1.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    found = read(tmp_path).examples
    pixels = {str(y): tuple(map(int, x[0, 0])) for x, y in zip(found.x, found.y, strict=True)}
    assert pixels["deep"] == (100, 100, 100) and pixels["clear"] == (255, 255, 255) and pixels["palette"] == RED
    assert pixels["print"][0] > 200 > 60 > pixels["print"][1]


def test_all_bad_files_are_listed_by_path_in_one_go(photos, tmp_path):
    (photos / "cat" / "empty.jpg").write_bytes(b"")
    (photos / "cat" / "page.jpg").write_text("<html>404</html>")
    whole = (photos / "cat" / "1.png").read_bytes()
    (photos / "cat" / "cut.png").write_bytes(whole[: len(whole) - 30])
    (photos / "dog" / "notes.txt").write_text("hello")
    (photos / "dog" / "vector.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    save(photos / "dog" / "big.png", Image.new("L", (200, 100)))
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    frames[0].save(photos / "dog" / "moves.gif", save_all=True, append_images=frames[1:])
    (photos / "loose.png").write_bytes(whole)
    with pytest.raises(DataError) as caught:
        read(tmp_path, max_pixels=10_000)
    words = str(caught.value)
    assert "8 files" in words
    for name in ("cat/empty.jpg", "cat/page.jpg", "cat/cut.png", "dog/notes.txt", "dog/vector.svg"):
        assert f"{name}: it cannot be decoded" in words
    assert "dog/big.png: 200 × 100 pixels are more than" in words
    assert "dog/moves.gif: it has 2 frames" in words and "loose.png: it lies in no class folder" in words


def test_a_bomb_is_refused_unread(photos, tmp_path):
    header = (photos / "cat" / "1.png").read_bytes()
    chunk = b"IHDR" + (50_000).to_bytes(4, "big") * 2 + header[24:29]
    (photos / "cat" / "bomb.png").write_bytes(header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:])
    with pytest.raises(DataError, match=r"bomb.png: (it has far more pixels|50000 × 50000)"):
        read(tmp_path)


def test_links_out_of_the_folder_are_refused(photos, tmp_path):
    outside = tmp_path / "outside"
    save(outside / "secret.png")
    (photos / "cat" / "link.png").symlink_to(outside / "secret.png")
    (photos / "dog" / "more").symlink_to(outside)
    (photos / "owl").symlink_to(outside)
    (photos / "cat" / "broken.png").symlink_to(photos / "nowhere.png")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    for name in ("cat/link.png", "dog/more", "owl"):
        assert f"{name}: a link that leads out" in str(caught.value)
    assert "cat/broken.png: not a regular file" in str(caught.value)


def test_links_within_the_folder_are_read(photos, tmp_path):
    (photos / "cat" / "2.png").symlink_to(photos / "cat" / "1.png")
    assert len(read(tmp_path).examples) == 3


def test_a_class_beside_parts_and_an_empty_folder_are_refused(tmp_path):
    save(tmp_path / "photos" / "train" / "cat" / "1.png")
    save(tmp_path / "photos" / "dog" / "1.png")
    with pytest.raises(DataError, match="dog: a class folder beside train"):
        read(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no images in class folders"):
        read(tmp_path, path="none")
    with pytest.raises(DataError, match="there is no folder"):
        read(tmp_path, path="photo")
