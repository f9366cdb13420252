"""Archives of files: equal contents, equal digests; and what is refused when one is unpacked."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from searchlab.data.parcels import pack, unpack
from searchlab.errors import DataError


def folder_of(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(f"what is in {name}")
    return top


def test_what_was_packed_comes_out_again(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg", "dog/ß.jpg")
    parcel = pack(folder, tmp_path)
    out = unpack(parcel.file, parcel.digest, tmp_path / "store")
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.jpg")) == [
        "photos/cat/1.jpg",
        "photos/cat/2.jpg",
        "photos/dog/ß.jpg",
    ]
    assert (out / "photos/dog/ß.jpg").read_text() == "what is in dog/ß.jpg"
    assert unpack(parcel.file, parcel.digest, tmp_path / "store") == out
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700


def test_equal_contents_have_equal_digests_whoever_wrote_them_when(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "a" / "data", "x", "y/z")
    two = folder_of(tmp_path / "b" / "data", "y/z", "x")
    (two / "x").chmod(0o600)
    assert pack(one, tmp_path / "a").digest == pack(two, tmp_path / "b").digest
    (two / "x").write_text("other")
    assert pack(one, tmp_path / "a").digest != pack(two, tmp_path / "b").digest


def test_a_single_file_is_a_parcel_too(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    parcel = pack(tmp_path / "table.csv", tmp_path)
    assert (unpack(parcel.file, parcel.digest, tmp_path / "store") / "table.csv").read_text() == "a,b\n1,2\n"


def test_a_link_that_leads_out_is_not_packed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", "x")
    (folder / "out").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match="leads out"):
        pack(folder, tmp_path)


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 1, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size if kind == tarfile.REGTYPE else 0, target
    return info


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("../out")], "leads out"),
        ([entry("/etc/cron.d/x")], "leads out"),
        ([entry("a/../../out")], "leads out"),
        ([entry("link", tarfile.SYMTYPE, target="/etc")], "is no file"),
        ([entry("hard", tarfile.LNKTYPE, target="/etc/passwd")], "is no file"),
        ([entry("pipe", tarfile.FIFOTYPE)], "is no file"),
        ([entry("device", tarfile.CHRTYPE)], "is no file"),
        ([entry("twice"), entry("twice")], "no archive"),
        ([entry("file"), entry("file/below")], "no archive"),
        ([entry("large", size=2000)], "more than"),
    ],
)
def test_h7_hostile_archives_are_refused_and_leave_nothing(
    tmp_path: Path, entries: list[tarfile.TarInfo], words: str
) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w") as tar:
        for one in entries:
            tar.addfile(one, io.BytesIO(b"x" * one.size))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(DataError, match=words):
        unpack(archive, digest, tmp_path / "store", most_bytes=1000)
    assert not list((tmp_path / "store").iterdir()) and not (tmp_path / "out").exists()


def test_what_is_not_what_was_sent_is_refused(tmp_path: Path) -> None:
    parcel = pack(folder_of(tmp_path / "data", "x"), tmp_path)
    parcel.file.write_bytes(parcel.file.read_bytes() + b"\0")
    with pytest.raises(DataError, match="not the one that was sent"):
        unpack(parcel.file, parcel.digest, tmp_path / "store")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.tar"
    file.write_bytes(b"\x1f\x8b no tar")
    with pytest.raises(DataError, match="no archive"):
        unpack(file, hashlib.sha256(file.read_bytes()).hexdigest(), tmp_path / "store")
