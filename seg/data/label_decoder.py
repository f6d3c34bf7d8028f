"""Decoding of color label pictures, antialiased and JPEG-compressed, into train ids."""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from seg.data.cityscapes import CLASSES, IGNORE, PALETTE, TRAIN_ID, VOID_COLORS
from seg.data.pixel_conversion import strips

DECODER_VERSION = 1
"""Increases whenever the result of `decode` changes: decoded caches and published metrics depend on it."""

_COLORS = np.array([*PALETTE, *VOID_COLORS.values()], np.float32)  # by train id, then the void colors

_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32).T

# chroma is stored at half resolution, so luma is more reliable near an edge
_WEIGHT = np.array([1.0, 0.5, 0.5], np.float32)

_POINTS = (_COLORS @ _TO_YCC) * _WEIGHT

# distance within which a pixel matches a color: JPEG noise at the dataset's quality stays below it
_CLOSE = 10.0

_STRIP_PIXELS = 2**18  # decoded at once: some hundred bytes are needed for each

_REACH = (
    16  # rows on which a pixel's label depends, and some more: 2 _NEAR of the thin, _NEAR + 1 of the core
)

_NEAR = 3  # search radius in pixels for the two classes of a blend

# The costs are squared distances.

_BLEND_COST = 60.0  # of explaining a pixel by two colors

# of a color without a 3x3 square of it nearby: isolated pixels of rare classes are mostly blends
_LONE_COST = 220.0

# the same for the colors that edges of cars and riders resemble: truck, person, the void colors but black
_RARE_COST = 600.0

_THIN_COST = 100.0  # additional cost of a blend if one of its classes occurs nearby only in thin objects

_UNSEEN_COST = 150.0  # additional cost of a pole without a sure pixel: many are thinner than a pixel

_WORST = 700.0  # above it, no known color explains a pixel: ignored

_TIE = 0.10  # distance from an even blend within which it counts for both classes, or for the thin one

_MARGIN = 250.0  # two classes whose costs differ by less are ambiguous: ignored

_THIN_MARGIN = 80.0  # the same if the better class is thin, of which little would be left

# share of the likelier class of an ambiguous pixel; on rendered scenes it has 0.77 of what both have
_LIKELY = 0.8

_POLE, _BLACK = TRAIN_ID["pole"], len(CLASSES)

_BODY = 6  # person pixels nearby that make a person beside a rider plausible

_THIN = tuple(TRAIN_ID[name] for name in ("traffic light", "rider", "motorcycle"))

_MISTAKEN = (TRAIN_ID["truck"], TRAIN_ID["person"], *range(_BLACK + 1, len(_COLORS)))


class IgnoreReason(IntEnum):
    """Why a pixel was ignored; ``KEPT`` if it was not."""

    KEPT = 0
    BLACK = 1
    VOID = 2
    TIE = 3
    AMBIGUOUS = 4
    UNKNOWN = 5


class DecodedLabel(NamedTuple):
    """A decoded label picture; each array is H x W uint8.

    Attributes:
        label: train ids of the unambiguous pixels, ``IGNORE`` elsewhere.
        reasons: `IgnoreReason` of each pixel.
        best_guess: train ids of all labelled pixels, the ambiguous ones with their most likely class;
            ``IGNORE`` only where black or a void color is most likely.
    """

    label: np.ndarray
    reasons: np.ndarray
    best_guess: np.ndarray


def decode_nearest_color(picture: np.ndarray) -> np.ndarray:
    """Decode a label picture by plain nearest color, for comparison with metrics that were computed so.

    Args:
        picture: H x W x 3 uint8 RGB, a label in the Cityscapes colors.

    Returns:
        H x W uint8 train ids; ``IGNORE`` for the void colors.
    """
    label = np.empty(picture.shape[:2], np.uint8)
    for _, top, _, bottom in strips(picture.shape[1], picture.shape[0]):
        codes = picture[top:bottom].astype(np.int32) @ (65536, 256, 1)
        used, index = np.unique(codes, return_inverse=True)  # label pictures have few colors
        colors = np.stack([used >> 16, used >> 8 & 255, used & 255], 1).astype(np.float32)
        nearest = _distances(colors, _COLORS).argmin(1)
        ids = np.where(nearest < len(CLASSES), nearest, IGNORE)
        label[top:bottom] = ids[index].reshape(bottom - top, -1)
    return label


