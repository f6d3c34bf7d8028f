"""Names in zips are read in the coding in which they were written, and no photo is lost by its name."""

import io
import zipfile

import pytest

from seg.data import archives


def packed(*names: bytes) -> bytes:
    """A zip without the flag of UTF-8, whose names are these bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(f"{number:02}" + "x" * (len(name) - 2), b"photo %d" % number)
    content = out.getvalue()
    for number, name in enumerate(names):
        content = content.replace(b"%02d" % number + b"x" * (len(name) - 2), name)
    return content


@pytest.mark.parametrize(
    "coding, name",
    [
        ("utf-8", "Straße/東京.jpg"),
        ("cp437", "Straße/Ämter.jpg"),
        ("cp850", "Ørsted.jpg"),
        ("cp850", "São Paulo.jpg"),
        ("cp1252", "Straße.jpg"),
        ("cp1252", "Über.jpg"),
        ("latin-1", "Straée.jpg"),
        ("cp932", "東京.jpg"),
        ("cp932", "表.jpg"),
        ("cp932", "ソ/予.jpg"),
        ("ascii", "a/b.jpg"),
    ],
)
def test_names_are_read_in_their_coding(coding, name):
    (_, member) = next(iter(archives.members(io.BytesIO(packed(name.encode(coding))))))
    assert (member.name, member.data) == (name, b"photo 0")


def test_every_photo_is_read_or_refused(tmp_path):
    path = tmp_path / "many.zip"
    path.write_bytes(
        packed("表.jpg".encode("cp932"), "ソ/予.jpg".encode("cp932"), "東京.jpg".encode("cp932"))
    )
    assert [member.name for member in archives.list_members(path, 9)] == ["表.jpg", "ソ/予.jpg", "東京.jpg"]
    assert archives.read_member(path, "ソ/予.jpg") == b"photo 1"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_file_of_one_name_is_named(tmp_path):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ok.jpg", b"first")
        archive.writestr("ok.jpg", b"second")
    first, second = archives.list_members(path, 9)
    assert not first.error and "same name" in second.error
    assert archives.read_member(path, "ok.jpg") == b"first"
