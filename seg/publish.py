"""A finished run -> published weights: rounded to float16, scored as stored, hashed, and written in one go.

The working height is chosen here as well, on the pairs of train that the training held out; val is only for the final score.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor

from seg import dataset, evaluate, labels, metrics, preprocess, weights
from seg.checkpoint import Run
from seg.networks import build
from seg.predict import Predictor, pick_device
from seg.recipe import TrainConfig, licence

HEIGHTS = (1.0, 1.25, 1.5, 1.75, 2.0)
"""Working heights that are tried, as multiples of the height trained at."""

TOLERANCE = 0.001
"""By how much float16 may change pixel accuracy, mean accuracy and mean IoU. Where it changes more, as with a network that has
hardly learned anything, the parameters are stored as they are."""


class PublishError(ValueError):
    """A run that cannot be published; the message says why."""


def publish(
    folder: Path,
    name: str,
    working_height: int | None = None,
    data: Path | None = None,
    best: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    registry: Path = weights.FOLDER,
) -> weights.Card:
    """Scores the finished run in `folder` on val and writes ``registry/name``. Returns its card.

    `best` scores the best quality as well, which takes several times longer. Without `working_height`, the one of `HEIGHTS`
    with the best mean IoU of the finest variant on the held-out pairs is taken.

    Raises `PublishError`, OSError where the registry cannot be written, and what reading the run and the data raises.
    """
    weights.check_name(name)
    final = registry / name
    if final.exists():
        raise PublishError(f"{final} exists; published weights are never overwritten. Choose another name, or remove it first.")
    run = Run(folder)
    stored = run.config()
    config = TrainConfig.from_json(stored)
    if not (folder / "model.safetensors").is_file():
        raise PublishError(f"{folder} is not finished. Go on with it first: python -m seg train --resume {folder}.")
    state = run.state()
    if state is None:
        raise PublishError(f"{folder} has no checkpoint, so what it was trained on is not known.")
    full = load_file(folder / "model.safetensors")
    kept = {key: _store(value) for key, value in full.items()}

    def predictor(state: dict[str, Tensor]) -> Predictor:
        model = build(config.arch, len(labels.CLASSES), config.variants, stored["start"]["strides"])
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        return Predictor.folded(model, config.height, pick_device("auto"))

    def telling(what: str) -> evaluate.Progress | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    def score(what: str, best: bool = False) -> dict[str, Any]:
        whole = range(len(split))
        found = evaluate.tally(stored_as, split, config.variants, whole, height, best=best, progress=telling(what))
        return {variant: evaluate.report(each) for variant, each in found.items()}

    stored_as = predictor(kept)
    tried = {}
    if working_height is None and config.holdout:
        train = dataset.load(data or config.data, "train")
        held, finest = range(len(train) - config.holdout, len(train)), stored_as.model.variants[-1]
        for height in (round(config.height * factor) for factor in HEIGHTS):
            told = telling(f"{height} pixels high, held-out pairs")
            found = evaluate.confusions(stored_as, train, config.variants, held, height, told)
            tried[str(height)] = {variant: metrics.scores(each).mean_iou for variant, each in found.items()}
        working_height = int(max(tried, key=lambda height: tried[height][finest]))
    height = working_height or config.height
    split = dataset.load(data or config.data, "val")
    reports = score("val")
    whole, told = range(len(split)), telling("val, before rounding")
    exact = evaluate.confusions(predictor(full), split, config.variants, whole, height, told)
    if not _alike(reports, {variant: evaluate.summary(confusion) for variant, confusion in exact.items()}):
        kept, stored_as = full, predictor(full)
        reports = score("val, not rounded")
    content = to_safetensors(kept, {"format": "pt"})
    at_best = {"best": score("val, best quality", best=True)} if best else {}

    card = weights.Card(
        format=weights.FORMAT,
        name=name,
        architecture=config.arch,
        variants=list(config.variants),
        classes=list(labels.NAMES),
        mean=list(preprocess.MEAN),
        std=list(preprocess.STD),
        working_height=height,
        working_rule=stored_as.rule,
        heights_tried=tried,
        encoder=stored["start"],
        parent=stored.get("lineage"),
        command=stored["command"],
        config=config.to_json() | {"behavior": stored.get("behavior", 1)},
        hours=round(state["seconds"] / 3600, 2),
        photos=state["step"] * config.batch_size,
        data=state["digests"],
        decoder_version=stored["decoder_version"],
        metrics={"split": "val", "images": len(split), "digest": split.digest, "variants": reports} | at_best,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=sum(
            v.numel() for k, v in full.items() if not k.endswith(("running_mean", "running_var", "num_batches_tracked"))
        ),
        licence=licence(state["digests"], stored.get("lineage")),
    )
    registry.mkdir(parents=True, exist_ok=True)
    holding = Path(tempfile.mkdtemp(dir=registry, prefix=".publishing-"))
    try:
        (holding / weights.FILE).write_bytes(content)
        (holding / weights.CARD).write_bytes(weights.to_json(card))
        holding.chmod(0o755)
        holding.rename(final)
    except OSError:
        if final.exists():
            raise PublishError(f"{final} was published by another meanwhile. Choose another name, or remove it first.") from None
        raise
    finally:
        shutil.rmtree(holding, ignore_errors=True)
    return card


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether no score of a variant differs by more than `TOLERANCE`."""
    keys = ("pixel_accuracy", "mean_accuracy", "mean_iou")
    return all(abs(one[variant][key] - other[variant][key]) <= TOLERANCE for variant in one for key in keys)


def _store(value: Tensor) -> Tensor:
    """Convolutions in float16; batch-norm and biases stay exact, they are few and sensitive."""
    return value.to(torch.float16).contiguous() if value.ndim == 4 else value
