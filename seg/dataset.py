"""Image pairs on disk -> photos and labels in memory-mapped arrays: fetch, check, and decode once.

The layout is that of the Kaggle set ``dansbecker/cityscapes-image-pairs``: ``DIR/train/1.jpg`` and ``DIR/val/1.jpg`` ..., each
512x256, the photo squashed to 256x256 on the left, its label in the Cityscapes colours on the right. Knows nothing of networks.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, UnidentifiedImageError

from seg import labels
from seg.crew import helpers

KAGGLE = "dansbecker/cityscapes-image-pairs"
SPLITS = ("train", "val")
SIDE = 256
"""Height and width in pixels of both halves of a pair."""

CACHE = Path(os.environ.get("SEG_CACHE", Path(__file__).parent.parent / ".cache"))
"""Where decoded splits are kept; ``SEG_CACHE`` moves it."""

FOLDER = Path(os.environ.get("SEG_DATA", os.path.relpath(Path(__file__).parent.parent / "data")))
"""Where data sets lie that the app offers; ``SEG_DATA`` moves it."""

_HOLDING, _DONE = ".decoding-", "done"
"""How the folder begins in which a split is being decoded, and the file in it that says how far that is, and by which process."""

Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


class DatasetError(ValueError):
    """A data set that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Split:
    """One split, decoded: n x 256 x 256 x 3 RGB photos and n x 256 x 256 labels, both uint8 and read from disk as needed."""

    name: str
    files: tuple[Path, ...]
    digest: str  # sha256 over the files' names and contents
    photos: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.files)


def find(data: Path, split: str) -> tuple[Path, ...]:
    """The pairs of a split, in the order of their numbers. Raises `DatasetError` where there are none."""
    if not data.is_dir():
        raise DatasetError(f"There is no folder {data}. Get the data with python -m seg data fetch, or data render --to {data}.")
    files = tuple(sorted((data / split).glob("*.jpg"), key=lambda f: (len(f.stem), f.stem)))
    if not files:
        raise DatasetError(
            f"No pairs in {data / split}. Place the data set there (python -m seg data fetch), or render one: "
            "python -m seg data render --to DIR."
        )
    return files


def sets(folder: Path) -> tuple[Path, ...]:
    """The data sets in a folder."""
    return tuple(
        sorted(path for path in folder.glob("*") if not path.name.startswith(".") and any((path / "train").glob("*.jpg")))
    )


