"""Safe reading of untrusted zips: `members` yields one file after another, `read_member` reads one.

Nothing is written to disk, and no name in the zip is used as a path. A refused file gets an error message and
does not stop the others. Limits apply to the unpacked sizes, not to those that the zip states.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from seg.data.zip_names import member_name
from seg.errors import StreetFCNError
from seg.system.file_names import is_system_file, path_parts

FILES = 2000
"""Maximum number of files read from a zip."""

EACH = 64 * 2**20
"""Maximum unpacked size of one file in bytes."""

TOTAL = 4 * 2**30
"""Maximum unpacked size of a zip in bytes, including refused files."""

RATIO = 200
"""Maximum ratio of unpacked to packed size. Photos are compressed already and do not even double."""

DIRECTORY = 2 * 2**20
"""Maximum size of the zip's directory in bytes, because reading the directory needs memory for each file."""

_BLOCK = 2**16
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


@dataclass(frozen=True)
class Member:
    """A file of a zip, or the reason why it is refused."""

    name: str  # name in the zip, with / between folders
    data: bytes
    error: str = ""  # a sentence; then `data` is empty


class ArchiveError(StreetFCNError, ValueError):
    """A zip of which no file, or no further file, can be read; the message is written for the user."""


class _Refused(Exception):
    """A file of a zip is refused; the message says why."""


def is_zip(head: bytes) -> bool:
    """Return whether a file that starts with `head` is a zip."""
    return head.startswith(_ZIPS)


def members(file: BinaryIO) -> Iterator[tuple[float, Member]]:
    """Read the files of a zip.

    Args:
        file: the zip.

    Yields:
        The fraction of files read so far (0-1), and a file.

    Raises:
        ArchiveError: if the zip is damaged or empty, or when a limit is reached.
    """
    with _open(file) as opened:
        entries, budget = _entries(opened), _Budget()
        for number, info in enumerate(entries[:FILES], 1):
            try:
                member = Member(member_name(info), _unpack(opened, info, budget))
            except _Refused as refusal:
                member = Member(member_name(info), b"", str(refusal))
            yield number / len(entries), member
            if budget.left <= 0:
                raise ArchiveError(
                    f"This zip unpacks to more than {TOTAL // 2**30} GB; the rest of it is left out."
                )
        if len(entries) > FILES:
            raise ArchiveError(f"This zip has {len(entries):,} files; only the first {FILES:,} are taken.")


def list_members(path: Path, head_bytes: int) -> Iterator[Member]:
    """List the files of a zip, each with the first `head_bytes` bytes of its content.

    Args:
        path: the zip.
        head_bytes: number of bytes to read of each file.

    Raises:
        ArchiveError: if the zip is damaged or empty, or has too many files.
        OSError: if it cannot be opened.
    """
    with path.open("rb") as file, _open(file) as opened:
        entries = _entries(opened)
        if len(entries) > FILES:
            raise ArchiveError(
                f"{path} has {len(entries):,} files; {FILES:,} are the most. Unpack it and name the folder."
            )
        names = set[str]()
        for info in entries:
            name = member_name(info)
            try:
                if name in names:
                    raise _Refused("Another file in this zip has the same name; rename one of them.")
                names.add(name)
                yield Member(name, _unpack(opened, info, _Budget(), head_bytes))
            except _Refused as refusal:
                yield Member(name, b"", str(refusal))


def read_member(path: Path, name: str) -> bytes:
    """Read one file of a zip.

    Args:
        path: the zip.
        name: name of the file, as `list_members` gave it.

    Raises:
        ArchiveError: if the file is not there or cannot be unpacked.
        OSError: if the zip cannot be opened.
    """
    with path.open("rb") as file, _open(file) as opened:
        for info in _entries(opened):
            if member_name(info) == name:
                try:
                    return _unpack(opened, info, _Budget())
                except _Refused as refusal:
                    raise ArchiveError(str(refusal)) from None
    raise ArchiveError(f"{path} no longer contains {name}.")


def _open(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(_Bounded(file))
    except ArchiveError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise ArchiveError("This zip is cut off or damaged; make it again.") from error


def _entries(opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of a zip that are neither folders nor hidden."""
    entries = [
        info
        for info in opened.infolist()
        if not info.filename.endswith("/") and not is_system_file(member_name(info))
    ]
    if not entries:
        raise ArchiveError("There are no files in this zip.")
    return entries


def _unpack(
    opened: zipfile.ZipFile, info: zipfile.ZipInfo, budget: "_Budget", most: int | None = None
) -> bytes:
    """Return the unpacked bytes of a file, only the first `most` of them if given. Raises `_Refused`."""
    name = member_name(info)
    if name.startswith("/") or ".." in path_parts(name) or re.match(r"[A-Za-z]:", name):
        raise _Refused("Its name leads out of the zip; pack it again with plain names.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _Refused("This is a link to a file, not the file; pack the file itself.")
    if info.flag_bits & 1:
        raise _Refused("It is encrypted; pack it without a password.")
    # others cannot be unpacked in bounded steps
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Refused("Its compression method is not supported; make an ordinary zip.")
    try:
        with opened.open(info) as stream:
            data = stream.read(most) if most is not None else _read_bounded(stream, info, budget)
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        ValueError,
        NotImplementedError,
        EOFError,
        RuntimeError,
    ) as error:
        raise _Refused("It is damaged within the zip; pack it again.") from error
    if is_zip(data[:4]):
        raise _Refused("This is a zip in the zip; add its photos directly, or upload it separately.")
    return data


def _read_bounded(stream: IO[bytes], info: zipfile.ZipInfo, budget: "_Budget") -> bytes:
    data = bytearray()
    while block := stream.read(_BLOCK):
        data += block
        budget.left -= len(block)
        if len(data) > EACH:
            raise _Refused(f"It is larger than {EACH // 2**20} MB.")
        if len(data) > RATIO * info.compress_size + _BLOCK:
            raise _Refused("It unpacks to far more than any photo does.")
        if budget.left < 0:
            raise _Refused("There is no room for it: the zip unpacks to too much.")
    return bytes(data)


class _Budget:
    """The number of bytes that may still be unpacked."""

    def __init__(self) -> None:
        self.left = TOTAL


class _Bounded:
    """A file that refuses long reads: `zipfile` reads the directory in one step, whatever its size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, lambda: None
        self.seekable = lambda: True

    def read(self, size: int = -1) -> bytes:
        """Read like a file. Raises `ArchiveError` for more than `DIRECTORY` bytes."""
        if size > DIRECTORY:
            raise ArchiveError("This zip has far too many files; make smaller ones.")
        return self._file.read(size)
