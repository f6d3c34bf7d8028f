"""Commands for data sets: fetch, check, render."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional, subcommand

from seg import paths
from seg.cli import image_sets
from seg.cli.console import CommandError, console, load_split_with_progress, progress_bar
from seg.data import cityscapes, label_decoder, scenes
from seg.data.datasets import split_files
from seg.data.description import FILE, write_description
from seg.data.download import download
from seg.data.image_set import find_image_set
from seg.data.label_check import LabelHalfError, check_labels, find_faults, summarize
from seg.data.layouts import unknown_layout
from seg.data.pairs import SPLITS, DatasetError, find_pairs, has_pairs
from seg.data.split_folders import find_misplaced
from seg.data.statistics import class_shares
from seg.errors import printable

MAX_REPORTED = 50
"""Unusable pairs that `data check` names, for each split."""


@dataclass(frozen=True)
class Fetch:
    """Download the Cityscapes Image Pairs from Kaggle (115 MB)."""

    to: Path = field(default_factory=paths.default_dataset)
    """Folder to write to; it must be new or empty."""

    def run(self) -> None:
        console.print(f"{download(self.to)} holds the pairs. Check them: python -m seg data check {self.to}")


@dataclass(frozen=True)
class Check:
    """Verify a data set and print its class frequencies.

    It fails if any sample cannot be used.
    """

    folder: Positional[Path]
    """Folder of the data set: pairs, or photos and labels in one of the layouts of docs/datasets.md."""
    split: Literal["train", "val"] | None = None
    """Split to check; by default both."""

    def run(self) -> None:
        image_set = find_image_set(self.folder)
        if image_set is not None:
            image_sets.check(image_set, (self.split,) if self.split else SPLITS)
            return
        table = Table(
            "class", title=f"share of the pixels that have a class, decoder {label_decoder.DECODER_VERSION}"
        )
        columns, totals = [], []
        names = (self.split,) if self.split else self._splits()
        problems = [problem for name in names if (problem := self._verify(name)) is not None]
        if not all(problem.is_decodable for problem in problems):
            raise _error(problems)
        for name in names:
            split = load_split_with_progress(self.folder, name)
            shares, ignored = class_shares(split.labels)
            table.add_column(f"{name} ({len(split)} pairs)", justify="right")
            columns.append([f"{share:.3%}" for share in shares])
            totals.append(f"{ignored:.3%}")
            console.print(f"{name}: {len(split)} pairs, digest {split.digest}", soft_wrap=True)
        for row in zip(cityscapes.NAMES, *columns, strict=True):
            table.add_row(*row)
        table.add_section()
        table.add_row("ignored, of all pixels", *totals)
        console.print(table)
        if problems:
            raise _error(problems)

    def _splits(self) -> tuple[str, ...]:
        """The splits to check: one may be missing."""
        present = tuple(split for split in SPLITS if has_pairs(self.folder, split))
        if not present:
            split_files(self.folder, "train")  # says why
        for split in set(SPLITS) - set(present):
            needed = (
                "it can be used for evaluations only"
                if split == "train"
                else "a training needs held-out pairs of train (--holdout)"
            )
            sentence = f"{self.folder} has no {split}: {needed}. {find_misplaced(self.folder, split)}"
            console.print(escape(printable(sentence.strip())), soft_wrap=True)
        return present

    def _verify(self, name: str) -> "_Problem | None":
        """Print which pairs of a split are unusable, and return a summary; None if all can be used."""
        files = find_pairs(self.folder, name)
        with progress_bar(f"verifying {name}") as on_progress:
            errors = find_faults(files, on_progress)
        if not errors:
            return None
        is_readable = all(isinstance(error, LabelHalfError) for error in errors)
        if is_readable and len(errors) == len(files):
            try:
                check_labels(files)
            except LabelHalfError as none_usable:
                return _Problem(str(none_usable), is_decodable=False)
        for error in errors[:MAX_REPORTED]:
            console.print(f"[red]unusable[/] {escape(str(error))}", soft_wrap=True)
        if len(errors) > MAX_REPORTED:
            console.print(f"and {len(errors) - MAX_REPORTED:,} more")
        sentence = (
            f"{len(errors):,} of the {len(files):,} pairs in {files[0].parent}"
            f" {'is' if len(errors) == 1 else 'are'} unusable: {summarize(errors)}. Correct or remove them."
        )
        return _Problem(sentence, is_readable)


class _Problem(NamedTuple):
    """Why a split fails the check, and whether it can be decoded all the same: labels may be void."""

    sentence: str
    is_decodable: bool


def _error(problems: Sequence[_Problem]) -> CommandError:
    return CommandError(" ".join(problem.sentence for problem in problems))


@dataclass(frozen=True)
class Describe:
    """Write the dataset.json of a folder of photos and labels, to correct names, colors and ignored ids."""

    folder: Positional[Path]
    """Folder of the data set, in one of the layouts of docs/datasets.md."""

    def run(self) -> None:
        image_set = find_image_set(self.folder)
        if image_set is None:
            raise DatasetError(unknown_layout(self.folder))
        file = image_set.root / FILE
        if file.exists():
            raise CommandError(f"{file} exists already; edit it, or delete it first.")
        write_description(image_set.root, image_set.description)
        console.print(
            f"{file} describes {len(image_set.classes)} classes. Edit it, then check it: python -m seg data"
            f" check {self.folder}",
            soft_wrap=True,
        )


@dataclass(frozen=True, kw_only=True)
class Render(scenes.SceneOptions):
    """Render street scenes with exact labels as a data set of pairs; options that are not given vary from
    scene to scene."""

    to: Path
    """Folder to write to; it must be new or empty."""
    train: int = 300
    """Number of pairs in train."""
    val: int = 50
    """Number of pairs in val."""
    seed: int = 0
    """Random seed; another seed gives other scenes."""

    def run(self) -> None:
        if min(self.train, self.val) < 1:
            raise CommandError("--train and --val must be at least 1.")
        options = scenes.SceneOptions(**{f.name: getattr(self, f.name) for f in fields(scenes.SceneOptions)})
        with progress_bar("rendering") as on_progress:
            scenes.write_pairs(self.to, self.train, self.val, self.seed, on_progress, options)
        console.print(f"{self.to}: {self.train} pairs in train, {self.val} in val, exact labels in exact/")


@dataclass(frozen=True)
class Data:
    """Download, check, describe or render a data set."""

    action: (
        Annotated[Fetch, subcommand("fetch")]
        | Annotated[Check, subcommand("check")]
        | Annotated[Describe, subcommand("describe")]
        | Annotated[Render, subcommand("render")]
    )

    def run(self) -> None:
        self.action.run()