def palette_match(picture: np.ndarray) -> float:
    """Return the share of pixels that match a label color as closely as `decode` requires; low for photos.

    Args:
        picture: H x W x 3 uint8 RGB.
    """
    counts = _match_counts(picture)
    return float(1 - counts[-1] / counts.sum())


def class_match(picture: np.ndarray) -> float:
    """Return the share of pixels that match the color of an evaluated class: `palette_match` without black
    and the void colors.

    Args:
        picture: H x W x 3 uint8 RGB.
    """
    counts = _match_counts(picture)
    return float(counts[: len(CLASSES)].sum() / counts.sum())


def decode(picture: np.ndarray) -> np.ndarray:
    """Decode an antialiased, JPEG-compressed label picture.

    Args:
        picture: H x W x 3 uint8 RGB, a label in the Cityscapes colors.

    Returns:
        H x W uint8 train ids, as those of `decode_with_reasons`.
    """
    return decode_with_reasons(picture).label


def decode_with_reasons(picture: np.ndarray) -> DecodedLabel:
    """Decode a label picture, give the reason for every ignored pixel, and its most likely class.

    The cheaper of two explanations is chosen for each pixel: a single color, which costs more if no pixel
    nearby surely has it (isolated pixels of a rare class are mostly blends of others), or a blend of two
    colors that both occur nearby, which counts for the class with the larger share. Void pixels, even blends
    and pixels without an explanation become ``IGNORE``.

    Args:
        picture: H x W x 3 uint8 RGB, a label in the Cityscapes colors.

    Returns:
        The labels and reasons.
    """
    decoded = DecodedLabel(*np.empty((3, *picture.shape[:2]), np.uint8))
    for rows, kept, explained in _explain_strips(picture):
        for whole, part in zip(decoded, explained.decoded, strict=True):
            whole[rows] = part[kept]
    return decoded


def decode_soft(picture: np.ndarray) -> np.ndarray:
    """Decode a label picture into two classes per pixel, for training.

    The class of an unambiguous pixel has all of it. An ambiguous one is shared by its two most likely
    classes. An even blend of both is shared as its color says; of others, the first has `_LIKELY`.

    Args:
        picture: H x W x 3 uint8 RGB, a label in the Cityscapes colors.

    Returns:
        H x W x 3 uint8: the train ids of both classes, and the share of the first in 255ths. The first is
        that of `DecodedLabel.best_guess`, or ``IGNORE`` if no color explains the pixel; the second is
        ``IGNORE`` if a void color is second most likely.
    """
    soft = np.empty((*picture.shape[:2], 3), np.uint8)
    for rows, kept, explained in _explain_strips(picture):
        soft[rows] = _soften(explained)[kept]
    return soft


class _Explained(NamedTuple):
    """A decoded strip, and what is known of its undecided pixels.

    Attributes:
        decoded: the labels of H x W pixels.
        undecided: N indices of pixels that no single color explains.
        points: N x 3, their place in the weighted color space.
        lowest: N x K, the cost of the best explanation by each color that occurs.
        present: K indices of these colors.
    """

    decoded: DecodedLabel
    undecided: np.ndarray
    points: np.ndarray
    lowest: np.ndarray
    present: np.ndarray


def _explain_strips(picture: np.ndarray) -> Iterator[tuple[slice, slice, _Explained]]:
    """Yield the rows of each strip, where these are in the explained rows, and the latter."""
    h, w, _ = picture.shape
    shared = _Distances.of(picture) if len(list(_strips(picture))) == 1 else None
    present = _present_colors(_match_counts(picture) if shared is None else _count_matches(shared))
    rim = np.ones((h, w), bool)
    rim[2:-2, 2:-2] = False
    for _, top, _, bottom in _strips(picture):
        first, last = max(0, top - _REACH), min(h, bottom + _REACH)
        distances = shared or _Distances.of(picture[first:last])
        explained = _explain_strip(distances, (last - first, w), present, rim[first:last])
        yield slice(top, bottom), slice(top - first, bottom - first), explained


