"""Known layouts of data sets: where photos and labels are, and which classes the labels have.

`find_layout` recognizes a layout, and `list_samples` pairs photos with labels. The layouts are those of
Cityscapes, CamVid (as SegNet's authors arranged it), Pascal VOC, ADE20K and COCO panoptic, and folders of
images and masks.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from seg.data import known_classes
from seg.data.classes import IGNORE
from seg.data.description import UNKNOWN, DatasetDescription, Layout, read_description
from seg.data.known_classes import LabelClasses
from seg.data.pairs import DatasetError
from seg.data.split_folders import SPLITS, contains_pairs, subfolders
from seg.system.file_names import is_system_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".jpg", ".jpeg")

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "photos")
LABEL_FOLDERS = ("masks", "labels", "annotations", "mask", "label", "gt", "segmentation")
SPLIT_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
"""Names of the folders of each split."""


class Sample(NamedTuple):
    """A photo and its label, which are the files of one sample."""

    image: Path
    label: Path
    segments: dict[int, int] | None = None
    """For panoptic labels: the train id of each segment id."""


@dataclass(frozen=True)
class Samples:
    """The samples of a split, and files without a partner.

    Attributes:
        complete: photos with a label, in natural order.
        without_label: photos without a label.
        without_image: labels without a photo.
        missing: names in the list of a layout that have neither.
    """

    complete: tuple[Sample, ...]
    without_label: tuple[Path, ...] = ()
    without_image: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundLayout:
    """A recognized data set.

    Attributes:
        root: the folder that the layout begins with.
        description: from dataset.json, or what the layout implies; None for folders of images and masks
            without one, whose classes only the labels show.
        folders: for these, the description's folders.
    """

    root: Path
    description: DatasetDescription | None
    folders: dict[str, str] = field(default_factory=dict)


def find_layout(data: Path) -> FoundLayout | None:
    """Recognize a data set of images and labels, in a folder or in its only subfolder, or in that of it.

    Returns:
        None if no layout is recognized; it may still be a data set of pairs.

    Raises:
        DatasetError: if its dataset.json is damaged.
    """
    for root in _roots(data):
        description = read_description(root)
        if description is not None:
            return FoundLayout(root, description)
        for layout, (is_layout, describe) in _LAYOUTS.items():
            if is_layout(root):
                coding, classes, ignored = describe(root)
                name = data.absolute().name[:100] or layout
                return FoundLayout(
                    root,
                    DatasetDescription(
                        name=name, layout=layout, coding=coding, classes=classes, ignored=ignored
                    ),
                )
        folders = _find_folders(root)
        if folders:
            return FoundLayout(root, None, folders)
    return None


def _roots(data: Path) -> Iterator[Path]:
    """Yield a folder, and the folders in it as long as each contains a single one, at most two: archives
    have such folders around a data set."""
    yield data
    for _ in range(2):
        inner = subfolders(data)
        if len(inner) != 1:
            return
        data = inner[0]
        yield data


EXPECTED = (
    "train/1.jpg … of pairs; images/train with masks/train, train/images with train/masks, or images with"
    " masks; the layouts of Cityscapes, CamVid, Pascal VOC, ADE20K or COCO panoptic; or a dataset.json"
)


def unknown_layout(data: Path) -> str:
    """Return a sentence about a folder that is no recognized data set: what was expected and found."""
    if not data.is_dir():
        return f"There is no folder {data}."
    folders = [folder.name for folder in subfolders(data)]
    files = Counter(file.suffix.lower() for file in data.iterdir() if file.is_file())
    contents = [f"the folders {', '.join(folders[:6])}{', …' * (len(folders) > 6)}"] * bool(folders)
    types = ", ".join(suffix or "none" for suffix in sorted(files)[:6])
    contents += [f"files of the types {types}"] * bool(files)
    listed = " and ".join(contents) or "nothing"
    return (
        f"{data} is no data set that is recognized. Expected: {EXPECTED}. Found: {listed}. Other data: python"
        " -m seg data fetch, or data render --to DIR."
    )


def list_samples(root: Path, description: DatasetDescription, split: str) -> Samples:
    """List the samples of a split.

    Args:
        root: the folder that the layout begins with.
        description: the description; its `layout` decides where files are.
        split: ``train`` or ``val``.

    Raises:
        DatasetError: if two photos have one name, a list of the layout is damaged, or a described folder is
            missing.
    """
    return _LISTERS[description.layout](root, description, split)


def _paired(
    images: Path, labels: Path, image_end: str = "", label_end: str = "", only: set[str] | None = None
) -> Samples:
    """Pair the photos of a folder, and of folders in it, with the labels of another by their names.

    Args:
        images: the folder of the photos.
        labels: the folder of the labels.
        image_end: what the stems of photos end with; others are left out.
        label_end: likewise of labels.
        only: the names of the samples to take; by default all.
    """
    photos, masks = _by_name(images, image_end, IMAGE_SUFFIXES), _by_name(labels, label_end, LABEL_SUFFIXES)
    missing = sorted(only - photos.keys() - masks.keys(), key=_natural) if only else []
    if only is not None:
        photos, masks = ({k: v for k, v in files.items() if k in only} for files in (photos, masks))
    names = sorted(photos.keys() & masks.keys(), key=_natural)
    return Samples(
        tuple(Sample(photos[name], masks[name]) for name in names),
        tuple(photos[name] for name in sorted(photos.keys() - masks.keys(), key=_natural)),
        tuple(masks[name] for name in sorted(masks.keys() - photos.keys(), key=_natural)),
        tuple(missing),
    )


def _by_name(folder: Path, end: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return the files below a folder by their path without suffix and without `end`."""
    files: dict[str, Path] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_system_file(name)]
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in suffixes or is_system_file(name) or not stem.endswith(end):
                continue
            key = os.path.relpath(os.path.join(place, stem.removesuffix(end)), folder)
            if key in files:
                raise DatasetError(
                    f"{folder} contains {files[key].name} and {name}, which are told apart by their names"
                    " without suffix: rename or remove one."
                )
            files[key] = Path(place, name)
    return files


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key in which 2 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def split_name(parent: Path, split: str) -> str | None:
    """Return how a folder names a split, or None if it lacks it."""
    names = {folder.name.lower(): folder.name for folder in subfolders(parent)}
    return next((names[name] for name in SPLIT_NAMES[split] if name in names), None)


