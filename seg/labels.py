"""The Cityscapes classes, and colour pictures of them turned back into train ids.

The table follows Cityscapes' own ``cityscapesscripts/helpers/labels.py`` (Cordts et al. 2016): the nineteen classes that are
evaluated have train ids 0-18, everything else is ``IGNORE``.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

IGNORE = 255
"""The train id of pixels that have no class: not trained on, not scored."""


class Class(NamedTuple):
    """One of the nineteen evaluated classes."""

    name: str
    category: str
    color: tuple[int, int, int]


CLASSES = (
    Class("road", "flat", (128, 64, 128)),
    Class("sidewalk", "flat", (244, 35, 232)),
    Class("building", "construction", (70, 70, 70)),
    Class("wall", "construction", (102, 102, 156)),
    Class("fence", "construction", (190, 153, 153)),
    Class("pole", "object", (153, 153, 153)),
    Class("traffic light", "object", (250, 170, 30)),
    Class("traffic sign", "object", (220, 220, 0)),
    Class("vegetation", "nature", (107, 142, 35)),
    Class("terrain", "nature", (152, 251, 152)),
    Class("sky", "sky", (70, 130, 180)),
    Class("person", "human", (220, 20, 60)),
    Class("rider", "human", (255, 0, 0)),
    Class("car", "vehicle", (0, 0, 142)),
    Class("truck", "vehicle", (0, 0, 70)),
    Class("bus", "vehicle", (0, 60, 100)),
    Class("train", "vehicle", (0, 80, 100)),
    Class("motorcycle", "vehicle", (0, 0, 230)),
    Class("bicycle", "vehicle", (119, 11, 32)),
)
"""The classes in the order of their train ids: ``CLASSES[id].name``."""

NAMES = tuple(c.name for c in CLASSES)
TRAIN_ID = {c.name: i for i, c in enumerate(CLASSES)}
CATEGORIES = tuple(dict.fromkeys(c.category for c in CLASSES))
PALETTE = np.array([c.color for c in CLASSES], np.uint8)
"""19x3: the colour of each train id."""

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The id of each class in Cityscapes' own ``_labelIds.png`` files, which count 34 kinds of things."""

OFFICIAL_SHARES = (
    *(0.369, 0.061, 0.228, 0.0066, 0.0088, 0.0123, 0.0021, 0.0055, 0.159, 0.0116),
    *(0.040, 0.0122, 0.0014, 0.070, 0.0027, 0.0024, 0.0023, 0.0010, 0.0041),
)
"""Each class's share of the pixels that have one in Cityscapes' own fine labels of train, 2048x1024, as rounded there."""

VOID_COLORS = {
    "unlabeled": (0, 0, 0),
    "dynamic": (111, 74, 0),
    "ground": (81, 0, 81),
    "parking": (250, 170, 160),
    "rail track": (230, 150, 140),
    "guard rail": (180, 165, 180),
    "bridge": (150, 100, 100),
    "tunnel": (150, 120, 90),
    "caravan": (0, 0, 90),
    "trailer": (0, 0, 110),
}
"""Colours of what is drawn in the label pictures but not evaluated (all of it becomes ``IGNORE``)."""


