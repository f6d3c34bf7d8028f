"""Initial weights of a training, copied from published weights or from another run."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import Class, ClassSet
from seg.models.registry import load_weights
from seg.training.run import Run, RunError, load_tensors


def load_matching_weights(
    model: nn.Module, init_from: str, classes: ClassSet, log: Callable[[str], None]
) -> None:
    """Copy all tensors whose name and shape match into a model, and those of classes by their names.

    Args:
        model: the model; its other tensors keep their values.
        init_from: the name of published weights, or the folder of a finished run.
        classes: the classes of the model.
        log: called with a line for every tensor, copied, new or dropped, and a summary.

    Raises:
        RunError: if the run's file is damaged.
        WeightsError: if the weights cannot be used.
    """
    source, own = _source(init_from)
    target = model.state_dict()
    common, by_class = list(classes.names), set[str]()
    if own.names == classes.names:
        copied = {k: v for k, v in source.items() if k in target and target[k].shape == v.shape}
    else:
        copied = {k: v for k, v in source.items() if k in target and _fits(v, target[k], own, classes)}
        common = [name for name in classes.names if name in own.train_id]
        by_class = {k for k, v in copied.items() if _is_by_class(v, target[k], own, classes)}
        if not common:
            copied = {k: v for k, v in copied.items() if k not in by_class}
            by_class = set()
        copied = {k: _by_class(v, target[k], own, classes) for k, v in copied.items()}
        log(f"classes of the same name: {', '.join(common) or 'none'}")
    model.load_state_dict(target | copied)
    partly = f" for {len(common)} of {len(classes)} classes"
    for key, value in target.items():
        state = "copied" if key in copied else "new"
        log(f"{state:7} {key} {tuple(value.shape)}{partly * (key in by_class)}")
    dropped = [key for key in source if key not in copied]
    for key in dropped:
        log(f"dropped {key} {tuple(source[key].shape)}")
    log(
        f"{init_from}: {len(copied)} tensors copied{f', {len(by_class)} of them{partly}' * bool(by_class)},"
        f" {len(target) - len(copied)} new, {len(dropped)} dropped"
    )


def _source(init_from: str) -> tuple[dict[str, Tensor], ClassSet]:
    """Return the parameters of a run or of published weights, and their classes."""
    file = Path(init_from) / "model.safetensors"
    if file.is_file():
        return load_tensors(file), run_classes(Run(Path(init_from)).config())
    model, card = load_weights(init_from)
    return model.state_dict(), card.class_set


def run_classes(config: dict) -> ClassSet:
    """Return the classes in the config.json of a run; runs of earlier versions have those of Cityscapes.

    Raises:
        RunError: if they are damaged.
    """
    rows = config.get("classes")
    if not rows:
        return CITYSCAPES
    try:
        return ClassSet(tuple(Class(str(name), str(group), (r, g, b)) for name, group, (r, g, b) in rows))
    except (ValueError, TypeError):
        raise RunError("The classes in the run's config.json are damaged. Restore the file.") from None


def _fits(value: Tensor, target: Tensor, own: ClassSet, classes: ClassSet) -> bool:
    """Whether a tensor can be copied as a whole, or by class: then its first axis is that of the classes."""
    if value.shape[1:] != target.shape[1:] or value.ndim != target.ndim:
        return False
    return value.shape[:1] == target.shape[:1] or _is_by_class(value, target, own, classes)


def _is_by_class(value: Tensor, target: Tensor, own: ClassSet, classes: ClassSet) -> bool:
    return value.ndim > 0 and (len(value), len(target)) == (len(own), len(classes))


def _by_class(value: Tensor, target: Tensor, own: ClassSet, classes: ClassSet) -> Tensor:
    """Return the target with the rows of the classes that both have; other tensors are returned whole."""
    if not _is_by_class(value, target, own, classes):
        return value
    copied = torch.clone(target)
    for k, name in enumerate(classes.names):
        if name in own.train_id:
            copied[k] = value[own.train_id[name]]
    return copied
