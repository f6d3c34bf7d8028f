"""Many photos at once: taken in, looked at one by one, and handed out again; one bad file never stops the rest.

A batch lives on disk, in a folder that is deleted with it; in memory are names, sizes and class shares only. Whatever interrupts
the work, no photo is half done or counted twice: a photo is done when all of its files are written, and then it is skipped.

    photos/00012                the file as it was given
    masks/STEM.VARIANT.png      what ``python -m seg predict`` writes
    masks/STEM.json             so is this
    small/00012.VARIANT.jpg     the mask over the photo, to be seen beside others
"""

import csv
import io
import re
import secrets
import shutil
import tempfile
import time
import unicodedata
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from seg import archive, masks, results, truth
from seg.files import write_atomic
from seg.folder import facts
from seg.labels import NAMES
from seg.photo import PhotoError, read_photo
from seg.predict import Prediction

PHOTOS = 2000
"""So many files make a batch."""

BYTES = 4 * 2**30
"""So many bytes of photos a batch may have."""

SMALL = 360
"""Width and height, at most, of what is seen beside others."""

OPACITY = 0.6
"""Of the masks laid over those."""

PREFIX = "street-fcn-"
"""How the folders of batches are called, in the system's folder for temporary files."""


class OwnFolder:
    """A folder with a name that nobody can guess; it is gone when this object is, at the end of the process at the latest.

    Where the process was killed, `sweep` of another deletes it.
    """

    def __init__(self, parent: Path, prefix: str = "") -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self.path = parent / f"{prefix}{secrets.token_urlsafe(32)}"
        self.path.mkdir(mode=0o700)
        lock = FileLock(self.path / ".lock", thread_local=False)
        lock.acquire()
        self.delete = weakref.finalize(self, _delete, self.path, lock)


def _delete(path: Path, lock: FileLock) -> None:
    lock.release()
    shutil.rmtree(path, ignore_errors=True)


