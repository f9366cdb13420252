"""Image folders: what is no usable image is listed by path, all at once, and nothing outside is read."""

import io
import logging
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from searchlab.data import SOURCES, rows
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


def test_f1_a_turned_photograph_stands_upright(tmp_path):
    image = Image.new("RGB", (8, 8), RED)
    image.paste(BLUE, (0, 0, 8, 4))  # blue above
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view: what is above goes to the right
    for kind in ("cat", "dog"):
        save(tmp_path / "photos" / kind / "1.png", image, exif=exif)
    picture = read(tmp_path).examples.x[0]
    assert tuple(picture[4, 7]) == BLUE and tuple(picture[4, 0]) == RED


def test_f1_odd_modes_become_plain_pixels(tmp_path):
    deep = Image.fromarray(np.full((8, 8), 257 * 100, np.uint16))
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    palette = Image.new("RGB", (8, 8), RED).convert("P")
    for name, image in {"deep": deep, "clear": clear, "palette": palette}.items():
        save(tmp_path / "photos" / name / "1.png", image)
    save(tmp_path / "photos" / "print" / "1.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))
    save(tmp_path / "photos" / "grey" / "1.jpg", Image.new("L", (8, 8), 90))
    save(tmp_path / "photos" / "bit" / "1.png", Image.new("1", (8, 8), 1))
    save(tmp_path / "photos" / "film" / "1.tiff", deep)
    save(tmp_path / "photos" / "half" / "1.png", Image.new("LA", (8, 8), (0, 0)))
    hole = Image.new("P", (8, 8), 3)
    hole.putpalette([0, 0, 0, 9, 9, 9, 9, 9, 9, *RED, *BLUE])
    hole.paste(4, (4, 0, 8, 8))
    save(tmp_path / "photos" / "hole" / "1.png", hole, transparency=3)
    found = read(tmp_path).examples
    pixels = {str(y): tuple(map(int, x[0, 0])) for x, y in zip(found.x, found.y, strict=True)}
    assert pixels["deep"] == (100, 100, 100) and pixels["clear"] == (255, 255, 255) and pixels["palette"] == RED
    assert pixels["print"][0] > 200 > 60 > pixels["print"][1]
    assert pixels["film"] == (100, 100, 100) and pixels["bit"] == pixels["half"] == (255, 255, 255)
    assert max(abs(level - 90) for level in pixels["grey"]) < 3
    hole_at = found.y.tolist().index("hole")
    assert tuple(found.x[hole_at, 0, 0]) == (255, 255, 255) and tuple(found.x[hole_at, 0, 7]) == BLUE


def test_f1_all_bad_files_are_listed_by_path_in_one_go(photos, tmp_path):
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
    assert "cat/empty.jpg: it is empty" in words
    for name in ("cat/page.jpg", "cat/cut.png", "dog/notes.txt", "dog/vector.svg"):
        assert f"{name}: it cannot be decoded" in words
    assert "dog/big.png: 200 × 100 pixels are more than" in words
    assert "dog/moves.gif: it has 2 frames" in words and "loose.png: it lies in no class folder" in words


def bomb_of(png: bytes) -> bytes:
    """A PNG whose header says 50,000 × 50,000 pixels."""
    chunk = b"IHDR" + struct.pack(">II", 50_000, 50_000) + png[24:29]
    return png[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[33:]


def test_f2_a_bomb_is_refused_unread_whatever_is_allowed(photos, tmp_path):
    (photos / "cat" / "bomb.png").write_bytes(bomb_of((photos / "cat" / "1.png").read_bytes()))
    for most in (50_000_000, 100_000_000, 10**12):
        with pytest.raises(DataError, match=r"bomb.png: (it has far more pixels|50000 × 50000)"):
            read(tmp_path, max_pixels=most)


def test_f2_bombs_take_no_memory(tmp_path):
    """In a process of its own, since a peak is for ever.  Each would be 7 GiB."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png")
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(bomb_of(buffer.getvalue()))
    (folder / "b.ppm").write_bytes(b"P6 50000 50000 255\n" + bytes(1000))
    (folder / "c.gif").write_bytes(b"GIF89a" + struct.pack("<HH", 50_000, 50_000) + bytes(100))
    header = struct.pack("<IiiHHIIiiII", 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
    (folder / "d.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 1054, 0, 0, 54) + header + bytes(1000))
    program = (
        "import resource, sys; from pathlib import Path; from PIL import Image\n"
        "from searchlab.data.sources._picture import pixels\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "Image.init(); before = peak()\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    print(pixels(path, size=(8, 8), channels=3, fit='stretch', max_pixels=10**12))\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    *words, growth = done.stdout.splitlines()
    assert all("far more pixels" in line or "cannot be decoded" in line for line in words) and len(words) == 4
    assert int(growth) * (1024 if sys.platform == "linux" else 1) < 64 << 20


def test_f2_what_moves_is_refused(photos, tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    for name in ("a.gif", "b.png", "c.webp", "d.tiff"):
        frames[0].save(photos / "cat" / name, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value).count("it has 2 frames; one picture is needed") == 4


def test_a_photograph_with_another_behind_it_is_read(tmp_path):
    """Telephones write such files, as .jpg: a preview or the brightness lies behind the picture."""
    for kind in ("cat", "dog"):
        save(
            tmp_path / "photos" / kind / "1.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))]
        )
    assert read(tmp_path).examples.x[0, 4, 4, 0] > 240


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "bmp", "tiff", "gif", "ppm"])
def test_every_format_is_read(tmp_path, form):
    for kind in ("cat", "dog"):
        save(tmp_path / "photos" / kind / f"1.{form}")
    assert np.abs(read(tmp_path).examples.x.astype(int) - RED).max() < 6


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "bmp", "tiff", "gif"])
def test_f1_damaged_files_are_read_or_refused_and_nothing_else(tmp_path, form):
    generator = np.random.default_rng(0)
    buffer = io.BytesIO()
    picture = Image.fromarray(generator.integers(256, size=(20, 20, 3), dtype=np.uint8))
    picture.save(buffer, {"jpg": "jpeg"}.get(form, form))
    whole = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for number in range(60):
        bytes_ = whole.copy()
        bytes_[generator.integers(len(bytes_), size=3)] = generator.integers(256, size=3)
        (folder / f"{number}.{form}").write_bytes(bytes_[: generator.integers(1, len(bytes_) + 1)].tobytes())
    with pytest.raises(DataError, match="no usable images"):
        read(tmp_path)


def with_bad(photos, bad, good):
    for number in range(good):
        save(photos / "cat" / f"good{number}.png", Image.new("RGB", (8, 8), (number, 0, 0)))
    for number in range(bad):
        (photos / "cat" / f"bad{number}.jpg").write_text("<html>404</html>")


def test_f1_bad_files_are_left_out_and_named_where_that_is_asked_for(photos, tmp_path, caplog):
    with_bad(photos, bad=2, good=96)
    os.mkfifo(photos / "dog" / "pipe.png")
    with caplog.at_level(logging.WARNING):
        found = read(tmp_path, on_bad="quarantine", max_bad=0.03)
    assert len(found.examples) == len(found.names) == 98 and "(bad files left out: 3)" in found.description
    assert set(found.facts["left_out_files"]) == {"cat/bad0.jpg", "cat/bad1.jpg", "dog/pipe.png"}
    assert found.facts["left_out_files"]["dog/pipe.png"] == "not a regular file"
    assert "3 of 101 files in photos are no usable images and are left out" in caplog.text
    place = {name: x for name, x in zip(found.names, found.examples.x, strict=True)}
    assert [place[f"cat/good{number}.png"][0, 0, 0] for number in range(96)] == list(range(96))
    assert found.examples.y[found.names.index("dog/1.png")] == "dog"


def test_f1_too_many_bad_files_are_refused_all_the_same(photos, tmp_path):
    with_bad(photos, bad=2, good=96)
    with pytest.raises(DataError, match=r"2 of 100 files in photos .* 2.00% and more than `max_bad: 0.01` allows"):
        read(tmp_path, on_bad="quarantine")
    with pytest.raises(DataError, match="leave them out: `on_bad: quarantine`"):
        read(tmp_path)


def test_f3_what_leads_out_is_refused_whatever_is_left_out(photos, tmp_path):
    save(tmp_path / "outside.png")
    (photos / "cat" / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError, match=r"cat/link.png: a link that leads out"):
        read(tmp_path, on_bad="quarantine", max_bad=0.9)


@pytest.mark.parametrize("place", ["/dev/zero", "pipe"])
def test_f3_devices_and_pipes_are_never_opened(photos, tmp_path, place):
    """An open pipe would wait for its writer for ever."""
    if place == "pipe":
        os.mkfifo(photos / "cat" / "x.png")
    else:
        (photos / "cat" / "x.png").symlink_to(place)
    with pytest.raises(DataError, match=r"cat/x.png: (not a regular file|a link that leads out)"):
        read(tmp_path)


def labelled(tmp_path, lines, **settings):
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return read(tmp_path, labels="labels.csv", **settings)


class TestATableOfLabels:
    def test_names_files_labels_parts_and_groups(self, photos, tmp_path):
        found = labelled(
            tmp_path,
            ["who,what,where,image", "ann,7,train,cat/1.png", "bob,8,val,dog/1.png"],
            file_column="image",
            label_column="what",
            split_column="where",
            group_column="who",
        )
        assert found.examples.y.tolist() == [7, 8] and found.examples.group.tolist() == ["ann", "bob"]
        assert found.examples.fold.tolist() == ["train", "validation"]
        assert tuple(found.examples.x[1, 0, 0]) == BLUE and found.names == ("cat/1.png", "dog/1.png")

    def test_keeps_its_order_and_needs_no_parts(self, photos, tmp_path):
        found = labelled(tmp_path, ["file,label", "dog/1.png,b", "cat/1.png,a"])
        assert found.examples.y.tolist() == ["b", "a"] and found.examples.fold is found.examples.group is None

    def test_f3_paths_that_lead_out_are_refused(self, photos, tmp_path):
        save(tmp_path / "outside" / "1.png")
        (photos / "more").symlink_to(tmp_path / "outside")
        paths = ["../outside/1.png", f"{tmp_path}/outside/1.png", "cat/../../outside/1.png", "more/1.png", "..\\x.png"]
        with pytest.raises(DataError) as caught:
            labelled(tmp_path, ["file,label", *(f"{path},a" for path in paths)], on_bad="quarantine", max_bad=0.9)
        assert str(caught.value).count("leads out of the folder") == 5
        assert "labels.csv, line 2: '../outside/1.png' leads out of the folder" in str(caught.value)

    def test_files_that_are_not_there_are_bad_ones(self, photos, tmp_path):
        (photos / "round.png").symlink_to(photos / "round.png")
        rows = ["file,label", "cat/1.png,a", "dog/1.png,b", "gone.png,a", f"{'x' * 300}.png,a", "cat,a", "round.png,b"]
        with pytest.raises(DataError) as caught:
            labelled(tmp_path, rows)
        assert "gone.png: there is no such file" in str(caught.value) and "cat: not a regular file" in str(caught.value)
        found = labelled(tmp_path, rows, on_bad="quarantine", max_bad=0.7)
        assert len(found.examples) == 2 and len(found.facts["left_out_files"]) == 4

    def test_tells_all_faults_of_the_table_at_once(self, photos, tmp_path):
        with pytest.raises(DataError) as caught:
            labelled(tmp_path, ["file,label,part", "a.png,x,trian", ",x,test", "a.png,,train"], split_column="part")
        for words in ("does not in line 2", "is missing in line 3", "named twice in line 4"):
            assert words in str(caught.value)
        with pytest.raises(DataError, match=r"no column is called 'labels'.* Did you mean 'label'"):
            labelled(tmp_path, ["file,label", "cat/1.png,a"], label_column="labels")

    def test_columns_without_a_table_are_refused(self):
        with pytest.raises(ValueError, match="columns need a table"):
            SOURCES.get("image_folder").Options(path="photos", size=8, group_column="who")


def test_pictures_keep_their_order_and_the_filters_of_warnings_stay(photos, tmp_path):
    for number in range(200):
        side = 8 + 40 * (number % 7 == 0)  # some take longer than others
        save(photos / "cat" / f"0{number:03}.png", Image.new("RGB", (side, side), (number, 0, 0)))
    before = list(warnings.filters)
    found = read(tmp_path).examples
    assert found.x[:200, 0, 0, 0].tolist() == list(range(200)) and warnings.filters == before


def test_many_pictures_are_read_from_a_file_that_is_gone_with_them(photos, tmp_path, monkeypatch):
    small = read(tmp_path).examples.x
    monkeypatch.setattr(rows, "LARGE", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    large = read(tmp_path).examples.x
    assert not rows.is_in_memory(large) and list((tmp_path / "temporary").iterdir()) == []
    np.testing.assert_array_equal(large[:], small)


class TestTheFingerprint:
    def of(self, folder, **settings):
        source = SOURCES.get("image_folder")
        return source.fingerprint(source.Options(**{"path": "photos", "size": 8, **settings}), folder)

    def test_notices_a_changed_an_added_a_renamed_and_a_removed_file(self, photos, tmp_path):
        seen = [self.of(tmp_path)]
        assert self.of(tmp_path) == seen[0]
        about = (photos / "cat" / "1.png").stat()
        content = bytearray((photos / "cat" / "1.png").read_bytes())
        content[-20] ^= 1
        (photos / "cat" / "1.png").write_bytes(content)  # as long as before, and as old as before:
        os.utime(photos / "cat" / "1.png", ns=(about.st_atime_ns, about.st_mtime_ns))
        seen.append(self.of(tmp_path))
        save(photos / "cat" / "2.png")
        seen.append(self.of(tmp_path))
        (photos / "cat" / "2.png").rename(photos / "dog" / "2.png")
        seen.append(self.of(tmp_path))
        (photos / "dog" / "2.png").unlink()
        (photos / "dog" / "1.png").unlink()
        seen.append(self.of(tmp_path))
        assert len(set(seen)) == 5

    def test_notices_another_label(self, photos, tmp_path):
        (tmp_path / "l.csv").write_text("file,label\ncat/1.png,a\n")
        first = self.of(tmp_path, labels="l.csv")
        (tmp_path / "l.csv").write_text("file,label\ncat/1.png,b\n")
        assert self.of(tmp_path, labels="l.csv") != first


def test_f3_links_out_of_the_folder_are_refused(photos, tmp_path):
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
    assert "cat/broken.png: there is no such file" in str(caught.value)


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
