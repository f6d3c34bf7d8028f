"""The description of a data set of photos and labels: dataset.json, or what a known layout implies."""

import colorsys
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seg.data.classes import IGNORE, MAX_CLASSES, MAX_NAME_LENGTH, Class, ClassSet
from seg.data.pairs import DatasetError
from seg.system.atomic_io import write_atomic
from seg.system.validation import first_problem

FILE = "dataset.json"
MAX_FILE_BYTES = 2**20

UNKNOWN = IGNORE - 1
"""The train id of values that a description neither names nor ignores."""

Layout = Literal["folders", "cityscapes", "camvid", "voc", "ade20k", "coco-panoptic"]

Coding = Literal["ids", "colors"]
"""How a label picture encodes classes: by numbers, or by colors, which JPEG may have changed a little."""


class DescribedClass(BaseModel):
    """A class of a data set.

    Attributes:
        name: its name.
        color: RGB, in legends and masks; with the coding ``colors`` also in labels.
        group: the name of the group of classes that it belongs to; by default its own name.
        ids: the values of its pixels in labels, with the coding ``ids``.
        ignored: whether its pixels are neither trained nor evaluated.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=MAX_NAME_LENGTH)
    color: tuple[int, int, int] = Field(strict=False)
    group: Annotated[str, Field(max_length=MAX_NAME_LENGTH)] = ""
    ids: list[int] = []
    ignored: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.name + self.group).isprintable():
            raise ValueError("names of classes and groups need printable characters")
        if not all(0 <= channel <= 255 for channel in self.color):
            raise ValueError(f"the color of {self.name} needs three numbers from 0 to 255")
        if not all(0 <= value < 2**16 for value in self.ids):
            raise ValueError(f"the ids of {self.name} go from 0 to {2**16 - 1}")
        return self


class DatasetDescription(BaseModel):
    """The contents of dataset.json.

    Attributes:
        name: name of the data set.
        layout: where photos and labels are; ``folders`` are those of `images` and `labels`.
        images: the folder of the photos, in which ``{split}`` stands for train or val; without it all photos
            belong to train.
        labels: the folder of the labels, likewise.
        label_suffix: what the name of a label has after the stem of its photo, without the file type.
        coding: how labels encode classes.
        classes: the classes; the train ids are their order, without the ignored ones.
        ignored: values in labels that have no class, with the coding ``ids``.
        height: maximum height in pixels at which photos and labels are stored for training.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=100)
    layout: Layout = "folders"
    images: str = "images/{split}"
    labels: str = "masks/{split}"
    label_suffix: str = ""
    coding: Coding = "ids"
    classes: list[DescribedClass] = Field(min_length=1, max_length=4096)
    ignored: list[int] = [IGNORE]
    height: Annotated[int, Field(ge=64, le=2048)] = 512

    @model_validator(mode="after")
    def _check(self) -> Self:
        for folder in (self.images, self.labels):
            if Path(folder).is_absolute() or ".." in Path(folder).parts:
                raise ValueError(f"{folder} must be a folder within the data set")
        trained = [c.name for c in self.classes if not c.ignored]
        if not 2 <= len(trained) <= MAX_CLASSES:
            raise ValueError(f"{len(trained)} classes are not ignored; 2 to {MAX_CLASSES} are possible")
        _refuse_twice("the class", [c.name for c in self.classes])
        if self.coding == "ids":
            values = [value for c in self.classes for value in c.ids]
            _refuse_twice("the id", [*values, *set(self.ignored)])
            without = [c.name for c in self.classes if not c.ids]
            if without and self.layout != "coco-panoptic":
                raise ValueError(f"{without[0]} has no ids")
        else:
            _refuse_twice("the color", [c.color for c in self.classes])
        return self

    @cached_property
    def class_set(self) -> ClassSet:
        """The classes that are not ignored, by train id."""
        trained = [c for c in self.classes if not c.ignored]
        return ClassSet(tuple(Class(c.name, c.group or c.name, c.color) for c in trained))

    @cached_property
    def id_table(self) -> np.ndarray:
        """65536 uint8: the train id of each value; `IGNORE` for ignored ones and `UNKNOWN` for others."""
        table = np.full(2**16, UNKNOWN, np.uint8)
        table[[value for value in self.ignored if 0 <= value < 2**16]] = IGNORE
        for info in self.classes:
            table[info.ids] = self.class_set.train_id.get(info.name, IGNORE)
        return table

    @cached_property
    def color_table(self) -> tuple[np.ndarray, np.ndarray]:
        """C x 3 uint8 colors of the labels, and the train id of each; black is ignored unless it is a
        class."""
        colors = [c.color for c in self.classes]
        ids = [self.class_set.train_id.get(c.name, IGNORE) for c in self.classes]
        if (0, 0, 0) not in colors:
            colors, ids = [*colors, (0, 0, 0)], [*ids, IGNORE]
        return np.array(colors, np.uint8), np.array(ids, np.uint8)

    def decoding_key(self) -> str:
        """Return all that decides how labels are decoded and stored, as one line."""
        classes = [[c.name, c.ids, c.color if self.coding == "colors" else None] for c in self.classes]
        ignored = [c.name for c in self.classes if c.ignored]
        return json.dumps([self.layout, self.coding, classes, ignored, sorted(self.ignored), self.height])


def _refuse_twice(what: str, values: list) -> None:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{what} {twice} occurs twice")


def read_description(folder: Path) -> DatasetDescription | None:
    """Read the dataset.json of a folder; None if there is none.

    Raises:
        DatasetError: if it is damaged or contradicts itself.
    """
    file = folder / FILE
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_FILE_BYTES:
        raise DatasetError(f"{file} is too large: {MAX_FILE_BYTES // 2**20} MB is the most.")
    return parse_description(content, str(file))


def parse_description(content: bytes | str, name: str) -> DatasetDescription:
    """Parse a description.

    Args:
        content: JSON.
        name: the name of the file, for messages.

    Raises:
        DatasetError: if it is damaged or contradicts itself.
    """
    try:
        return DatasetDescription.model_validate_json(content)
    except ValidationError as error:
        raise DatasetError(f"{name} is no description of a data set: {first_problem(error)}.") from None


def write_description(folder: Path, description: DatasetDescription) -> None:
    """Write the dataset.json of a folder.

    Raises:
        OSError: if it cannot be written.
    """
    write_atomic(folder / FILE, description.model_dump_json(indent=1).encode() + b"\n")


def distinct_colors(count: int) -> list[tuple[int, int, int]]:
    """Return colors for classes that have none: hues a golden angle apart, in three brightnesses."""
    colors = []
    for k in range(count):
        rgb = colorsys.hsv_to_rgb((0.33 + 0.381966 * k) % 1, (0.75, 0.5, 0.9)[k % 3], (0.9, 0.7, 0.5)[k % 3])
        colors.append((round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])))
    return colors


def numbered_classes(ids: Iterable[int], names: Iterable[str] = ()) -> list[DescribedClass]:
    """Return a class for each id, with names and colors of its own."""
    ids = list(ids)
    given = list(names)
    named = [*given, *(f"class {value}" for value in ids[len(given) :])]
    return [
        DescribedClass(name=name, color=color, ids=[value])
        for name, color, value in zip(named, distinct_colors(len(ids)), ids, strict=True)
    ]
