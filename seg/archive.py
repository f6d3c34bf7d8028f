"""Files out of a zip that nobody vouches for, one after another.

Nothing is written, and no name in the zip is used as a path. What is refused gets a sentence, and the rest goes on. Sizes are
those that were really unpacked, never those that the zip claims. Knows nothing of photos.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

FILES = 2000
"""So many files of a zip are looked at."""

EACH = 64 * 2**20
"""Bytes that one file may have, unpacked."""

TOTAL = 4 * 2**30
"""Bytes that a zip may be unpacked to, those of refused files too: unpacking them took as long."""

RATIO = 200
"""So many times its packed size may a file grow. Photos are packed already: they do not even double."""

DIRECTORY = 2 * 2**20
"""Bytes of the zip's list of its files: a longer one holds tens of thousands, and each takes memory before a name is seen."""

_BLOCK = 2**16
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SILENT = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Member:
    """A file of a zip, or why there is none."""

    name: str  # as the zip has it, with / between folders
    data: bytes
    error: str = ""  # a sentence; then `data` is empty


class ArchiveError(ValueError):
    """A zip of which nothing can be taken, or nothing more; the message is a sentence for the person who gave it."""


class _Refused(Exception):
    """Why a file of a zip is not taken."""


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip."""
    return head.startswith(_ZIPS)


def is_silent(name: str) -> bool:
    """Whether a file is one that systems leave behind, or hidden: skipped without a word."""
    return any(part in _SILENT or (part.startswith(".") and part.strip(".")) for part in _parts(name))


def members(file: BinaryIO) -> Iterator[tuple[float, Member]]:
    """The files of a zip, and how much of it (0-1) is behind after each. Raises `ArchiveError`, at once or at a limit."""
    try:
        opened = zipfile.ZipFile(_Bounded(file))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError("This zip is cut off or damaged; make it again.") from error
    with opened:
        found = [info for info in opened.infolist() if not info.filename.endswith("/") and not is_silent(info.filename)]
        if not found:
            raise ArchiveError("There are no files in this zip.")
        budget = _Budget()
        for number, info in enumerate(found[:FILES], 1):
            name = info.filename.replace("\\", "/")
            try:
                member = Member(name, _unpacked(opened, info, budget))
            except _Refused as why:
                member = Member(name, b"", str(why))
            yield number / len(found), member
            if budget.left <= 0:
                raise ArchiveError(f"This zip unpacks to more than {TOTAL // 2**30} GB; the rest of it is left out.")
        if len(found) > FILES:
            raise ArchiveError(f"This zip has {len(found):,} files; only the first {FILES:,} are taken.")


def _unpacked(opened: zipfile.ZipFile, info: zipfile.ZipInfo, budget: "_Budget") -> bytes:
    """A file's bytes. Raises `_Refused`."""
    parts = _parts(info.filename)
    if info.filename.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", info.filename):
        raise _Refused("Its name leads out of the zip; pack it again with plain names.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _Refused("This is a link to a file, not the file; pack the file itself.")
    if info.flag_bits & 1:
        raise _Refused("It is encrypted; pack it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without bounds, in one step
        raise _Refused("It is packed in a way that is not read here; make an ordinary zip.")
    data = bytearray()
    try:
        with opened.open(info) as stream:
            while block := stream.read(_BLOCK):
                data += block
                budget.left -= len(block)
                if len(data) > EACH:
                    raise _Refused(f"It is larger than {EACH // 2**20} MB.")
                if len(data) > RATIO * info.compress_size + _BLOCK:
                    raise _Refused("It unpacks to far more than any photo does.")
                if budget.left < 0:
                    raise _Refused("There is no room for it: the zip unpacks to too much.")
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
        raise _Refused("It is damaged within the zip; pack it again.") from error
    if is_zip(bytes(data[:4])):
        raise _Refused("This is a zip in the zip; give its photos, or give it by itself.")
    return bytes(data)


def _parts(name: str) -> list[str]:
    return re.split(r"[/\\]", name)


class _Budget:
    """How many bytes may still be unpacked."""

    def __init__(self) -> None:
        self.left = TOTAL


class _Bounded:
    """A file of which no long piece is read at once: `zipfile` reads the list of files as one, however long it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, lambda: None
        self.seekable = lambda: True

    def read(self, size: int = -1) -> bytes:
        """As a file's. Raises `ArchiveError`."""
        if size > DIRECTORY:
            raise ArchiveError("This zip has far too many files; make smaller ones.")
        return self._file.read(size)
