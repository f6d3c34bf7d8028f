"""The classes of a data set or a network: names, categories and colors in the order of their train ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

IGNORE = 255
"""The train id of pixels without a class, which are not used for training or evaluation."""

MAX_CLASSES = 254
"""Train ids are bytes, and one of them is `IGNORE`; 254 marks unknown ids."""

MAX_NAME_LENGTH = 60
"""Characters of the name of a class or of a category."""


class Class(NamedTuple):
    """A class of a data set."""

    name: str
    category: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """Classes in the order of their train ids.

    Attributes:
        classes: `classes[id]` has the train id `id`.
    """

    classes: tuple[Class, ...]

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def of(
        cls, names: Sequence[str], categories: Sequence[str], colors: Sequence[Sequence[int]]
    ) -> "ClassSet":
        """Return a set from its columns."""
        rows = zip(names, categories, colors, strict=True)
        return cls(tuple(Class(name, category, (r, g, b)) for name, category, (r, g, b) in rows))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each train id."""
        return tuple(c.name for c in self.classes)

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories, each once."""
        return tuple(dict.fromkeys(c.category for c in self.classes))

    @cached_property
    def train_id(self) -> dict[str, int]:
        """The train id of each name."""
        return {name: k for k, name in enumerate(self.names)}

    @cached_property
    def palette(self) -> np.ndarray:
        """K x 3 uint8: the color of each train id."""
        return np.array([c.color for c in self.classes], np.uint8)

    def colorize(self, label: np.ndarray) -> np.ndarray:
        """Convert train ids of any shape to RGB colors, ... x 3 uint8; other ids are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.palette
        return table[label]

    def table_to(self, other: "ClassSet") -> np.ndarray:
        """Return 256 uint8: the train id in `other` of the class of the same name, or `IGNORE`."""
        table = np.full(256, IGNORE, np.uint8)
        for k, name in enumerate(self.names):
            table[k] = other.train_id.get(name, IGNORE)
        return table


def union(class_sets: Iterable[ClassSet]) -> ClassSet:
    """Return the classes of several sets, matched by name; colors and categories are those of the first set
    that has the class.

    Raises:
        ValueError: if they are more than `MAX_CLASSES`.
    """
    by_name: dict[str, Class] = {}
    for class_set in class_sets:
        for info in class_set.classes:
            by_name.setdefault(info.name, info)
    if len(by_name) > MAX_CLASSES:
        raise ValueError(f"{len(by_name)} classes are too many to be shown together: {MAX_CLASSES} at most.")
    return ClassSet(tuple(by_name.values()))