def _list_folders(root: Path, description: DatasetDescription, split: str) -> Samples:
    for folder in (description.images, description.labels):
        outer = root / folder.partition("{split}")[0]
        if not outer.is_dir():
            raise DatasetError(f"There is no folder {outer}, which the description names: {folder}.")
    if "{split}" not in description.images:
        if split != "train":
            return Samples(())
        return _paired(root / description.images, root / description.labels, "", description.label_suffix)
    images, labels = (_of_split(root, folder, split) for folder in (description.images, description.labels))
    if images is None or labels is None:
        return Samples(())
    return _paired(images, labels, "", description.label_suffix)


def _of_split(root: Path, template: str, split: str) -> Path | None:
    """Return the folder that a template means for a split, or None if there is none."""
    before, _, after = template.partition("{split}")
    name = split_name(root / before, split)
    return None if name is None else root / f"{before}{name}{after}"


def _list_cityscapes(root: Path, _: DatasetDescription, split: str) -> Samples:
    end = known_classes.cityscapes_end(root)
    return _paired(root / "leftImg8bit" / split, root / "gtFine" / split, "_leftImg8bit", end)


def _list_camvid(root: Path, _: DatasetDescription, split: str) -> Samples:
    return _paired(root / split, root / f"{split}annot")


def _list_voc(root: Path, _: DatasetDescription, split: str) -> Samples:
    file = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    try:
        names = set(file.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return Samples(())
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} cannot be read ({error}).") from None
    return _paired(root / "JPEGImages", root / "SegmentationClass", only=names)


def _list_ade20k(root: Path, _: DatasetDescription, split: str) -> Samples:
    name = SPLIT_NAMES[split][-1]
    return _paired(root / "images" / name, root / "annotations" / name)


