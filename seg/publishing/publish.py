"""Publication of a finished run: rounded to float16, evaluated as stored, hashed, and written with a model
card.

The working height is chosen on the held-out samples of train, and the confidences are calibrated on them; val
is for the final evaluation only. Without a val, the metrics are those of the held-out samples, and the card
says so.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from seg import paths
from seg.data import preprocess
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import IGNORE
from seg.data.datasets import check_split, has_split, load_split
from seg.data.decode_cache import DecodedSplit
from seg.data.split_folders import find_misplaced
from seg.errors import StreetFCNError, printable
from seg.evaluation import calibration, evaluate, metrics
from seg.evaluation.bootstrap import paired_difference
from seg.evaluation.photo_counts import COUNTS_FILE, to_npz
from seg.inference.device import pick_device
from seg.inference.predictor import Predictor
from seg.models.factory import create_model
from seg.models.model_card import (
    CARD_FORMAT,
    CalibrationRecord,
    EncoderRecord,
    ModelCard,
    TrainingRecord,
    to_json,
)
from seg.models.pretrained import PretrainedEncoder, with_credits
from seg.models.registry import CARD_FILE, WEIGHTS_FILE, check_weights_name
from seg.system.atomic_io import new_folder
from seg.training.config import TrainConfig
from seg.training.initialization import run_classes
from seg.training.lineage import licence
from seg.training.run import METRICS_FILE, Run, load_tensors, to_json_lines
from seg.training.training_data import resize_mode_of

HEIGHTS = (1.0, 1.25, 1.5, 1.75, 2.0)
"""Candidates for the working height, as multiples of the crop height."""

TOLERANCE = 0.001
"""The change of pixel accuracy, mean accuracy and mean IoU that float16 may cause. If it is larger, as with a
network that has hardly learned anything, the parameters are stored in full precision."""

FINAL_LR_FACTOR = 0.01
"""Below this share of the maximum learning rate a schedule has ended."""


OnStageProgress = Callable[[str, int, int], object]


class PublishError(StreetFCNError, ValueError):
    """A run that cannot be published; the message names the cause."""


def publish(
    folder: Path,
    name: str,
    working_height: int | None = None,
    data: Path | None = None,
    tta: bool = False,
    on_progress: OnStageProgress | None = None,
    registry: Path | None = None,
) -> ModelCard:
    """Evaluate a finished run on val, or else on its held-out samples, in fp32, and publish its weights.

    Args:
        folder: the run's folder.
        name: the name of the weights; it must be new.
        working_height: height in pixels at which photos go through the network; by default the lowest of
            `HEIGHTS` at which the finest variant is not worse on the held-out samples than at the best one.
        data: the folder of the data set; by default the one that the run was trained on.
        tta: evaluate with test-time augmentation as well, which takes several times longer.
        on_progress: called with the stage and the numbers of photos done and of all.
        registry: the registry to write to; by default `paths.weights()`.

    Returns:
        The card.

    Raises:
        PublishError: if the run is not finished, has no records, or the name is taken.
        StreetFCNError: if the run or the data cannot be read.
        OSError: if the registry cannot be written.
    """
    check_weights_name(name)
    registry = registry or paths.weights()
    _check_unused(registry / name)
    run = Run(folder)
    stored, state = run.complete_config(), _finished_state(run)
    config, command, training = as_trained(run, TrainConfig.from_json(stored), stored["command"], state)
    encoder = with_credits(PretrainedEncoder(**stored["start"]))
    full = load_tensors(folder / "model.safetensors")
    data_folder = data or paths.recorded(config.data)
    evaluator = _Evaluator(
        config, encoder, data_folder, _final_split(data_folder, config.holdout, state), on_progress
    )
    _check_same_classes(data_folder, evaluator.final, folder, stored)
    rounded = {key: _round(value) for key, value in full.items()}
    by_height: dict[str, dict[str, float]] = {}
    if working_height is None and config.holdout:
        by_height, working_height = evaluator.search_height(rounded)
    height = working_height or config.height
    parameters, final_metrics, counts, calibrated = evaluator.evaluate_final(rounded, full, height, tta)
    content = to_safetensors(parameters, {"format": "pt"})
    card = ModelCard(
        **_network_fields(name, config, evaluator.final),
        **_training_fields(stored, state, config),
        working_height=height,
        height_search=by_height,
        encoder=cast(EncoderRecord, asdict(encoder)),
        command=printable(command),
        metrics=final_metrics,
        **_file_fields(content, full),
        training=training,
        calibration=calibrated,
    )
    _write(registry, card, content, counts, run)
    return card


def _check_same_classes(data: Path, split: DecodedSplit, run: Path, stored: dict[str, Any]) -> None:
    """Raise `PublishError` unless the labels have the classes that the run was trained on."""
    names = run_classes(stored).names
    if split.classes.names != names:
        raise PublishError(
            f"{data} has other classes than those that {run} was trained on: {', '.join(names)}. Restore its"
            " description, or name other data: --data DIR."
        )


def _final_split(data: Path, holdout: int, state: dict[str, Any]) -> DecodedSplit:
    """The split of the final evaluation. Raises `PublishError` without val and without a held-out slice."""
    if has_split(data, "val"):
        return load_split(data, "val")
    train = load_split(data, "train")
    if not holdout or train.digest not in state["digests"].values():
        raise PublishError(
            f"{data} has no val, and the run has not held out any of its samples, so there is nothing to"
            " evaluate the network on. Name a data set with val: --data DIR."
            f" {find_misplaced(data, 'val')}".rstrip()
        )
    check_split(data, "train", slice(len(train) - holdout, None))
    return train.held_out(holdout)


def _check_unused(final: Path) -> None:
    if final.exists():
        raise PublishError(
            f"{final} exists; published weights are never overwritten. Choose another name, or remove it"
            " first."
        )


def _file_fields(content: bytes, state: dict[str, Tensor]) -> dict[str, Any]:
    """The fields of a card about the weights file."""
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "parameters": sum(v.numel() for k, v in state.items() if not k.endswith(_BATCHNORM_BUFFERS)),
    }


def _network_fields(name: str, config: TrainConfig, split: DecodedSplit) -> dict[str, Any]:
    """The fields of a card about the network and its input."""
    own_classes = split.classes if split.classes != CITYSCAPES else None
    return {
        "format": CARD_FORMAT,
        "name": name,
        "architecture": config.arch,
        "variants": list(config.variants),
        "classes": list(split.classes.names),
        "class_categories": own_classes and [c.category for c in own_classes.classes],
        "class_colors": own_classes and [list(c.color) for c in own_classes.classes],
        "mean": list(preprocess.MEAN),
        "std": list(preprocess.STD),
        "resize_mode": resize_mode_of(split),
    }


def _training_fields(stored: dict[str, Any], state: dict[str, Any], config: TrainConfig) -> dict[str, Any]:
    """The fields of a card about the training, from the run's config.json and its last checkpoint."""
    return {
        "config": _printable(config.to_json())
        | {"behavior": stored.get("behavior", 1), "distilled_from": stored.get("distilled_from")},
        "init_from": stored.get("lineage"),
        "hours": round(state["seconds"] / 3600, 2),
        "samples_seen": state["step"] * config.batch_size,
        "data": _printable(state["digests"]),
        "decoder_version": stored["decoder_version"],
        "licence": licence(state["digests"], stored.get("lineage"), stored.get("distilled_from")),
    }


