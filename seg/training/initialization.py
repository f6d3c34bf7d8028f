"""Initial weights of a training, copied from published weights or from another run."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from seg.models.registry import load_weights
from seg.training.run import load_tensors


def load_matching_weights(model: nn.Module, init_from: str, log: Callable[[str], None]) -> None:
    """Copy all tensors whose name and shape match into a model.

    Args:
        model: the model; its other tensors keep their values.
        init_from: the name of published weights, or the folder of a finished run.
        log: called with a line for every tensor, copied, new or dropped, and a summary.

    Raises:
        RunError: if the run's file is damaged.
        WeightsError: if the weights cannot be used.
    """
    file = Path(init_from) / "model.safetensors"
    source = load_tensors(file) if file.is_file() else load_weights(init_from)[0].state_dict()
    target = model.state_dict()
    copied = {
        key: value for key, value in source.items() if key in target and target[key].shape == value.shape
    }
    model.load_state_dict(target | copied)
    for key, value in target.items():
        log(f"{'copied' if key in copied else 'new':7} {key} {tuple(value.shape)}")
    dropped = [key for key in source if key not in copied]
    for key in dropped:
        log(f"dropped {key} {tuple(source[key].shape)}")
    log(f"{init_from}: {len(copied)} tensors copied, {len(target) - len(copied)} new, {len(dropped)} dropped")