def _list_coco(root: Path, description: DatasetDescription, split: str) -> Samples:
    file = known_classes.panoptic_file(root, split)
    if file is None:
        return Samples(())
    folder, name = file.with_suffix(""), file.stem.removeprefix("panoptic_")
    images = next((p for p in (root / "images" / name, root / name) if p.is_dir()), root / name)
    panoptic = known_classes.read_panoptic(file)
    train_ids = description.class_set.train_id
    categories = {info.id: train_ids.get(info.name, IGNORE) for info in panoptic.categories}
    segments = {
        Path(entry.file_name).stem: {
            segment.id: categories.get(segment.category_id, UNKNOWN) for segment in entry.segments_info
        }
        for entry in panoptic.annotations
    }
    paired = _paired(images, folder, only=set(segments))
    samples = tuple(sample._replace(segments=segments[sample.label.stem]) for sample in paired.complete)
    return replace(paired, complete=samples)


def _is_ade20k(root: Path) -> bool:
    photos = root / "images" / "training"
    return photos.is_dir() and next(photos.glob("ADE_*.jpg"), None) is not None


_LAYOUTS: dict[Layout, tuple[Callable[[Path], bool], Callable[[Path], LabelClasses]]] = {
    "cityscapes": (
        lambda root: (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir(),
        known_classes.describe_cityscapes,
    ),
    "camvid": (
        lambda root: any((root / f"{split}annot").is_dir() for split in SPLITS),
        known_classes.describe_camvid,
    ),
    "voc": (
        lambda root: (root / "JPEGImages").is_dir() and (root / "SegmentationClass").is_dir(),
        known_classes.describe_voc,
    ),
    "ade20k": (_is_ade20k, known_classes.describe_ade20k),
    "coco-panoptic": (
        lambda root: any(known_classes.panoptic_file(root, split) for split in SPLITS),
        known_classes.describe_coco,
    ),
}

_LISTERS: dict[Layout, Callable[[Path, DatasetDescription, str], Samples]] = {
    "folders": _list_folders,
    "cityscapes": _list_cityscapes,
    "camvid": _list_camvid,
    "voc": _list_voc,
    "ade20k": _list_ade20k,
    "coco-panoptic": _list_coco,
}


def _find_folders(root: Path) -> dict[str, str]:
    """Return the folders of images and masks for a description: images/train with masks/train, train/images
    with train/masks, or images with masks; empty if there are none."""
    split = split_name(root, "train")
    for template, parent in (("{name}/{split}", root), ("{split}/{name}", root / (split or "."))):
        names = {folder.name.lower(): folder.name for folder in subfolders(parent)}
        images = _first(names, IMAGE_FOLDERS)
        labels = _first(names, LABEL_FOLDERS)
        if not images or (template.startswith("{split}") and not split):
            continue
        if not labels:
            if not any(map(contains_pairs, (parent / images, *subfolders(parent / images)))):
                raise DatasetError(
                    f"{parent / images} has photos, but beside it is no folder of labels: masks, labels or"
                    " annotations, with a label of the same name for each photo."
                )
            continue
        if template.startswith("{name}") and split_name(root / images, "train") is None:
            if split_name(root / images, "val") is None:
                return _with_suffix(root, images, labels, images, labels)
        places = [template.format(name=name, split="{split}") for name in (images, labels)]
        inner = split_name(root / images, "train") or split_name(root / images, "val") or split or "train"
        examples = [template.format(name=name, split=inner) for name in (images, labels)]
        return _with_suffix(root, *places, *examples)
    return {}


def _with_suffix(
    root: Path, images: str, labels: str, image_example: str, label_example: str
) -> dict[str, str]:
    """Return the folders and what the names of labels add to those of their photos, such as "_mask"."""
    stems = {os.path.basename(name) for name in _by_name(root / image_example, "", IMAGE_SUFFIXES)}
    masks = [os.path.basename(name) for name in _by_name(root / label_example, "", LABEL_SUFFIXES)]
    suffix = ""
    if masks and not stems & set(masks):
        ends = [mask[len(stem) :] for mask in masks[:50] for stem in stems if mask.startswith(stem)]
        suffix = max(set(ends), key=ends.count, default="")
    return {"images": images, "labels": labels, "label_suffix": suffix}


def _first(names: dict[str, str], known: Iterable[str]) -> str | None:
    return next((names[name] for name in known if name in names), None)
