"""The decoded data of a training; one process decodes what the cache lacks, and all open it."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from seg import paths
from seg.data.datasets import load_split
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import OnProgress
from seg.data.preprocess import ResizeMode
from seg.data.soft_labels import with_soft_labels
from seg.errors import printable
from seg.training.config import TrainConfig, TrainError
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

    datasets = distributed.run_on_main(load) or load()
    for (folder, _), dataset in zip(config.sets[1:], datasets[1:], strict=True):
        if dataset.classes.names != datasets[0].classes.names:
            names = ", ".join(dataset.classes.names[:5])
            raise TrainError(f"{folder} cannot be added to {config.data}: it has other classes ({names}, …).")
        if dataset.is_pairs != datasets[0].is_pairs:
            raise TrainError(
                f"{folder} cannot be added to {config.data}: one of them has pairs and the other photos with"
                " labels of their own."
            )
    return datasets


def resize_mode_of(dataset: DecodedSplit) -> ResizeMode:
    """Return how a network that was trained on a data set resizes photos of other shapes than 2:1.

    Crops of pairs show 2:1 scenes, so other photos cover such a box (see the command `resolution`). Crops of
    other data sets have the height of the photos at a scale of 1.
    """
    return "cover" if dataset.is_pairs else "fit_height"


def with_training_labels(
    datasets: list[DecodedSplit], config: TrainConfig, distributed: DistributedContext, console: Console
) -> list[DecodedSplit]:
    """Return data sets with the labels that are trained on: soft ones, best guesses or theirs. A collective.

    Args:
        datasets: what `load_datasets` returned; evaluations use its labels.
        config: the settings.
        distributed: the processes that train together.
        console: displays the progress.

    Raises:
        TrainError: if a data set has no pairs: its labels are not blended.
    """
    if not (config.best_guesses or config.soft_targets):
        return datasets
    if not all(dataset.is_pairs for dataset in datasets):
        option = "--soft-targets" if config.soft_targets else "--best-guesses"
        raise TrainError(f"{option} goes with pairs only: other labels have no blended pixels.")
    if config.best_guesses:
        return [replace(d, labels=d.best_guesses) for d in datasets if d.best_guesses is not None]

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