def colorize(label: np.ndarray) -> np.ndarray:
    """HxW train ids -> HxWx3 uint8 in the Cityscapes colours; anything that is no train id is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(CLASSES)] = PALETTE
    return table[label]


# --- colours -> train ids -------------------------------------------------------------------------------------------------

DECODER_VERSION = 1
"""Goes up whenever `decode` would answer differently: decoded caches and every published figure depend on it."""

_COLORS = np.array([*PALETTE, *VOID_COLORS.values()], np.float32)  # train ids first, then what is void
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32).T
_WEIGHT = np.array([1.0, 0.5, 0.5], np.float32)  # chroma is stored at half resolution, so near an edge luma is surer
_POINTS = (_COLORS @ _TO_YCC) * _WEIGHT

_CLOSE = 10.0  # distance within which a pixel can be of a colour: JPEG noise at the set's quality stays below it
_NEAR = 3  # a blend's two classes are looked for this many pixels around
_BLEND_COST = 60.0  # what explaining a pixel by two colours costs, in squared distance
_LONE_COST = 220.0  # what a colour costs where no 3x3 square of it is near: lone pixels of rare classes are mostly blends
_RARE_COST = 600.0  # the same for what the edges of cars and riders look like: truck, person, and the void colours but black
_THIN_COST = 100.0  # what a blend costs more where one of its classes is only seen in thin things
_UNSEEN_COST = 150.0  # and where a pole is supposed that is nowhere sure: many are thinner than a pixel
_WORST = 700.0  # a squared distance that nothing known explains: ignored
_TIE = 0.10  # a blend this near to half and half could be either: ignored, or the thin class's
_MARGIN = 250.0  # two classes that explain a pixel this equally well: ignored
_THIN_MARGIN = 80.0  # the same where the better one is thin, of which little would be left
_POLE, _BLACK = TRAIN_ID["pole"], len(CLASSES)
_BODY = 6  # person pixels nearby that make one believable beside a rider
_THIN = tuple(TRAIN_ID[name] for name in ("traffic light", "rider", "motorcycle"))
_MISTAKEN = (TRAIN_ID["truck"], TRAIN_ID["person"], *range(_BLACK + 1, len(_COLORS)))


def nearest(picture: np.ndarray) -> np.ndarray:
    """HxWx3 uint8 picture of labels -> HxW train ids by plain nearest colour, as others who published figures decode it."""
    answer = _distances(picture.reshape(-1, 3).astype(np.float32), _COLORS).argmin(1)
    return np.where(answer < len(CLASSES), answer, IGNORE).astype(np.uint8).reshape(picture.shape[:2])


def likeness(picture: np.ndarray) -> float:
    """The share of the pixels of an HxWx3 uint8 picture that are of a label's colour as `decode` tells them: low for photos."""
    distances = _distances((picture.reshape(-1, 3).astype(np.float32) @ _TO_YCC) * _WEIGHT, _POINTS)
    return float((distances.min(1) < _CLOSE**2).mean())


