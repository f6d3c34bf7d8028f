"""Initial weights, licence and equivalence of trainings."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seg import paths
from seg.data import label_decoder
from seg.data.datasets import split_digest
from seg.data.image_set import find_image_set
from seg.data.pairs import is_rendered, last_change, mtime_fingerprint
from seg.errors import printable
from seg.models.factory import ARCHITECTURES, Architecture
from seg.models.model_card import WeightsError
from seg.models.pretrained import PretrainedEncoder, describe_pretrained, with_credits
from seg.models.registry import list_weights, read_card
from seg.system.hash_cache import cached_hash
from seg.training import run_status
from seg.training.config import TrainConfig, TrainError
from seg.training.distillation import describe_teacher
from seg.training.run import Run, RunError

TRAINER_VERSION = 3
"""Incremented when the same settings on the same pairs no longer train the same network."""

CITYSCAPES = "Cityscapes terms: research and non-commercial use"

MIT = "MIT: trained on rendered scenes only"


@dataclass(frozen=True)
class Lineage:
    """The weights that a training started from: published weights or a finished run."""

    name: str
    architecture: Architecture
    sha256: str  # of the file
    command: str
    hours: float
    photos: int
    licence: str
    parent: dict[str, Any] | None  # the Lineage of the weights that these started from


@dataclass(frozen=True)
class ExistingTraining:
    """A training with an equivalent recipe, or its published weights."""

    kind: Literal["weights", "finished", "unfinished"]
    name: str  # of the weights, or the run's folder


def resolve_init(config: TrainConfig) -> tuple[PretrainedEncoder, Lineage | None]:
    """The pretrained encoder and the lineage of a training that has not started.

    Args:
        config: the settings.

    Returns:
        The encoder, and the lineage if ``config.init_from`` is set.

    Raises:
        TrainError: if the initial weights are unfinished or of another architecture.
        StreetFCNError: if the encoder, the weights or the run cannot be read.
    """
    if not config.init_from:
        return describe_pretrained(config.encoder_weights, ARCHITECTURES[config.arch].backbone), None
    folder = Path(config.init_from)
    if not folder.is_dir():
        card = read_card(config.init_from)
        encoder = PretrainedEncoder(**card.encoder)
        lineage = Lineage(
            config.init_from,
            card.architecture,
            card.sha256,
            card.command,
            card.hours,
            card.samples_seen,
            card.licence,
            card.init_from,
        )
    else:
        run, file = Run(folder), folder / "model.safetensors"
        stored = run.complete_config()
        if not file.is_file():
            raise TrainError(
                f"{folder} is not finished. Resume it first: python -m seg train --resume {folder}."
            )
        state = run.state()
        if state is None:
            raise TrainError(
                f"{folder} has no checkpoint, so its training data is unknown. Start from other weights."
            )
        if not {"digests", "step", "seconds"} <= state.keys():
            raise TrainError(f"The last checkpoint of {folder} is damaged. Start from other weights.")
        encoder = PretrainedEncoder(**stored["start"])
        earlier = stored.get("lineage")
        lineage = Lineage(
            name=config.init_from,
            architecture=TrainConfig.from_json(stored).arch,
            sha256=_sha256(file),
            command=stored["command"],
            hours=round(state["seconds"] / 3600, 2),
            photos=state["step"] * stored["batch_size"],
            licence=licence(state["digests"], earlier, stored.get("distilled_from")),
            parent=earlier,
        )
    check_architecture(config, lineage.architecture)
    return encoder, lineage


def _sha256(file: Path) -> str:
    def compute() -> str:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    files = (file.absolute(),)
    return cached_hash(f"file {mtime_fingerprint(files)}", last_change(files), compute)


def check_architecture(config: TrainConfig, architecture: Architecture) -> None:
    """Check that initial weights fit the architecture to train.

    Raises:
        TrainError: if they are of another architecture.
    """
    if architecture != config.arch:
        raise TrainError(
            f"{ARCHITECTURES[config.arch].description} cannot start from {config.init_from}: that is "
            f"{ARCHITECTURES[architecture].description}. Choose --arch {architecture}, or other weights."
        )


def licence(data: Iterable[str], *sources: dict[str, Any] | None) -> str:
    """The licence of parameters trained on some data sets, after or with the help of `sources`: a
    lineage and a teacher, or None."""
    terms = [_terms(paths.recorded(Path(folder))) for folder in data]
    terms += [source["licence"] for source in sources if source]
    return "; ".join(dict.fromkeys(term for term in terms if term != MIT)) or MIT


def _terms(data: Path) -> str:
    """The licence of parameters trained on a data set."""
    image_set = find_image_set(data)
    if image_set is not None and image_set.description.layout != "cityscapes":
        return f"as the data set {printable(image_set.description.name)} permits"
    return MIT if is_rendered(data) else CITYSCAPES


def find_equivalent(
    config: TrainConfig, among: Path, registry: Path | None = None
) -> tuple[ExistingTraining, ...]:
    """Trainings that an equal recipe has already produced.

    The run's folder, the device and the intervals of evaluations and checkpoints are not part of a recipe.

    Args:
        config: the settings.
        among: the folder of runs to search.
        registry: the registry of weights to search; by default all of `paths.registries()`.

    Returns:
        Published weights, then finished runs, then unfinished runs.

    Raises:
        StreetFCNError: as `resolve_init`, or if the pairs cannot be read.
    """
    if Run(Path(config.init_from)).alive():
        return ()  # its result is not known yet
    encoder, lineage = resolve_init(config)
    digests = {str(folder): split_digest(folder, "train") for folder, _ in config.sets}
    init_from = dataclasses.asdict(lineage) if lineage else None
    settings = config.to_json() | {"distilled_from": describe_teacher(config.teacher)}
    recipe = _key(settings, digests, dataclasses.asdict(encoder), init_from, TRAINER_VERSION)
    published = []
    for name in list_weights(registry):
        try:
            card = read_card(name, registry)
        except WeightsError:  # reported where weights are listed
            continue
        if card.decoder_version == label_decoder.DECODER_VERSION and recipe == _key(
            card.config, card.data, card.encoder, card.init_from, card.config.get("behavior", 1)
        ):
            published.append(ExistingTraining("weights", name))
    runs: dict[bool, list[ExistingTraining]] = {True: [], False: []}
    for folder in run_status.find_runs(among):
        run = Run(folder)
        try:
            stored, state = run.complete_config(), run.state()
        except RunError:  # reported where runs are listed
            continue
        if state and stored["decoder_version"] == label_decoder.DECODER_VERSION:
            if recipe == _key(
                stored,
                state.get("digests", {}),
                stored["start"],
                stored.get("lineage"),
                stored.get("behavior", 1),
            ):
                finished = (folder / "model.safetensors").is_file()
                runs[finished].append(ExistingTraining("finished" if finished else "unfinished", str(folder)))
    return *published, *runs[True], *runs[False]


NON_RECIPE_FIELDS = (
    "out",
    "device",
    "compile",
    "evaluate_every",
    "checkpoint_minutes",
    "checkpoint_every",
    "log_with",
    "data",
    "extra_data",
    "encoder_weights",
    "init_from",
    "teacher",
)
"""Settings whose values are not part of a recipe; of files they name, the contents are."""


def _key(
    settings: dict[str, Any],
    digests: dict[str, str],
    start: Mapping[str, Any],
    lineage: dict[str, Any] | None,
    behavior: int,
) -> str | None:
    """The recipe as one line; None if it is of another version."""
    try:
        config = TrainConfig.from_json(settings)
        sets = [[digests[str(folder)], share] for folder, share in config.sets]
        start = dataclasses.asdict(with_credits(PretrainedEncoder(**start)))
        teacher = (settings.get("distilled_from") or {"sha256": None})["sha256"]
    except (KeyError, TypeError, ValueError, TrainError):
        return None
    recipe_settings = {k: v for k, v in config.to_json().items() if k not in NON_RECIPE_FIELDS}
    return json.dumps(
        [recipe_settings, sets, lineage["sha256"] if lineage else start, behavior, teacher], sort_keys=True
    )
