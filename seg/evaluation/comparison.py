"""Comparison of two networks on the same photos, from their confusion matrices: the differences of the mean
IoU over all photos, by class, by photo and on slices of the photos, with intervals.

All differences are the first network minus the second. A pixel that a network assigns to none of the classes
counts as wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seg.evaluation.bootstrap import MIN_PHOTOS, bias_corrected, draw_photos

LEAST = 64
"""Minimum pixels of a class in the label of a photo that counts as a photo with the class."""

EQUAL = 1e-9
"""Mean IoUs of a photo that differ by less are equal."""


@dataclass(frozen=True)
class Difference:
    """A metric of two networks on the same photos.

    Attributes:
        photos: number of photos; of a class, those that contain it.
        first, second: the metric of each network, 0 to 1; None where it is undefined.
        difference: the first minus the second.
        low, high: bounds of the 95 % confidence interval of the difference; None with fewer than
            `MIN_PHOTOS` photos.
    """

    photos: int
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PhotoDifference:
    """The mean IoU of two networks on one photo, over the classes of its ground truth.

    Attributes:
        index: index of the photo in its split.
        first, second: the mean IoU of each network.
    """

    index: int
    first: float
    second: float

    @property
    def difference(self) -> float:
        """The first minus the second."""
        return self.first - self.second


@dataclass(frozen=True)
class Slice:
    """The difference of the mean IoU on some of the photos, over the classes of their ground truth.

    Attributes:
        group: what the slices of a group differ in, such as brightness.
        name: which photos.
        difference: the difference.
    """

    group: str
    name: str
    difference: Difference


@dataclass(frozen=True)
class NetworkComparison:
    """Two networks on the same photos.

    Attributes:
        overall: the mean IoU of the summed confusion matrices, over the classes of the ground truth.
        per_photo: the mean over the photos of the mean IoU of each.
        by_class: the IoU of each class of the ground truth.
        photos: the photos that have a ground truth, in the order of the files.
        slices: the slices by group.
    """

    overall: Difference
    per_photo: Difference
    by_class: dict[str, Difference]
    photos: tuple[PhotoDifference, ...]
    slices: tuple[Slice, ...]

    @property
    def won(self) -> int:
        """Number of photos on which the first network is better."""
        return sum(photo.difference > EQUAL for photo in self.photos)

    @property
    def lost(self) -> int:
        """Number of photos on which the second network is better."""
        return sum(photo.difference < -EQUAL for photo in self.photos)

    @property
    def equal(self) -> int:
        """Number of photos on which both are equally good."""
        return len(self.photos) - self.won - self.lost

    def regressions(self, limit: int | None = None) -> list[PhotoDifference]:
        """Return the photos on which the first network is worse, the worst first."""
        worse = [photo for photo in self.photos if photo.difference < -EQUAL]
        return sorted(worse, key=lambda photo: photo.difference)[:limit]

    def improvements(self, limit: int | None = None) -> list[PhotoDifference]:
        """Return the photos on which the first network is better, the best first."""
        better = [photo for photo in self.photos if photo.difference > EQUAL]
        return sorted(better, key=lambda photo: -photo.difference)[:limit]


Grouping = Mapping[str, Mapping[str, np.ndarray]]
"""By group and name of a slice, n bool: which photos belong to it."""


def compare(
    first: np.ndarray, second: np.ndarray, names: Sequence[str], groups: Grouping | None = None
) -> NetworkComparison:
    """Compare two networks; each draw of the intervals takes the same photos for both.

    Args:
        first: n x K x K counts of a network, one matrix per photo, in the order of the files; or
            n x K x (K + 1), the last column counts the pixels that were assigned to none of the classes.
        second: those of the other network on the same photos.
        names: the names of the classes.
        groups: slices beside those by class.

    Raises:
        ValueError: if the counts are not of the same photos and classes.
    """
    if len(first) != len(second) or not first.shape[1] == second.shape[1] == len(names):
        raise ValueError(
            f"the counts have the shapes {first.shape} and {second.shape} for {len(names)} classes"
        )
    parts = np.stack((_parts(first), _parts(second)))
    if not np.array_equal(parts[0, :, 1], parts[1, :, 1]):
        raise ValueError("the counts are of different labels")
    drawn = draw_photos(len(first))
    totals = parts.sum(1)
    resampled = _resample(drawn, parts)
    by_photo = _mean(_ious(parts, in_target=True))
    in_target = totals[0, 1] > 0  # a class that a single network predicts would count for that one only
    has_class = parts[0, :, 1] >= LEAST
    defined = ~np.isnan(by_photo).any(0)
    return NetworkComparison(
        overall=_difference(
            len(first), _mean(_ious(totals)[:, in_target]), _mean(_ious(resampled)[..., in_target])
        ),
        per_photo=_mean_of_photos(by_photo[:, defined]),
        by_class={
            name: _difference(int(has_class[:, k].sum()), values, sampled, len(first))
            for k, name in enumerate(names)
            if in_target[k]
            for values, sampled in [(_ious(totals)[:, k], _ious(resampled)[..., k])]
        },
        photos=tuple(
            PhotoDifference(int(i), float(by_photo[0, i]), float(by_photo[1, i]))
            for i in np.flatnonzero(defined)
        ),
        slices=_slices(parts, {**(groups or {}), "class presence": _with_class(has_class, names)}),
    )


def _with_class(has_class: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the photos with each class that some photos have and others lack."""
    return {
        f"with {name}": has_class[:, k]
        for k, name in enumerate(names)
        if has_class[:, k].any() and not has_class[:, k].all()
    }