def _soften(explained: _Explained) -> np.ndarray:
    """Return what `decode_soft` returns for the pixels of a strip."""
    _, reasons, best_guess = explained.decoded
    only = np.where(reasons == IgnoreReason.UNKNOWN, IGNORE, best_guess)
    soft = np.stack((only, only, np.full_like(only, 255)), -1)
    flat, reason = soft.reshape(-1, 3), reasons.ravel()[explained.undecided]
    is_shared = np.isin(reason, (IgnoreReason.TIE, IgnoreReason.AMBIGUOUS))
    is_shared &= flat[explained.undecided, 0] != IGNORE
    colors = explained.present[np.argsort(explained.lowest[is_shared], 1, kind="stable")[:, :2]]
    share = _color_share(explained.points[is_shared], *colors.T)
    share[reason[is_shared] == IgnoreReason.AMBIGUOUS] = _LIKELY
    second = np.where(colors[:, 1] < _BLACK, colors[:, 1], IGNORE)
    flat[explained.undecided[is_shared], 1:] = np.stack((second, np.rint(255 * share)), 1)
    return soft


def _color_share(points: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the share of the first of two colors in the blend that is closest to each of N points."""
    line = _POINTS[first] - _POINTS[second]
    return np.clip(((points - _POINTS[second]) * line).sum(1) / (line**2).sum(1), 0, 1)


class _Distances(NamedTuple):
    """The N pixels of a strip in the weighted color space.

    Attributes:
        points: N x 3.
        to_colors: N x K squared distances from each color.
        matches: N indices of the color that each pixel matches, or -1.
    """

    points: np.ndarray
    to_colors: np.ndarray
    matches: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray) -> "_Distances":
        """Compute them for H x W x 3 pixels."""
        points = _to_points(picture)
        to_colors = _distances(points, _POINTS)
        is_close = to_colors.min(1) < _CLOSE**2
        return cls(points, to_colors, np.where(is_close, to_colors.argmin(1), -1))


def _explain_strip(
    distances: _Distances, shape: tuple[int, int], present: np.ndarray, rim: np.ndarray
) -> _Explained:
    """Explain the pixels of a strip.

    Args:
        distances: the pixels.
        shape: H and W.
        present: K indices of the colors that occur in the whole picture.
        rim: H x W bool, whether a pixel belongs to the rim of the whole picture.
    """
    h, w = shape
    points = distances.points
    planes = (distances.matches[None] == present[:, None]).reshape(-1, h, w)
    core = planes & (_box_count(planes, 1, 1) == 9)
    cost, near = _single_color_costs(distances.to_colors, present, planes, core)
    choice = cost.argmin(1)
    undecided = np.flatnonzero(cost[np.arange(len(cost)), choice] > _BLEND_COST)
    points, lowest = points[undecided], cost[undecided]  # lowest: of each class at each undecided pixel

    near[present == _BLACK] |= rim.ravel()  # the frames have a thin black rim
    _lower_to_blends(lowest, points, present, near[:, undecided], 0)
    choice[undecided] = lowest.argmin(1)
    thin = planes & (choice.reshape(1, h, w) == np.arange(len(present))[:, None, None])
    near |= _box_count(thin, 2 * _NEAR, _NEAR).reshape(len(present), -1) > 1
    _lower_to_blends(lowest, points, present, near[:, undecided], _THIN_COST)
    near[present == _POLE] = True
    _lower_to_blends(lowest, points, present, near[:, undecided], _UNSEEN_COST)
    colors = present[choice]
    colors[undecided] = present[lowest.argmin(1)]

    reasons = np.select(
        [colors == _BLACK, colors > _BLACK], [IgnoreReason.BLACK, IgnoreReason.VOID], IgnoreReason.KEPT
    ).astype(np.uint8)
    best_guess = np.where(colors < _BLACK, colors, IGNORE).astype(np.uint8)
    doubts = _doubts(lowest, present)
    reasons[undecided[doubts > 0]] = doubts[doubts > 0]
    label = np.where(reasons > 0, IGNORE, best_guess).astype(np.uint8)
    decoded = DecodedLabel(*(array.reshape(h, w) for array in (label, reasons, best_guess)))
    return _Explained(decoded, undecided, points, lowest, present)


def _strips(picture: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    return strips(picture.shape[1], picture.shape[0], _STRIP_PIXELS)


def _match_counts(picture: np.ndarray) -> np.ndarray:
    """Count the pixels that match each color, and at index -1 those that match none."""
    counts = np.zeros(len(_COLORS) + 1, int)
    for _, top, _, bottom in _strips(picture):
        counts += _count_matches(_Distances.of(picture[top:bottom]))
    return counts


def _count_matches(distances: _Distances) -> np.ndarray:
    """Count the pixels of a strip that match each color, and at index -1 those that match none."""
    return np.bincount(distances.matches % (len(_COLORS) + 1), minlength=len(_COLORS) + 1)


def _to_points(picture: np.ndarray) -> np.ndarray:
    """Convert H x W x 3 uint8 RGB to HW x 3 float32 weighted YCbCr."""
    return (picture.reshape(-1, 3).astype(np.float32) @ _TO_YCC) * _WEIGHT


def _distances(points: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Return the N x K squared distances of N x 3 points from K x 3 colors."""
    return (points**2).sum(1)[:, None] - 2 * points @ colors.T + (colors**2).sum(1)


def _box_count(planes: np.ndarray, down: int, across: int) -> np.ndarray:
    """Count the true pixels of K x H x W planes in a window of (2 down + 1) x (2 across + 1) around each.

    The counts are uint8, so the window must have less than 256 pixels.
    """
    k, h, w = planes.shape
    padded = np.zeros((k, h + 2 * down, w + 2 * across), np.uint8)
    padded[:, down : down + h, across : across + w] = planes
    in_columns = padded[:, :h].copy()
    for offset in range(1, 2 * down + 1):
        in_columns += padded[:, offset : offset + h]
    counts = in_columns[:, :, :w].copy()
    for offset in range(1, 2 * across + 1):
        counts += in_columns[:, :, offset : offset + w]
    return counts


def _present_colors(match_counts: np.ndarray) -> np.ndarray:
    """Return the K indices of the colors that occur, and of those that are always considered."""
    return np.union1d(np.flatnonzero(match_counts[:-1]), [_POLE, _BLACK])


def _single_color_costs(
    distances: np.ndarray, present: np.ndarray, planes: np.ndarray, core: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return N x K costs of each present color, and K x N bool: whether a 3 x 3 square of it is nearby."""
    sure = (_box_count(core, 1, 1) > 0).reshape(len(present), -1)
    lone = np.where(np.isin(present, _MISTAKEN), _RARE_COST, _LONE_COST)
    cost = distances[:, present] + np.where(sure.T, 0, lone)
    near = _box_count(core, _NEAR, _NEAR).reshape(len(present), -1) > 0
    rider, person = present == TRAIN_ID["rider"], present == TRAIN_ID["person"]
    if rider.any() and person.any():  # the smeared red of a rider resembles a person's
        doubtful = (_box_count(planes[rider], 2, 2) > 0) & (_box_count(core[person], _NEAR, _NEAR) < _BODY)
        cost[:, person] += _RARE_COST * doubtful.reshape(-1, 1)
        near[person] &= ~doubtful.reshape(1, -1)
    return cost, near


def _lower_to_blends(
    lowest: np.ndarray, points: np.ndarray, present: np.ndarray, near: np.ndarray, extra: float
) -> None:
    """Lower N x K costs, in place, to those of the blends of two nearby colors; `extra` is added to them."""
    thin = np.isin(present, _THIN)
    for i in range(len(present)):
        for j in range(i):
            at = np.flatnonzero(near[i] & near[j])
            if not len(at):
                continue
            line = _POINTS[present[i]] - _POINTS[present[j]]
            away = points[at] - _POINTS[present[j]]
            share = np.clip(away @ line / (line @ line), 0, 1)
            total = ((away - share[:, None] * line) ** 2).sum(1) + _BLEND_COST + extra
            lead = _TIE * (thin[i] * 1 - thin[j] * 1)
            # a tie counts for both
            for k, mine in ((i, share + lead > 0.5 - _TIE), (j, share + lead < 0.5 + _TIE)):
                lowest[at[mine], k] = np.minimum(lowest[at[mine], k], total[mine])


def _doubts(lowest: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the N `IgnoreReason` that follow from the N x K lowest costs."""
    first, second = np.partition(lowest, 1, axis=1)[:, :2].T
    margin = np.where(np.isin(present, (_POLE, *_THIN))[lowest.argmin(1)], _THIN_MARGIN, _MARGIN)
    # both classes of an even blend have the same cost
    undecidable = np.where(second == first, IgnoreReason.TIE, IgnoreReason.AMBIGUOUS)
    return np.select(
        [first > _WORST, second - first < margin], [IgnoreReason.UNKNOWN, undecidable], IgnoreReason.KEPT
    )
