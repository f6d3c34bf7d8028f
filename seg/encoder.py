"""Features of ResNet-50 and VGG-16 from segmentation-models-pytorch, and the start they are trained from.

Sources: He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition"; Simonyan, Zisserman 2015, "Very Deep
Convolutional Networks for Large-Scale Image Recognition". Knows nothing of scores or classes.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

Backbone = Literal["resnet50", "vgg16"]
TITLES: dict[Backbone, str] = {"resnet50": "ResNet-50", "vgg16": "VGG-16"}

Strides = Literal["v1", "v1.5"]
"""Where the first block of a stage halves its input: on its first 1x1 convolution (v1, He et al. 2015) or on its 3x3 (v1.5)."""


class StartError(ValueError):
    """An encoder start that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Start:
    """What an encoder's parameters are before training."""

    name: str  # "imagenet", "none" or the file's name
    strides: Strides = "v1.5"
    source: str = "random"
    licence: str = "none"


class Encoder(nn.Module):
    """N x 3 x H x W image, both multiples of 32 -> features ``{8: N x C x H/8 x W/8, 16: …, 32: …}``, C as `channels` says.

    ResNet-50 has 512, 1024 and 2048 channels at these strides, VGG-16 without its fully connected layers 512 at each.
    """

    def __init__(self, strides: Strides = "v1.5", backbone: Backbone = "resnet50") -> None:
        super().__init__()
        from segmentation_models_pytorch.encoders import get_encoder  # slow to import, and only needed to build one

        built = get_encoder(backbone, weights=None)
        self.channels: dict[int, int] = dict(zip((8, 16, 32), built.out_channels[3:], strict=True))
        if backbone == "resnet50":
            self.resnet = built
            place_strides(built, strides)
        else:
            self.vgg = built

    @property
    def backbone(self) -> nn.Module:
        """What a start is loaded into."""
        return self.resnet if hasattr(self, "resnet") else self.vgg

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        *_, at8, at16, at32 = self.backbone(image)
        return {8: at8, 16: at16, 32: at32}


def place_strides(resnet: nn.Module, strides: Strides) -> None:
    """Moves the strides of a ResNet built with those of v1.5 to where `strides` has them."""
    if strides == "v1":
        for stage in (2, 3, 4):
            first, second = (resnet.get_submodule(f"layer{stage}.0.conv{n}") for n in (1, 2))
            first.stride, second.stride = second.stride, first.stride


def describe_start(name: str, backbone: Backbone = "resnet50") -> Start:
    """The record of the start ``imagenet``, ``none`` or a safetensors FILE, without loading its tensors.

    Raises `StartError` where the file is missing or is no safetensors file.
    """
    if name == "none":
        return Start("none")
    if name == "imagenet":
        source = f"segmentation-models-pytorch's ImageNet {TITLES[backbone]} (torchvision)"
        return Start("imagenet", source=source, licence="BSD-3-Clause")
    metadata = _open(Path(name)).metadata() or {}
    strides = metadata.get("strides", "v1.5")
    if strides not in ("v1", "v1.5"):
        raise StartError(f'{name} says that its strides are "{strides}"; only "v1" and "v1.5" exist.')
    return Start(Path(name).name, strides, metadata.get("source", "unknown"), metadata.get("licence", "see its source"))


def load_start(net: nn.Module, name: str, backbone: Backbone = "resnet50") -> str:
    """Fills a backbone with the start; its strides must be those of `describe_start`. Returns what was copied and dropped.

    Raises `StartError` naming the first tensors that don't fit, or saying why the download failed.
    """
    if name == "none":
        return "encoder: parameters are random"
    if name == "imagenet":
        state = _imagenet(backbone)
        net.load_state_dict(state, strict=True)
        return f"encoder: {len(state)} tensors copied from ImageNet"
    with _open(Path(name)) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}
    wanted = net.state_dict()
    # torchvision's checkpoints carry a classifier that the encoder has not, and may lack the batch counters of batch-norm
    dropped = [key for key in state if key.startswith(("fc.", "classifier."))]
    kept = [key for key in wanted if key.endswith("num_batches_tracked") and key not in state]
    copied = {k: v.float() if v.is_floating_point() else v for k, v in state.items() if k not in dropped}
    state = copied | {key: wanted[key] for key in kept}
    wrong = [f"{key} is missing" for key in wanted if key not in state]
    wrong += [f"{key} is unknown" for key in state if key not in wanted]
    wrong += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise StartError(f"{name} is no {TITLES[backbone]} in torchvision's names: {'; '.join(wrong[:3])}{more}.")
    net.load_state_dict(state, strict=True)
    words = f"encoder: {len(copied)} tensors copied from {name}"
    words += f"; dropped {', '.join(dropped)}" if dropped else ""
    return words + (f"; {len(kept)} batch counters it lacks begin at 0" if kept else "")


def _open(path: Path):
    if not path.is_file():
        raise StartError(f'There is no file {path}. Give "imagenet", "none" or a safetensors file of the encoder.')
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise StartError(f"{path} is not a safetensors file ({error}).") from None


def _imagenet(backbone: Backbone) -> dict[str, Tensor]:
    from segmentation_models_pytorch.encoders import get_encoder

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # or it tells of every attempt
    try:
        return get_encoder(backbone, weights="imagenet").state_dict()
    except Exception as error:  # the hub's client raises many unrelated kinds
        raise StartError(
            "The ImageNet weights could not be downloaded from the Hugging Face hub "
            f"({type(error).__name__}). Connect to the internet, or give --encoder-weights a local safetensors file, or none."
        ) from error