def _slices(parts: np.ndarray, groups: Grouping) -> tuple[Slice, ...]:
    slices = []
    for group, members in groups.items():
        for name, is_member in members.items():
            count = int(is_member.sum())
            if not count:
                continue
            of_slice = parts[:, is_member]
            sampled = _resample(draw_photos(count), of_slice) if count >= MIN_PHOTOS else of_slice[:, :1]
            values = _mean(_ious(of_slice.sum(1), in_target=True))
            slices.append(
                Slice(group, name, _difference(count, values, _mean(_ious(sampled, in_target=True))))
            )
    return tuple(slices)


def thirds(values: np.ndarray, names: tuple[str, str, str], form: str = "{:.2f}") -> dict[str, np.ndarray]:
    """Divide photos into three slices of about equal size by a value.

    Args:
        values: n values, one per photo.
        names: the names of the slices, the lowest values first.
        form: format of the bounds, which are appended to the names.

    Returns:
        By name, n bool; a slice without photos is left out.
    """
    order = np.argsort(values, kind="stable")
    members = {}
    for name, indices in zip(names, np.array_split(order, 3), strict=True):
        if len(indices):
            low, high = (form.format(values[i]) for i in (indices[0], indices[-1]))
            is_member = np.zeros(len(values), bool)
            is_member[indices] = True
            members[f"{name} ({low}–{high})"] = is_member
    return members


def _parts(counts: np.ndarray) -> np.ndarray:
    """Return n x 3 x K float64: correct pixels, pixels in the target and predicted pixels of each class."""
    classes = counts.shape[1]
    hits = np.diagonal(counts, axis1=1, axis2=2)
    return np.stack((hits, counts.sum(2), counts.sum(1)[:, :classes]), 1).astype(np.float64)


def _resample(drawn: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return 2 x repeats x 3 x K: the sums of the parts over the photos of each draw."""
    networks, n, *shape = parts.shape
    return (drawn @ parts.reshape(networks, n, -1)).reshape(networks, len(drawn), *shape)


def _ious(parts: np.ndarray, in_target: bool = False) -> np.ndarray:
    """Return ... x K IoUs of ... x 3 x K parts; nan for classes in neither target nor prediction, and with
    `in_target` for all classes that are not in the target."""
    hits, target, predicted = np.moveaxis(parts, -2, 0)
    union = target + predicted - hits
    is_counted = target > 0 if in_target else union > 0
    return np.divide(hits, union, out=np.full(hits.shape, np.nan), where=is_counted)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the means over the last axis of the values that are not nan; nan where there are none."""
    known = ~np.isnan(values)
    counts = known.sum(-1)
    sums = np.where(known, values, 0).sum(-1)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _mean_of_photos(by_photo: np.ndarray) -> Difference:
    """Compare the means over photos of 2 x n values."""
    count = by_photo.shape[1]
    if not count:
        return Difference(0, None, None, None, None, None)
    sampled = draw_photos(count) @ by_photo.T / count
    return _difference(count, by_photo.mean(1), sampled.T)


def _difference(photos: int, values: np.ndarray, sampled: np.ndarray, drawn: int | None = None) -> Difference:
    """Compare two values.

    Args:
        photos: number of photos that the difference states.
        values: 2, the metric of each network.
        sampled: 2 x repeats, the metric of each network in each draw.
        drawn: number of photos that were drawn from; by default `photos`.
    """
    first, second = (None if np.isnan(value) else float(value) for value in values)
    if first is None or second is None:
        return Difference(photos, first, second, None, None, None)
    difference = first - second
    if (photos if drawn is None else drawn) < MIN_PHOTOS:
        return Difference(photos, first, second, difference, None, None)
    return Difference(photos, first, second, difference, *bias_corrected(sampled[0] - sampled[1], difference))
