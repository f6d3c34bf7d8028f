"""The tensors inside a U-Net for one photo, and its masks without some of its skip connections.

Source: Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seg.data import preprocess
from seg.inference.predictor import Predictor
from seg.interpretability.activations import InspectionError, mask_of
from seg.models.base import pad_to_multiple
from seg.models.baselines import UNet

ENCODER_STRIDES = (2, 4, 8, 16, 32)
DECODER_STRIDES = (16, 8, 4, 2, 1)
"""Strides of the decoder's blocks in their order; each upsamples twice."""

SKIP_STRIDES = (16, 8, 4, 2)
"""Strides of the features that the decoder concatenates."""

SCORE_STEP = 4
"""The stored scores are those of every fourth row and column."""

Skips = tuple[int, ...]
"""Strides of skip connections."""


@dataclass(frozen=True)
class UNetActivations:
    """What a U-Net computes for one photo.

    Attributes:
        size: height and width of the working image, before it is padded to a multiple of 32.
        activity: by stride s of the encoder, the mean of the features over their channels, H/s x W/s float32.
        channels: by stride of the encoder, the number of features.
        decoder_activity: as `activity`, of the decoder.
        decoder_channels: as `channels`, of the decoder.
        scores: K x h x w, the class scores of every `SCORE_STEP`-th row and column.
        masks: H x W train ids by the skip connections that are left out: none, each one, and all.
        most_affected: row and column of the pixel at which the skip connections have the largest effect.
    """

    size: tuple[int, int]
    activity: dict[int, np.ndarray]
    channels: dict[int, int]
    decoder_activity: dict[int, np.ndarray]
    decoder_channels: dict[int, int]
    scores: Tensor
    masks: dict[Skips, np.ndarray]
    most_affected: tuple[int, int]


def unet_of(predictor: Predictor) -> UNet:
    """Return the U-Net of a predictor.

    Raises:
        InspectionError: if it is another network.
    """
    if not isinstance(predictor.model, UNet):
        raise InspectionError("These weights are not a U-Net. Choose others.")
    return predictor.model


@torch.inference_mode()
def compute_unet_activations(
    predictor: Predictor, photo: Image.Image, working_height: int | None = None
) -> UNetActivations:
    """Run a photo through a U-Net, once with all skip connections and once without each and all of them.

    Args:
        predictor: a predictor of a U-Net.
        photo: an RGB photo.
        working_height: height in pixels of the working image; by default the predictor's.

    Raises:
        InspectionError: if the network is not a U-Net.
    """
    model, size = unet_of(predictor), predictor.working_size(photo, working_height)
    image = preprocess.to_image(photo, size, predictor.device)
    blocks: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda module, inputs, output: blocks.append(output))
        for block in model.net.decoder.blocks
    ]
    with torch.autocast(predictor.device.type, torch.bfloat16, enabled=predictor.bf16):
        features = model.encoder(pad_to_multiple(image))
        try:
            logits = _logits(model, features)
        finally:
            for hook in hooks:
                hook.remove()
        masks: dict[Skips, np.ndarray] = {(): mask_of(logits, size)}
        for left_out in (*((stride,) for stride in SKIP_STRIDES), SKIP_STRIDES):
            masks[left_out] = mask_of(_logits(model, features, left_out), size)
    _, *stages = features  # the first is the image itself
    return UNetActivations(
        size=size,
        activity=_means(ENCODER_STRIDES, stages),
        channels={stride: f.shape[1] for stride, f in zip(ENCODER_STRIDES, stages, strict=True)},
        decoder_activity=_means(DECODER_STRIDES, blocks),
        decoder_channels={stride: f.shape[1] for stride, f in zip(DECODER_STRIDES, blocks, strict=True)},
        scores=logits[:, : size[0] : SCORE_STEP, : size[1] : SCORE_STEP].clone(),
        masks=masks,
        most_affected=_most_affected(logits[:, : size[0], : size[1]], masks[SKIP_STRIDES]),
    )


def _logits(model: UNet, features: Sequence[Tensor], left_out: Skips = ()) -> Tensor:
    """Return the K x H x W logits, with zeros in place of the features at some strides."""
    strides = (1, *ENCODER_STRIDES)
    kept = [
        torch.zeros_like(f) if stride in left_out else f for stride, f in zip(strides, features, strict=True)
    ]
    return model.decode(kept)["unet"][0].cpu()


def _means(strides: Sequence[int], features: Sequence[Tensor]) -> dict[int, np.ndarray]:
    return {stride: f[0].float().mean(0).cpu().numpy() for stride, f in zip(strides, features, strict=True)}


def _most_affected(logits: Tensor, without_skips: np.ndarray) -> tuple[int, int]:
    """Return the pixel whose logit exceeds that of its class without skip connections by the most; the center
    if they change no pixel."""
    other = logits.gather(0, torch.from_numpy(without_skips)[None].long())[0]
    lead = logits.max(0).values - other
    height, width = lead.shape
    largest = int(lead.argmax())
    return divmod(largest, width) if lead.flatten()[largest] > 0 else (height // 2, width // 2)
