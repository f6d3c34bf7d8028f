"""The decoded data of a training; one process decodes what the cache lacks, and all open it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from seg import paths
from seg.data.decode_cache import DecodedSplit, load_split
from seg.data.pairs import OnProgress
from seg.data.soft_labels import with_soft_labels
from seg.errors import printable
from seg.training.config import TrainConfig
from seg.training.distributed import DistributedContext


def load_datasets(
    config: TrainConfig, distributed: DistributedContext, console: Console
) -> list[DecodedSplit]:
    """Load the split train of the data and of the additional datasets. A collective.

    Args:
        config: the settings.
        distributed: the processes that train together.
        console: displays the progress.

    Raises:
        DatasetError: if a split cannot be used.
        OSError: if the cache cannot be written.
    """

    def load() -> list[DecodedSplit]:
        return [load_one(folder) for folder, _ in config.sets]

    def load_one(data: Path) -> DecodedSplit:
        with _decoding(console, str(data)) as on_progress:
            return load_split(paths.recorded(data), "train", on_progress)

    return distributed.run_on_main(load) or load()


def with_soft_targets(
    datasets: list[DecodedSplit], distributed: DistributedContext, console: Console
) -> list[DecodedSplit]:
    """Return data sets with soft labels, as `load_datasets` loads those with labels. A collective."""

    def load() -> list[DecodedSplit]:
        with _decoding(console, "soft labels") as on_progress:
            return [with_soft_labels(dataset, on_progress) for dataset in datasets]

    return distributed.run_on_main(load) or load()


@contextlib.contextmanager
def _decoding(console: Console, what: str) -> Iterator[OnProgress]:
    """Display the progress of a decoding, if there is any."""
    with Progress(transient=True, console=console) as bar:
        task = bar.add_task(f"decoding {escape(printable(what))}", visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
