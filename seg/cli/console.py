"""Shared by all commands: the console, progress bars and checks of options.

This module does not import PyTorch, which takes seconds that ``data`` does not need.
"""

import errno
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from seg.data.datasets import load_split
from seg.data.decode_cache import DecodedSplit
from seg.errors import StreetFCNError, printable, user_message
from seg.system.atomic_io import write_json


class SafeConsole(Console):
    """A console that replaces control characters: file names from elsewhere must not control the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a printed string, or the title or a cell of a table."""
        return super().render_str(strip_control_chars(text), **options)


def strip_control_chars(text: str) -> str:
    """Replace control characters, and bytes of file names that are not UTF-8."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", "\ufffd", printable(text))


console = SafeConsole()

wide = SafeConsole(
    width=max(console.width, 220)
)  # for tables of many columns: the terminal may wrap them, Rich would cut them


class CommandError(StreetFCNError, ValueError):
    """A command with unusable options; the message says why."""


def error_message(error: BaseException) -> str:
    from seg.inference.device import out_of_memory

    if out_of_memory(error):
        return (
            "There is not enough memory. End what else needs it, or ask for less: smaller images, or --device"
            " cpu."
        )
    return user_message(error) or "Stopped."


def load_split_with_progress(data: Path, split: str) -> DecodedSplit:
    with progress_bar(f"decoding {split}") as on_progress:
        return load_split(data, split, on_progress)


def load_held_out(name: str, data: Path) -> DecodedSplit:
    """The samples of a data set that the training of published weights held out.

    Raises:
        CommandError: if there are none.
    """
    from seg.models.registry import read_card

    card = read_card(name)
    holdout = card.config.get("holdout")
    if not isinstance(holdout, int) or holdout < 1:
        raise CommandError(f"The training of {name} held out no samples.")
    train = load_split_with_progress(data, "train")
    if train.digest not in card.data.values():
        raise CommandError(f"{name} was not trained on {data}, so none of its samples is held out.")
    return train.held_out(holdout)


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[..., None]]:
    """Show progress: a bar on a terminal, else at most ten lines on standard error. Yields the function to
    call with it."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(description)

        def on_progress(done: int, total: int, description: str = description) -> None:
            bar.update(task, description=description, completed=done, total=total)
            if not console.is_terminal and 10 * done // total > 10 * (done - 1) // total:
                print(f"{description}: {done} of {total}", file=sys.stderr)

        yield on_progress


def check_variants(known: Sequence[str], variants: Sequence[str]) -> None:
    missing = [v for v in variants if v not in known]
    if missing:
        raise CommandError(f"These weights have no {missing[0]}; they have {', '.join(known)}.")


def check_page(file: Path | None, option: str) -> None:
    if file and file.suffix != ".html":
        raise CommandError(f"{option} writes a page: its name ends in .html, and {file.name} does not.")


def check_outputs(*files: Path | None) -> None:
    """Check that files can be written which a command writes at its end, so that no long computation is lost.

    Raises:
        OSError: if one cannot; its folder is created.
    """
    for file in filter(None, files):
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=file.parent):
                pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(file)) from None


def check_height(height: int | None) -> None:
    if height is not None and not 32 <= height <= 2048:
        raise CommandError("--height must be from 32 to 2048.")


def save_json(file: Path | None, value: Any) -> None:
    """Write a value to a file, if one is given."""
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, value)