def _distances(points: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Nx3 points, Kx3 colours -> NxK squared distances."""
    return (points**2).sum(1)[:, None] - 2 * points @ colors.T + (colors**2).sum(1)


def _around(planes: np.ndarray, down: int, across: int) -> np.ndarray:
    """KxHxW bool -> KxHxW int: how many are true in the window of (2 down + 1) x (2 across + 1) around each pixel."""
    k, h, w = planes.shape
    padded = np.zeros((k, h + 2 * down + 1, w + 2 * across + 1), np.int32)
    padded[:, down + 1 : down + 1 + h, across + 1 : across + 1 + w] = planes
    total = padded.cumsum(1).cumsum(2)
    y, x = 2 * down + 1, 2 * across + 1
    return total[:, y:, x:] - total[:, :-y, x:] - total[:, y:, :-x] + total[:, :-y, :-x]


class Why(IntEnum):
    """Why a pixel was ignored, or that it was not."""

    KEPT = 0
    BLACK = 1
    VOID = 2
    EVEN = 3
    TORN = 4
    UNKNOWN = 5


def decode(picture: np.ndarray) -> np.ndarray:
    """HxWx3 uint8 picture of labels in the Cityscapes colours, antialiased and JPEG-compressed -> HxW uint8 train ids."""
    return explain(picture)[0]


def explain(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `decode`, and beside the train ids HxW uint8 of `Why`: what became of each pixel.

    Every pixel is explained by the cheaper of: one colour (dear if no pixel nearby is surely of it, since lone pixels of a
    rare class are mostly blends of others), or a blend of two colours that are both to be seen nearby, which then gives the
    class with the larger share. What is void, an even blend, or explained by neither becomes ``IGNORE``.
    """
    h, w, _ = picture.shape
    points = (picture.reshape(-1, 3).astype(np.float32) @ _TO_YCC) * _WEIGHT
    cost = _distances(points, _POINTS)
    closest = cost.argmin(1)
    close = cost[np.arange(len(cost)), closest] < _CLOSE**2
    present = np.unique(np.append(closest[close], [_POLE, _BLACK]))
    planes = ((closest[None] == present[:, None]) & close).reshape(-1, h, w)
    core = planes & (_around(planes, 1, 1) == 9)
    sure = (_around(core, 1, 1) > 0).reshape(len(present), -1)
    lone = np.where(np.isin(present, _MISTAKEN), _RARE_COST, _LONE_COST)
    cost = cost[:, present] + np.where(sure.T, 0, lone)
    near = _around(core, _NEAR, _NEAR).reshape(len(present), -1) > 0
    rider, person = present == TRAIN_ID["rider"], present == TRAIN_ID["person"]
    if rider.any() and person.any():  # a rider's smeared red reads as a person's
        doubtful = (_around(planes[rider], 2, 2) > 0) & (_around(core[person], _NEAR, _NEAR) < _BODY)
        cost[:, person] += _RARE_COST * doubtful.reshape(-1, 1)
        near[person] &= ~doubtful.reshape(1, -1)
    answer = cost.argmin(1)
    thin_class = np.isin(present, _THIN)
    undecided = np.flatnonzero(cost[np.arange(len(cost)), answer] > _BLEND_COST)
    points, price = points[undecided], cost[undecided]  # the least cost yet of each class at each undecided pixel

    def blend(seen: np.ndarray, extra: float) -> None:
        for i in range(len(present)):
            for j in range(i):
                at = np.flatnonzero(seen[i] & seen[j])
                if not len(at):
                    continue
                line = _POINTS[present[i]] - _POINTS[present[j]]
                away = points[at] - _POINTS[present[j]]
                share = np.clip(away @ line / (line @ line), 0, 1)
                total = ((away - share[:, None] * line) ** 2).sum(1) + _BLEND_COST + extra
                lead = _TIE * (thin_class[i] * 1 - thin_class[j] * 1)
                for k, mine in ((i, share + lead > 0.5 - _TIE), (j, share + lead < 0.5 + _TIE)):  # a tie counts for both
                    price[at[mine], k] = np.minimum(price[at[mine], k], total[mine])

    rim = np.ones((h, w), bool)
    rim[2:-2, 2:-2] = False
    near[present == _BLACK] |= rim.ravel()  # the frames have a thin black rim
    blend(near[:, undecided], 0)
    answer[undecided] = price.argmin(1)
    thin = planes & (answer.reshape(1, h, w) == np.arange(len(present))[:, None, None])
    near |= _around(thin, 2 * _NEAR, _NEAR).reshape(len(present), -1) > 1
    blend(near[:, undecided], _THIN_COST)
    near[present == _POLE] = True
    blend(near[:, undecided], _UNSEEN_COST)
    answer = present[answer]
    answer[undecided] = present[price.argmin(1)]
    first, second = np.partition(price, 1, axis=1)[:, :2].T
    margin = np.where(np.isin(present, (_POLE, *_THIN))[price.argmin(1)], _THIN_MARGIN, _MARGIN)
    why = np.select([answer == _BLACK, answer > _BLACK], [Why.BLACK, Why.VOID], Why.KEPT).astype(np.uint8)
    torn = np.where(second == first, Why.EVEN, Why.TORN)  # the two classes of an even blend have one and the same price
    doubt = np.select([first > _WORST, second - first < margin], [Why.UNKNOWN, torn], Why.KEPT)
    why[undecided[doubt > 0]] = doubt[doubt > 0]
    answer[why > 0] = IGNORE
    return answer.astype(np.uint8).reshape(h, w), why.reshape(h, w)


def majority(label: np.ndarray, side: int) -> np.ndarray:
    """HxW train ids -> side x side: the commonest of each cell, ignored ones counted too. H and W are multiples of `side`."""
    height, width = label.shape
    cells = label.reshape(side, height // side, side, width // side)
    ids = np.array([*range(len(CLASSES)), IGNORE], np.uint8)
    return ids[np.stack([(cells == k).sum((1, 3)) for k in ids]).argmax(0)]
