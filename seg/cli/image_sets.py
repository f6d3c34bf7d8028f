"""The part of `data check` for photos and labels with a description."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from seg.cli.console import CommandError, console, progress_bar
from seg.data.image_set import ImageSet
from seg.data.image_set_check import SplitCheck, check_image_set, counted, notes_on
from seg.errors import printable


def check(image_set: ImageSet, splits: Sequence[str]) -> None:
    """Read all photos and labels, and print faults and class frequencies.

    Raises:
        CommandError: if a sample cannot be used, or if there are none.
        DatasetError: if two files have one name, or a list of the layout is damaged.
    """
    described = image_set.description
    ignored = [c.name for c in described.classes if c.ignored]
    console.print(
        f"{escape(printable(described.name))}: layout {described.layout}, {len(image_set.classes)} classes,"
        f" labels of {described.coding}" + f", ignored: {', '.join(ignored)}" * bool(ignored),
        soft_wrap=True,
    )
    checks: dict[str, SplitCheck] = {}
    for split in splits:
        with progress_bar(f"reading {split}") as on_progress:
            checks[split] = check_image_set(image_set, split, on_progress)
        samples = checks[split].samples
        digest = f", digest {image_set.digest(split)}" if samples else ""
        console.print(f"{split}: {samples} photos with a label{digest}", soft_wrap=True)
        for kind, (count, example) in checks[split].faults.items():
            console.print(
                f"[red]{counted(kind, count)}[/], for example: {escape(printable(example))}", soft_wrap=True
            )
    _print_shares(image_set, checks)
    for note in notes_on(image_set, checks):
        console.print(escape(printable(note)), soft_wrap=True)
    if not any(check.samples for check in checks.values()):
        image_set.complete_samples(splits[0])  # says why
    faults = {split: check.faults for split, check in checks.items() if check.faults}
    if faults:
        parts = [
            f"{split}: {', '.join(counted(kind, count) for kind, (count, _) in kinds.items())}"
            for split, kinds in faults.items()
        ]
        raise CommandError(f"{image_set.data} has faults. {'; '.join(parts)}. Correct or remove them.")


def _print_shares(image_set: ImageSet, checks: dict[str, SplitCheck]) -> None:
    table = Table("class", title="share of the pixels that have a class")
    for split, check in checks.items():
        table.add_column(f"{split} ({check.samples})", justify="right")
    columns = [check.pixels for check in checks.values()]
    for k, name in enumerate(image_set.classes.names):
        table.add_row(escape(name), *(f"{p[k] / max(1, p[:-1].sum()):.3%}" for p in columns))
    table.add_section()
    table.add_row("ignored, of all pixels", *(f"{p[-1] / max(1, p.sum()):.3%}" for p in columns))
    console.print(table)
