"""Pretrained encoder parameters: from ImageNet, from a safetensors file, or none."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from seg.errors import StreetFCNError
from seg.models.encoder import DISPLAY_NAMES, Backbone, ResNetVersion

CREDITS = {"lxd-cumt/ABM-SpConv": ("ImageNet, pruned 8-bit ResNet-50 (lxd-cumt/ABM-SpConv)", "MIT")}
"""Full source and licence of public repositories whose encoder files only contain the repository's name."""


class PretrainedWeightsError(StreetFCNError, ValueError):
    """Pretrained parameters that cannot be used; the message says why and how to fix it."""


@dataclass(frozen=True)
class PretrainedEncoder:
    """The origin of an encoder's parameters before training."""

    name: str  # "imagenet", "none" or the file's name
    strides: ResNetVersion = "v1.5"
    source: str = "random"
    licence: str = "none"


def with_credits(pretrained: PretrainedEncoder) -> PretrainedEncoder:
    """Return a copy with the full source and licence if `CREDITS` lists the source."""
    source, licence = CREDITS.get(pretrained.source, (pretrained.source, pretrained.licence))
    return replace(pretrained, source=source, licence=licence)


def describe_pretrained(name: str, backbone: Backbone = "resnet50") -> PretrainedEncoder:
    """Describe pretrained parameters without loading them.

    Args:
        name: ``imagenet``, ``none`` or the path of a safetensors file.
        backbone: the encoder.

    Raises:
        PretrainedWeightsError: if the file is missing, is not a safetensors file, or names an unknown ResNet
            version.
    """
    if name == "none":
        return PretrainedEncoder("none")
    if name == "imagenet":
        source = f"segmentation-models-pytorch's ImageNet {DISPLAY_NAMES[backbone]} (torchvision)"
        return PretrainedEncoder("imagenet", source=source, licence="BSD-3-Clause")
    metadata = _open(Path(name)).metadata() or {}
    strides = metadata.get("strides", "v1.5")
    if strides not in ("v1", "v1.5"):
        raise PretrainedWeightsError(
            f'The metadata of {name} has the strides "{strides}"; only "v1" and "v1.5" exist.'
        )
    source, licence = metadata.get("source", "unknown"), metadata.get("licence", "see its source")
    return with_credits(PretrainedEncoder(Path(name).name, strides, source, licence))


def load_pretrained(net: nn.Module, name: str, backbone: Backbone = "resnet50") -> str:
    """Load pretrained parameters into a backbone, in place.

    Args:
        net: the backbone; its ResNet version must be that of `describe_pretrained`.
        name: ``imagenet``, ``none`` or the path of a safetensors file.
        backbone: the encoder.

    Returns:
        A log line that says what was copied and dropped.

    Raises:
        PretrainedWeightsError: if tensors do not fit (the message names the first), if the file cannot be
            read, or if the download failed.
    """
    if name == "none":
        return "encoder: parameters are random"
    if name == "imagenet":
        state = _imagenet(backbone)
        net.load_state_dict(state, strict=True)
        return f"encoder: {len(state)} tensors copied from ImageNet"
    with _open(Path(name)) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}
    own_state = net.state_dict()
    # torchvision's checkpoints contain a classifier, which the encoder lacks, and may lack batch-norm's
    # counters
    dropped = [key for key in state if key.startswith(("fc.", "classifier."))]
    missing_counters = [key for key in own_state if key.endswith("num_batches_tracked") and key not in state]
    copied = {k: v.float() if v.is_floating_point() else v for k, v in state.items() if k not in dropped}
    state = copied | {key: own_state[key] for key in missing_counters}
    mismatches = _mismatches(state, own_state)
    if mismatches:
        more = f" (and {len(mismatches) - 3} more)" if len(mismatches) > 3 else ""
        raise PretrainedWeightsError(
            f"{name} does not contain {DISPLAY_NAMES[backbone]} with torchvision's tensor names: "
            f"{'; '.join(mismatches[:3])}{more}."
        )
    net.load_state_dict(state, strict=True)
    summary = f"encoder: {len(copied)} tensors copied from {name}"
    summary += f"; dropped {', '.join(dropped)}" if dropped else ""
    return summary + (f"; {len(missing_counters)} batch counters start at 0" if missing_counters else "")


def _mismatches(state: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    mismatches = [f"{key} is missing" for key in expected if key not in state]
    mismatches += [f"{key} is unknown" for key in state if key not in expected]
    mismatches += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    return mismatches


def _open(path: Path) -> Any:
    if not path.is_file():
        raise PretrainedWeightsError(
            f'There is no file {path}. Choose "imagenet", "none" or a safetensors file of the encoder.'
        )
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise PretrainedWeightsError(f"{path} is not a safetensors file ({error}).") from None


def _imagenet(backbone: Backbone) -> dict[str, Tensor]:
    from segmentation_models_pytorch.encoders import get_encoder

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # otherwise it logs every retry
    try:
        return get_encoder(backbone, weights="imagenet").state_dict()
    except Exception as error:  # the hub's client raises many unrelated kinds
        raise PretrainedWeightsError(
            "The ImageNet weights could not be downloaded from the Hugging Face hub "
            f"({type(error).__name__}). Connect to the internet, "
            "or give --encoder-weights a local safetensors file, or none."
        ) from error
