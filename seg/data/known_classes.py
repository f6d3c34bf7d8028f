"""The classes of well-known data sets, as their labels encode them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from seg.data import cityscapes
from seg.data.classes import IGNORE
from seg.data.description import Coding, DescribedClass, distinct_colors, numbered_classes
from seg.data.pairs import DatasetError
from seg.data.split_folders import SPLITS

_CITYSCAPES_ENDS = ("_gtFine_labelIds", "_gtFine_labelTrainIds", "_gtFine_color")

_CAMVID_CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign symbol", "fence", "car", "pedestrian", "bicyclist"),
)
_CAMVID_COLORS = (
    *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0)),
    *((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
)
"""CamVid's colors (Brostow et al. 2009) of the eleven classes that SegNet is trained on."""

_VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)


class LabelClasses(NamedTuple):
    """The classes of labels, and values without a class."""

    coding: Coding
    classes: list[DescribedClass]
    ignored: list[int]


class _Category(BaseModel):
    id: int
    name: str
    supercategory: str = ""
    color: tuple[int, int, int] | None = None


class _Segment(BaseModel):
    id: int
    category_id: int


class _Annotation(BaseModel):
    file_name: str
    segments_info: list[_Segment]


class Panoptic(BaseModel):
    """The parts of a panoptic annotation file of COCO that are used here."""

    model_config = ConfigDict(extra="ignore")

    categories: list[_Category]
    annotations: list[_Annotation]


def cityscapes_end(root: Path) -> str:
    """Return the end of the names of the labels, of those kinds that the set has."""
    for end in _CITYSCAPES_ENDS:
        if any(next((root / "gtFine" / split).glob(f"*/*{end}.png"), None) for split in SPLITS):
            return end
    return _CITYSCAPES_ENDS[0]


def panoptic_file(root: Path, split: str) -> Path | None:
    """Return the panoptic annotation file of a split."""
    places = (root / "annotations", root)
    return next((file for place in places for file in sorted(place.glob(f"panoptic_{split}*.json"))), None)


def read_panoptic(file: Path) -> Panoptic:
    """Read a panoptic annotation file.

    Raises:
        DatasetError: if it is none.
    """
    return _parse_panoptic(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _parse_panoptic(file: Path, _mtime: int) -> Panoptic:
    try:
        return Panoptic.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DatasetError(f"{file} is no panoptic annotation of COCO: {place}: {first['msg']}.") from None


def describe_cityscapes(root: Path) -> LabelClasses:
    """Return the Cityscapes classes, with the values of the kind of labels that the set has."""
    end = cityscapes_end(root)
    ids = cityscapes.LABEL_IDS if end == _CITYSCAPES_ENDS[0] else range(len(cityscapes.CLASSES))
    classes = [
        DescribedClass(name=c.name, color=c.color, group=c.category, ids=[value])
        for c, value in zip(cityscapes.CLASSES, ids, strict=True)
    ]
    if end == _CITYSCAPES_ENDS[2]:
        classes += [
            DescribedClass(name=name, color=color, ignored=True)
            for name, color in cityscapes.VOID_COLORS.items()
        ]
    others = set(range(34)) - set(ids) if end == _CITYSCAPES_ENDS[0] else set()
    coding: Coding = "colors" if end == _CITYSCAPES_ENDS[2] else "ids"
    return LabelClasses(coding, classes, sorted({*others, IGNORE}))


def describe_camvid(_: Path) -> LabelClasses:
    """Return the eleven classes of CamVid in the order of SegNet; the value after them is void."""
    rows = zip(_CAMVID_CLASSES, _CAMVID_COLORS, strict=True)
    classes = [DescribedClass(name=name, color=color, ids=[k]) for k, (name, color) in enumerate(rows)]
    return LabelClasses("ids", classes, [len(classes), IGNORE])


def describe_voc(_: Path) -> LabelClasses:
    """Return the classes of Pascal VOC."""
    classes = [DescribedClass(name=name, color=_voc_color(k), ids=[k]) for k, name in enumerate(_VOC_CLASSES)]
    return LabelClasses("ids", classes, [IGNORE])


def _voc_color(value: int) -> tuple[int, int, int]:
    """Return a color of VOC's palette: the bits of the id, spread over the channels from the highest down."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (value >> bit & 1) << (7 - bit // 3)
    return channels[0], channels[1], channels[2]


def describe_ade20k(root: Path) -> LabelClasses:
    """Classes 1 to 150, with the names of objectInfo150.txt if the set has it; 0 is "other"."""
    names: list[str] = []
    for file in (root / "objectInfo150.txt", root / "objectInfo150.csv"):
        if file.is_file():
            separator = "\t" if file.suffix == ".txt" else ","
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()[1:151]
            names = [line.split(separator)[-1].split(",")[0].split(";")[0].strip() for line in lines]
            break
    named: Sequence[str] = names if len(set(names)) == 150 == len(names) else ()
    return LabelClasses("ids", numbered_classes(range(1, 151), named), [0, IGNORE])


def describe_coco(root: Path) -> LabelClasses:
    """Return the categories of the panoptic annotations."""
    file = next(filter(None, (panoptic_file(root, split) for split in SPLITS)), None)
    assert file is not None  # because the layout was recognized
    categories = read_panoptic(file).categories
    classes = [
        DescribedClass(name=info.name, color=info.color or color, group=info.supercategory)
        for info, color in zip(categories, distinct_colors(len(categories)), strict=True)
    ]
    return LabelClasses("ids", classes, [0])
