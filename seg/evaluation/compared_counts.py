"""The confusion matrices of every photo of what is compared, and the time of a photo.

Those of published weights come with their cards or from an evaluation. Others are computed once and kept in
the cache folder, ``comparisons/DATA/SOURCE.npz``, so that pages can show comparisons quickly.
"""

import hashlib
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from seg.data.classes import IGNORE
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import OnProgress
from seg.errors import printable
from seg.evaluation import leaderboard, store
from seg.evaluation.mask_sources import Kind, MaskSource, WeightsSource
from seg.evaluation.metrics import confusion
from seg.evaluation.photo_counts import published_counts
from seg.evaluation.photo_traits import comparisons_dir
from seg.system.atomic_io import write_atomic
from seg.system.npz_file import read_arrays

TIMED_PHOTOS = 5
"""Number of photos whose prediction is timed."""


class SourceRecord(BaseModel):
    """What kept counts are of.

    Attributes:
        text: what `open_source` opens; the path is absolute.
        title: name for tables and plots.
        kind: what it is.
        fingerprint: its fingerprint when it was counted.
        notes: sentences that readers of the results need.
        photos: number of photos, the first of the split.
        seconds: median time of a photo; None for folders, whose masks were made elsewhere.
    """

    text: str
    title: str
    kind: Kind
    fingerprint: str
    notes: list[str] = []
    photos: int = Field(ge=1)
    seconds: float | None = None


def source_counts(
    source: MaskSource, split: DecodedSplit, count: int, on_progress: OnProgress | None = None
) -> np.ndarray:
    """Return the confusion matrices of the first photos of a split, on the unambiguous pixels.

    Args:
        source: where masks come from.
        split: the data.
        count: number of photos.
        on_progress: called with the number of photos done and of all, if the counts are not known yet.

    Returns:
        count x K x K or count x K x (K + 1), as `comparison.compare` takes them.

    Raises:
        StreetFCNError: if a mask cannot be used.
        OSError: if the cache cannot be written.
    """
    known = known_counts(source, split.digest, count)
    if known is not None:
        return known
    counts, seconds = _count(source, split, count, on_progress)
    if not counts[..., -1].any():
        counts = counts[..., :-1]
    _save(source, split, counts, seconds if source.makes_masks else None)
    return counts


def known_counts(source: MaskSource, digest: str, count: int) -> np.ndarray | None:
    """Return counts that were published, evaluated or kept; None if there are none.

    Args:
        source: where masks come from.
        digest: content hash of the split.
        count: number of photos.
    """
    counts = _weights_counts(source, digest) if isinstance(source, WeightsSource) else None
    if counts is None:
        counts = _read(_file(source.fingerprint, digest))[1]
    return counts[:count] if counts is not None and len(counts) >= count else None


def _weights_counts(source: WeightsSource, digest: str) -> np.ndarray | None:
    """Return the counts of published weights from their card or from an evaluation of the whole split."""
    card = source.card
    if card.metrics.get("digest") == digest and leaderboard.is_current(card):
        counts = published_counts(card).get(source.variant)
        if counts is not None:
            return counts
    evaluation = store.load(store.store_dir(card.sha256, digest))
    return evaluation.counts.get(source.variant) if evaluation else None


def stored_sources(digest: str) -> list[SourceRecord]:
    """Return what counts of a split were kept of, by title.

    Args:
        digest: content hash of the split.
    """
    records = [record for file in comparisons_dir(digest).glob("*.npz") if (record := _read(file)[0])]
    return sorted(records, key=lambda record: (record.title, record.text))


def stored_counts(record: SourceRecord, digest: str) -> np.ndarray | None:
    """Return the counts of a record; None if they are gone.

    Args:
        record: from `stored_sources`.
        digest: content hash of the split.
    """
    return _read(_file(record.fingerprint, digest))[1]


def seconds_per_photo(sources: Sequence[MaskSource], split: DecodedSplit, count: int) -> list[float | None]:
    """Measure the time from a photo to its mask at the size of the label, in turns.

    Args:
        sources: what is timed.
        split: the data.
        count: number of photos to choose from.

    Returns:
        The median time of each in seconds; None for folders, whose masks were made elsewhere.
    """
    indices = np.linspace(0, count - 1, min(count, TIMED_PHOTOS)).round().astype(int).tolist()
    times: list[list[float]] = [[] for _ in sources]
    for turn, index in enumerate([indices[0], *indices]):
        for source, of_source in zip(sources, times, strict=True):
            if source.makes_masks:
                start = time.perf_counter()
                source.mask(split, index)
                if turn:  # the first one loads the network
                    of_source.append(time.perf_counter() - start)
    return [float(np.median(of_source)) if of_source else None for of_source in times]


def _count(
    source: MaskSource, split: DecodedSplit, count: int, on_progress: OnProgress | None
) -> tuple[np.ndarray, float]:
    """Return photos x K x (K + 1) counts and the median time of a photo."""
    classes, seconds = len(split.classes), []
    counts = np.zeros((count, classes, classes + 1), np.int32)
    for i in range(count):
        start = time.perf_counter()
        mask = source.mask(split, i)
        seconds.append(time.perf_counter() - start)
        without_class = np.where(mask == IGNORE, np.uint8(classes), mask)
        counts[i] = confusion(split.label(i), without_class, classes + 1, IGNORE)[:classes]
        if on_progress:
            on_progress(i + 1, count)
    return counts, float(np.median(seconds))


def _file(fingerprint: str, digest: str) -> Path:
    return comparisons_dir(digest) / f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}.npz"


def _save(source: MaskSource, split: DecodedSplit, counts: np.ndarray, seconds: float | None) -> None:
    """Keep counts; they replace those of an earlier state of the same source."""
    record = SourceRecord(
        text=printable(source.text),
        title=source.title,
        kind=source.kind,
        fingerprint=source.fingerprint,
        notes=source.notes(split.classes),
        photos=len(counts),
        seconds=seconds,
    )
    for earlier in stored_sources(split.digest):
        if earlier.text == record.text:
            _file(earlier.fingerprint, split.digest).unlink(missing_ok=True)
    arrays: dict[str, Any] = {"counts": counts, "record": np.array(record.model_dump_json())}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    file = _file(record.fingerprint, split.digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, content.getvalue())


def _read(file: Path) -> tuple[SourceRecord, np.ndarray] | tuple[None, None]:
    """Read kept counts; None if there are none or they are damaged."""
    try:
        arrays = read_arrays(file)
        record, counts = SourceRecord.model_validate_json(str(arrays["record"])), arrays["counts"]
    except (OSError, ValueError, KeyError):  # pydantic's errors are ValueErrors
        return None, None
    is_counts = counts.ndim == 3 and counts.dtype == np.int32 and len(counts) == record.photos
    return (record, counts) if is_counts else (None, None)