def read_pair(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """One pair -> its two halves, each 256 x 256 x 3 uint8. Raises `DatasetError` for what is no pair."""
    try:
        with Image.open(file, formats=["JPEG"]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DatasetError(f"{file} cannot be read as a JPEG ({error}). Fetch or copy it again.") from None
    if pixels.shape != (SIDE, 2 * SIDE, 3):
        raise DatasetError(f"{file} is {pixels.shape[1]}x{pixels.shape[0]}; a pair is {2 * SIDE}x{SIDE} pixels.")
    return pixels[:, :SIDE], pixels[:, SIDE:]


def damaged(files: tuple[Path, ...], progress: Progress | None = None) -> list[str]:
    """A sentence for each file that is no pair."""
    found = []
    for done, file in enumerate(files, 1):
        try:
            read_pair(file)
        except DatasetError as error:
            found.append(str(error))
        if progress:
            progress(done, len(files))
    return found


def is_rendered(data: Path) -> bool:
    """Whether `scenes.write_pairs` made this set: it leaves the exact labels beside the pairs."""
    return (data / "exact").is_dir()


def load(data: Path, split: str, progress: Progress | None = None) -> Split:
    """Opens a split, decoding it first where the cache does not hold these very files decoded by this very decoder.

    Raises `DatasetError` for a missing, empty or damaged split, and OSError where the cache cannot be written.
    """
    files = find(data, split)
    found = digest(files)
    folder = _place(found)
    if not folder.is_dir():
        _decode_all(files, folder, progress)
    photos = np.load(folder / "photos.npy", mmap_mode="c")
    return Split(split, files, found, photos, np.load(folder / "labels.npy", mmap_mode="c"))


def is_decoded(found: str) -> bool:
    """Whether the cache holds the split of this digest: then `load` takes no time."""
    return _place(found).is_dir()


def decoding(found: str) -> tuple[int, int] | None:
    """How many pairs of the split of this digest another process has decoded by now, and of how many; None where none does."""
    for place in CACHE.glob(f"{_HOLDING}{_place(found).name}-*/{_DONE}"):
        try:
            done, total, pid = map(int, place.read_text().split())
        except OSError:  # it has just ended
            continue
        if psutil.pid_exists(pid):
            return done, total
    return None


def counts(label: np.ndarray) -> np.ndarray:
    """n labels -> n x 20: how many pixels each class has in each, and last how many are ignored."""
    found = np.stack([np.bincount(each.reshape(-1), minlength=256) for each in label])
    return found[:, [*range(len(labels.CLASSES)), labels.IGNORE]]


def exact(file: Path) -> np.ndarray | None:
    """The exact label of a rendered pair, 512 x 1024 train ids; None for others. Raises `DatasetError` for a damaged one."""
    place = file.parent.parent / "exact" / file.parent.name / f"{file.stem}.png"
    if not place.is_file():
        return None
    try:
        with Image.open(place, formats=["PNG"]) as picture:
            label = np.array(picture)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DatasetError(f"{place} cannot be read as a PNG ({error}). Render the set again.") from None
    if label.shape != (2 * SIDE, 4 * SIDE):
        raise DatasetError(f"{place} is no label of {4 * SIDE}x{2 * SIDE} train ids. Render the set again.")
    return label


@dataclass(frozen=True)
class Survey:
    """What decoding made of some pairs; everything counted in pixels of the labels' 256 x 256."""

    whys: np.ndarray  # 6: by `labels.Why`
    decoded: np.ndarray  # 20: by class, the ignored ones last
    nearest: np.ndarray  # the same by plain nearest colour
    exact: np.ndarray  # the same in the exact labels; all 0 where there are none
    right: int  # kept pixels of which the exact label says the same
    kept: int  # pixels that were decoded and have a class in the exact label

    def __add__(self, other: "Survey") -> "Survey":
        return Survey(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def survey(files: tuple[Path, ...], progress: Progress | None = None) -> Survey:
    """Decodes pairs and counts what came of it. Raises `DatasetError` for a damaged one."""
    surveys = []
    for done, file in enumerate(files, 1):
        _, picture = read_pair(file)
        label, why = labels.explain(picture)
        truth = exact(file)
        true = np.full_like(label, labels.IGNORE) if truth is None else labels.majority(truth, SIDE)
        both = (true != labels.IGNORE) & (label != labels.IGNORE)
        decoded, nearest = counts(np.stack([label, labels.nearest(picture)]))
        surveys.append(
            Survey(
                np.bincount(why.reshape(-1), minlength=len(labels.Why)),
                decoded,
                nearest,
                counts(true[None])[0] * (truth is not None),
                int((label == true)[both].sum()),
                int(both.sum()),
            )
        )
        if progress:
            progress(done, len(files))
    return reduce(add, surveys)


def class_shares(label: np.ndarray) -> tuple[np.ndarray, float]:
    """n labels, or the rows of one -> each class's share of the pixels that have one (19 numbers), and the ignored share."""
    # one by one, since counting widens its argument to eight bytes a pixel
    counts = np.sum([np.bincount(each.reshape(-1), minlength=256) for each in label], axis=0)
    known = counts[: len(labels.CLASSES)]
    return known / max(known.sum(), 1), float(counts[labels.IGNORE] / max(counts.sum(), 1))


def fetch(to: Path) -> Path:
    """Downloads the Kaggle set and places train and val in `to`. Raises `DatasetError` saying how to do it by hand."""
    by_hand = f"Download https://www.kaggle.com/datasets/{KAGGLE} in a browser and unpack it so that {to}/train/1.jpg exists."
    if to.exists() and any(to.iterdir()):
        raise DatasetError(f"{to} is not empty; nothing was fetched. Name another folder with --to.")
    import kagglehub  # slow to import

    try:
        fetched = Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # the client raises many unrelated kinds: no network, no account, no such version
        raise DatasetError(f"Kaggle could not be reached or refused ({type(error).__name__}). {by_hand}") from error
    root = next((p.parent for p in sorted(fetched.rglob("train")) if (p.parent / "val").is_dir()), None)
    if root is None:
        raise DatasetError(f"What Kaggle sent has no train and val folders. {by_hand}")
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".fetch-") as holding:
        for split in SPLITS:
            shutil.copytree(root / split, Path(holding) / "set" / split)
        if to.exists():
            to.rmdir()
        os.replace(Path(holding) / "set", to)
    return to


def stamp(files: tuple[Path, ...]) -> str:
    """A sha256 over the names, sizes and times of files: changes when they do, and takes much less time than `digest`."""
    found = [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in ((file, file.stat()) for file in files)]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def digest(files: tuple[Path, ...]) -> str:
    """The sha256 over the names and contents of a split's files."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _place(found: str) -> Path:
    return CACHE / f"decoded-{found[:16]}-v{labels.DECODER_VERSION}"


def _decode_one(file: Path) -> tuple[np.ndarray, np.ndarray]:
    photo, picture = read_pair(file)
    return photo, labels.decode(picture)


def _decode_all(files: tuple[Path, ...], folder: Path, progress: Progress | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{_HOLDING}*"):  # by a decoding that was killed, long ago enough not to be at work
        if time.time() - left.stat().st_mtime > 24 * 3600:
            shutil.rmtree(left, ignore_errors=True)
    needed = 4 * SIDE * SIDE * len(files)
    if shutil.disk_usage(folder.parent).free < 1.05 * needed:  # writing to a mapped file on a full disk kills the process
        raise DatasetError(
            f"Decoding needs {needed / 1e6:.0f} MB in {folder.parent}: free some space, or move it with SEG_CACHE."
        )
    # decoded into a folder of its own and moved in one go, so that a decoding cut off leaves nothing half-written in place
    holding = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{_HOLDING}{folder.name}-"))
    try:
        shape = (len(files), SIDE, SIDE)
        photos = np.lib.format.open_memmap(holding / "photos.npy", "w+", np.uint8, (*shape, 3))
        decoded = np.lib.format.open_memmap(holding / "labels.npy", "w+", np.uint8, shape)
        with helpers() as pool:
            for i, (photo, label) in enumerate(pool.map(_decode_one, files, chunksize=4)):
                photos[i], decoded[i] = photo, label
                (holding / f".{_DONE}").write_text(f"{i + 1} {len(files)} {os.getpid()}")
                os.replace(holding / f".{_DONE}", holding / _DONE)  # so that nobody reads half of it
                if progress:
                    progress(i + 1, len(files))
        photos.flush()
        decoded.flush()
        (holding / _DONE).unlink()
        try:
            holding.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process decoded the same files meanwhile
                raise
    finally:
        shutil.rmtree(holding, ignore_errors=True)