def _text(name: str) -> str:
    """A file's name as a cell of a CSV that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    return f"'{name}" if name[:1] in tuple("=+-@\t\r") else name


def sweep(parent: Path, prefix: str = "") -> None:
    """Deletes the `OwnFolder`s of processes that were killed: those that nobody holds."""
    for path in parent.glob(f"{prefix}*"):
        try:
            # the first minute is left alone: who made it may not have locked it yet
            if path.is_symlink() or not (path / ".lock").is_file() or time.time() - path.stat().st_mtime < 60:
                continue  # of ours, each has its lock from the first
            with FileLock(path / ".lock", timeout=0):
                shutil.rmtree(path, ignore_errors=True)
        except (Timeout, OSError):  # held, another person's, or gone meanwhile
            continue


@dataclass(frozen=True)
class Settings:
    """How the photos of a batch are looked at."""

    weights: str  # their name
    digest: str  # of their file
    variants: tuple[str, ...]
    best: bool = False


@dataclass(frozen=True)
class Found:
    """What is kept in memory of a photo that was looked at."""

    width: int
    height: int
    shares: dict[str, dict[str, float]]  # {variant: {class: share}}, as `masks.shares`


@dataclass
class Entry:
    """A file of a batch."""

    name: str  # as its owner knows it
    stem: str  # of what is written for it: a path below masks/ that is harmless, and no other entry's
    error: str = ""  # why it cannot be used, a sentence
    taken: bool = True  # whether its bytes are in photos/
    found: Found | None = None


@dataclass(eq=False)
class Batch:
    """Photos, and what was made of them."""

    settings: Settings
    entries: list[Entry] = field(default_factory=list)
    seconds: float = 0.0  # that looking took so far
    bytes: int = 0  # of the photos
    note: str = ""  # of `Prediction`, of any of them

    def __post_init__(self) -> None:
        self.folder = OwnFolder(Path(tempfile.gettempdir()), PREFIX)
        self._stems: set[str] = set()
        for name in ("photos", "masks", "small"):
            (self.path / name).mkdir()

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @property
    def done(self) -> list[int]:
        """The numbers of the entries that were looked at."""
        return [i for i, entry in enumerate(self.entries) if entry.found]

    @property
    def failed(self) -> list[int]:
        """The numbers of the entries that cannot be used."""
        return [i for i, entry in enumerate(self.entries) if entry.error]

    @property
    def waiting(self) -> list[int]:
        """The numbers of the entries that were not looked at yet."""
        return [i for i, entry in enumerate(self.entries) if not entry.found and not entry.error]

    @property
    def seconds_left(self) -> float | None:
        """What the rest will take, going by what was done; None before anything was."""
        looked = sum(1 for entry in self.entries if entry.taken and (entry.found or entry.error))
        return self.seconds / looked * len(self.waiting) if looked else None

    def photo_file(self, number: int) -> Path:
        """The file as it was given."""
        return self.path / "photos" / f"{number:05d}"

    def mask_file(self, number: int, variant: str) -> Path:
        """A mask, as an indexed PNG."""
        return self._target(number, f".{variant}.png")

    def small_file(self, number: int, variant: str) -> Path:
        """A mask over its photo, a small JPEG."""
        return self.path / "small" / f"{number:05d}.{variant}.jpg"

    def take(self, files: Iterable[tuple[str, BinaryIO]]) -> Iterator[float]:
        """Takes in files, and the files within zips, each with its name. Yields how many files are behind, zips in parts.

        What cannot be taken becomes an entry with an error. Raises OSError where the disk is full.
        """
        for behind, (name, file) in enumerate(files):
            if len(self.entries) > PHOTOS:  # the last one says that there were more
                return
            head = file.read(4)
            file.seek(0)
            if archive.is_zip(head):
                try:
                    for part, member in archive.members(file):
                        self._add(member)
                        yield behind + part
                except archive.ArchiveError as error:
                    self._add(archive.Member(name, b"", str(error)))
            elif not archive.is_silent(name):
                self._add(archive.Member(name, file.read()))
            yield behind + 1.0

    def _add(self, file: archive.Member) -> None:
        error = file.error
        if len(self.entries) >= PHOTOS:
            if len(self.entries) > PHOTOS:
                return
            error = f"This file, and what came after it, is left out: {PHOTOS:,} are the most at a time."
        elif not error and self.bytes + len(file.data) > BYTES:
            error = f"It is left out: all photos together may have {BYTES // 2**30} GB."
        name = " ".join("".join(c if c.isprintable() else " " for c in file.name).split()) or "photo"
        if not error:
            write_atomic(self.photo_file(len(self.entries)), file.data)
            self.bytes += len(file.data)
        self.entries.append(Entry(name, unique(harmless(name), self._stems), error, taken=not error))

    def step(self, look: Callable[[Image.Image], Prediction]) -> None:
        """Looks at the next photo that waits.

        A MemoryError or RuntimeError of `look` becomes the photo's error. Whatever else it raises is passed on, as is OSError
        where the disk is full: then the photo still waits.
        """
        number = self.waiting[0]
        entry, began = self.entries[number], time.perf_counter()
        try:
            photo = read_photo(self.photo_file(number).read_bytes())
            pair = truth.split_pair(photo)
            if pair is not None:
                photo = pair[0]
            prediction = look(photo)
        except PhotoError as error:
            entry.error = str(error)
        except MemoryError:
            entry.error = "There is not enough memory for this photo; make it smaller and try again."
        except RuntimeError as error:
            why = (str(error).splitlines() or ["it gave no reason"])[0]
            entry.error = f"The network could not look at this photo ({why})."
        else:
            self._write_small(number, photo, prediction)
            said = facts(prediction, self.settings.digest, entry.name, self.settings.best)
            results.write(str(self._target(number, "")), prediction.masks, said)
            shares = {variant: masks.shares(mask) for variant, mask in prediction.masks.items()}
            entry.found = Found(photo.width, photo.height, shares)
            self.note = prediction.note or self.note
        self.seconds += time.perf_counter() - began

    def again(self, settings: Settings) -> None:
        """Forgets what was made of the photos, so that they are looked at with other settings."""
        self.settings, self.seconds, self.note = settings, 0.0, ""
        for entry in self.entries:
            entry.found = None
            if entry.taken:
                entry.error = ""
        for name in ("masks", "small"):
            shutil.rmtree(self.path / name)
            (self.path / name).mkdir()

    def csv(self) -> str:
        """A row for each photo and variant, with the share (0-1) of every class; one with the reason for each that failed."""
        out = io.StringIO()
        rows = csv.writer(out)
        rows.writerow(["name", "variant", "width", "height", *NAMES, "mask", "error"])
        for entry in self.entries:
            if entry.found:
                for variant, shares in entry.found.shares.items():
                    parts = [f"{shares.get(name, 0):.6f}" for name in NAMES]
                    size = (entry.found.width, entry.found.height)
                    rows.writerow([_text(entry.name), variant, *size, *parts, f"{entry.stem}.{variant}.png", ""])
            elif entry.error:
                rows.writerow([_text(entry.name), "", "", "", *[""] * len(NAMES), "", entry.error])
        return out.getvalue()

    def pack(self, folder: Path, most: int) -> Iterator[float]:
        """Writes masks, their JSON and the CSV into zips of at most `most` bytes, in `folder`, without holding them in memory.

        They are ``masks.zip``, or ``masks-01.zip`` and so on. Yields the share that is packed (0-1). The files of one photo must
        be smaller than `most`. Raises OSError where the disk is full.
        """
        numbers, opened, room = self.done, None, 0
        whole: list[Path] = []
        try:
            for packed, number in enumerate(numbers, 1):
                files = [self.mask_file(number, variant) for variant in self.settings.variants] + [self._target(number, ".json")]
                names = [file.relative_to(self.path / "masks").as_posix() for file in files]
                # 200: what a zip writes about a file besides its name, twice
                needed = sum(file.stat().st_size + 2 * len(name.encode()) + 200 for file, name in zip(files, names, strict=True))
                if opened is not None and needed > room:
                    opened.close()
                    opened = None
                if opened is None:
                    whole.append(folder / f"masks-{len(whole) + 1:02d}.zip")
                    opened, room = zipfile.ZipFile(whole[-1], "x"), most - 100
                    if len(whole) == 1:
                        table = self.csv()
                        opened.writestr("shares.csv", table, compress_type=zipfile.ZIP_DEFLATED)
                        room -= len(table.encode()) + 200
                for file, name in zip(files, names, strict=True):
                    packing = zipfile.ZIP_STORED if file.suffix == ".png" else zipfile.ZIP_DEFLATED  # a PNG is deflated
                    opened.write(file, name, packing)
                room -= needed
                yield packed / len(numbers)
        finally:
            if opened is not None:
                opened.close()
        if len(whole) == 1:
            whole[0].rename(folder / "masks.zip")

    def _target(self, number: int, ending: str) -> Path:
        return self.path / "masks" / f"{self.entries[number].stem}{ending}"

    def _write_small(self, number: int, photo: Image.Image, prediction: Prediction) -> None:
        scale = min(1, SMALL / max(photo.size))
        size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
        small = photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        for variant, mask in prediction.masks.items():
            reduced = np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
            out = io.BytesIO()
            Image.fromarray(masks.overlay(np.asarray(small), reduced, OPACITY)).save(out, "JPEG", quality=88)
            write_atomic(self.small_file(number, variant), out.getvalue())


def harmless(name: str) -> str:
    """A file's name, with its folders -> a relative path without ending that is harmless on every system.

    Folders get no dots, so that none is called as a file is.
    """
    *folders, file = [part for part in re.split(r"[/\\]", unicodedata.normalize("NFC", name)) if part.strip(" .")] or [name]
    stem = file.rsplit(".", 1)[0] if "." in file.lstrip(".") else file
    plain = [_plain(part).replace(".", "_") for part in folders[-6:]]
    return "/".join([*plain, _plain(stem)])


def _plain(part: str) -> str:
    """Without what some system does not allow, and short enough for a file's name together with its endings."""
    kept = re.sub(r"[^\w .-]", "_", part).encode()[:120].decode(errors="ignore").strip(" .")
    reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", kept)  # by Windows
    return f"_{kept}" if reserved else kept or "photo"


def unique(stem: str, taken: set[str]) -> str:
    """A stem that is none of those taken, whatever the case; it is taken from now on."""
    found, number = stem, 2
    while found.casefold() in taken:
        found, number = f"{stem}-{number}", number + 1
    taken.add(found.casefold())
    return found