def _printable(value: Any) -> Any:
    """A JSON value in which file names that are not UTF-8 are written as text: a card is valid UTF-8."""
    if isinstance(value, dict):
        return {printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


_BATCHNORM_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Running statistics of batch normalization, which are not parameters."""


def _finished_state(run: Run) -> dict[str, Any]:
    """The last state of a run. Raises `PublishError` if the run is not finished."""
    if not (run.folder / "model.safetensors").is_file():
        raise PublishError(
            f"{run.folder} is not finished. Resume it first: python -m seg train --resume {run.folder}."
        )
    state = run.state()
    if state is None:
        raise PublishError(f"{run.folder} has no checkpoint, so its training data is unknown.")
    if not {"digests", "step", "seconds"} <= state.keys():
        raise PublishError(
            f"The last checkpoint of {run.folder} is damaged, so its training data is unknown."
        )
    return state


def as_trained(
    run: Run, config: TrainConfig, command: str, state: dict[str, Any]
) -> tuple[TrainConfig, str, TrainingRecord]:
    """The settings, the command and the course of a training, as the run's records show them.

    A run can end before the epochs that it was started with: the clock ended it, with its learning rate at
    zero, or it was stopped. In the first case --minutes repeats the training, so it replaces --epochs.

    Args:
        run: the run.
        config: the settings in config.json.
        command: the command in config.json.
        state: the last state.

    Raises:
        PublishError: if the run has no records.
    """
    last = next((line for line in reversed(run.metrics()) if "loss" in line), None)
    if last is None:
        raise PublishError(f"{run.folder} has no metrics.jsonl, so the length of its training is unknown.")
    planned_steps, lr_factor = run.read_heartbeat().get("steps"), last["lr"] / config.lr
    ended: Literal["epochs", "time", "stopped"] = "time" if config.minutes else "epochs"
    if not config.minutes and last["epoch"] + 1 < config.epochs:
        ended = "time" if lr_factor < FINAL_LR_FACTOR else "stopped"
        if ended == "time":
            minutes = round(state["seconds"] / 60, 2)
            config = replace(config, minutes=minutes, epochs=TrainConfig.epochs)
            command = re.sub(r"--epochs[ =]\S+", f"--minutes {minutes:g}", command)
    training = TrainingRecord(
        steps=state["step"],
        planned_steps=None if ended == "time" else planned_steps,
        seconds=round(state["seconds"], 1),
        ended=ended,
        last_rate=round(lr_factor, 5),
    )
    return config, command, training


class _Evaluator:
    """Evaluates the network of a run on its data in fp32, whose results are the same on every machine."""

    def __init__(
        self,
        config: TrainConfig,
        encoder: PretrainedEncoder,
        data: Path,
        final: DecodedSplit,
        on_progress: OnStageProgress | None,
    ) -> None:
        self.config, self.encoder, self.data, self.final = config, encoder, data, final
        self.on_progress = on_progress

    def search_height(self, state: dict[str, Tensor]) -> tuple[dict[str, dict[str, float]], int]:
        """Mean IoU by working height and variant on the held-out samples of train, and the height to use."""
        config, train = self.config, load_split(self.data, "train")
        by_height: dict[str, dict[str, float]] = {}
        of_finest: dict[int, np.ndarray] = {}
        held_out, predictor = range(len(train) - config.holdout, len(train)), self._predictor(state)
        check_split(self.data, "train", slice(held_out.start, None))
        for height in (round(config.height * factor) for factor in HEIGHTS):
            on_progress = self._stage(f"{height} pixels high, held-out samples")
            confusions = evaluate.photo_confusions(
                predictor, train, config.variants, held_out, height, on_progress
            )
            by_height[str(height)] = {
                variant: metrics.compute_metrics(counts.sum(0)).mean_iou
                for variant, counts in confusions.items()
            }
            of_finest[height] = confusions[config.variants[-1]]
        return by_height, choose_height(of_finest)

    def evaluate_final(
        self, rounded: dict[str, Tensor], full: dict[str, Tensor], height: int, tta: bool
    ) -> tuple[
        dict[str, Tensor], dict[str, Any], dict[str, evaluate.MetricAccumulator], CalibrationRecord | None
    ]:
        """The parameters to publish, rounded if that changes no metric, the metrics for their card, the
        counts of every photo, and the calibration."""
        split, config = self.final, self.config
        parameters, indices = rounded, range(len(split))
        predictor, calibrated = self._calibrated(parameters, height)

        def count(stage: str, tta: bool = False) -> dict[str, evaluate.MetricAccumulator]:
            on_progress = self._stage(stage)
            return evaluate.accumulate(
                predictor, split, config.variants, indices, height, tta=tta, on_progress=on_progress
            )

        def report(counts: dict[str, evaluate.MetricAccumulator]) -> dict[str, Any]:
            return {variant: evaluate.report(of_variant) for variant, of_variant in counts.items()}

        counts = count(split.name)
        reports = report(counts)
        if any(not torch.equal(parameters[key].to(value.dtype), value) for key, value in full.items()):
            on_progress = self._stage(f"{split.name}, before rounding")
            exact = evaluate.confusion_matrices(
                self._predictor(full), split, config.variants, indices, height, on_progress
            )
            before = {v: evaluate.metrics_from_confusion(c, split.classes) for v, c in exact.items()}
            if not _equivalent(reports, before):
                parameters = full
                predictor, calibrated = self._calibrated(full, height)
                counts = count(f"{split.name}, not rounded")
                reports = report(counts)
        with_tta = {"tta": report(count(f"{split.name}, multi-scale + flip", tta=True))} if tta else {}
        final_metrics = {
            "version": evaluate.EVALUATION_VERSION,
            "split": split.name,
            "images": len(split),
            "digest": split.digest,
            "variants": reports,
            "temperature": predictor.temperatures,
        }
        ignored = evaluate.ignored_pixels(split, indices)
        final_metrics |= {"ignored": ignored} if ignored else {}
        return parameters, final_metrics | with_tta, counts, calibrated

    def _calibrated(
        self, state: dict[str, Tensor], height: int
    ) -> tuple[Predictor, CalibrationRecord | None]:
        """The network with the temperatures of the held-out samples; None if none has a label."""
        config, predictor = self.config, self._predictor(state)
        if not config.holdout or not has_split(self.data, "train"):
            return predictor, None
        split = load_split(self.data, "train").held_out(config.holdout)
        if (split.labels == IGNORE).all():
            return predictor, None
        on_progress = self._stage("calibration, held-out samples")
        results = calibration.calibrate(predictor, split, config.variants, height, on_progress)
        record = calibration.to_record(results, len(split))
        return self._predictor(state, record["temperature"]), record

    def _predictor(
        self, state: dict[str, Tensor], temperatures: Mapping[str, float] | None = None
    ) -> Predictor:
        model = create_model(
            self.config.arch, len(self.final.classes), self.config.variants, self.encoder.strides
        )
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        options = (self.config.height, pick_device("auto"), False, resize_mode_of(self.final), temperatures)
        return Predictor.for_inference(model, *options, self.final.classes)

    def _stage(self, stage: str) -> evaluate.OnProgress | None:
        return None if self.on_progress is None else partial(self.on_progress, stage)


def choose_height(confusions: Mapping[int, np.ndarray]) -> int:
    """Choose the lowest working height that is not worse than the best one, since it costs least time.

    Args:
        confusions: photos x K x K counts of the finest variant on the same photos, by working height.

    Returns:
        The lowest height whose paired difference in mean IoU from the best height has an interval that
        includes zero; the best one for too few photos to give an interval.
    """
    best = max(confusions, key=lambda height: metrics.compute_metrics(confusions[height].sum(0)).mean_iou)
    for height in sorted(confusions):
        difference = paired_difference(confusions[height], confusions[best])
        if height == best or (difference.high is not None and difference.high >= 0):
            return height
    return best


def _write(
    registry: Path,
    card: ModelCard,
    content: bytes,
    counts: dict[str, evaluate.MetricAccumulator],
    run: Run,
) -> None:
    """Write all files or none. Raises `PublishError` if the name was taken meanwhile, and OSError."""
    final = registry / card.name
    registry.mkdir(parents=True, exist_ok=True)
    try:
        with new_folder(final, prefix=".publishing-") as temp_dir:
            (temp_dir / WEIGHTS_FILE).write_bytes(content)
            (temp_dir / COUNTS_FILE).write_bytes(to_npz(counts))
            (temp_dir / METRICS_FILE).write_bytes(to_json_lines(run.metrics()))
            (temp_dir / CARD_FILE).write_bytes(to_json(card))
    except OSError:
        if final.exists():
            raise PublishError(
                f"{final} was published by another process meanwhile. Choose another name, or remove it"
                " first."
            ) from None
        raise


def _equivalent(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether no metric of a variant differs by more than `TOLERANCE`."""
    keys = ("pixel_accuracy", "mean_accuracy", "mean_iou")
    return all(abs(a[variant][key] - b[variant][key]) <= TOLERANCE for variant in a for key in keys)


def _round(value: Tensor) -> Tensor:
    """Convolutions in float16; batch normalization and biases, few and sensitive, unchanged."""
    return value.to(torch.float16).contiguous() if value.ndim == 4 else value
