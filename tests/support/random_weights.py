"""Published weights with random parameters, of any architecture."""

import dataclasses
import hashlib
from pathlib import Path

import torch
from safetensors.torch import save

from seg.data import cityscapes
from seg.models.factory import ARCHITECTURES, Architecture, create_model
from seg.models.model_card import ModelCard, to_json
from seg.models.registry import CARD_FILE, WEIGHTS_FILE


def write_weights(folder: Path, name: str, architecture: Architecture, template: ModelCard) -> None:
    """Writes weights into a registry; their card is that of `template` otherwise.

    The parameters are the same each time, and the scores of the classes differ.
    """
    variants = ARCHITECTURES[architecture].variants
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create_model(architecture, variants=variants, strides="v1")
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d) and layer.out_channels == len(cityscapes.CLASSES):
                torch.nn.init.normal_(layer.weight, std=0.02)
    content = save(
        {
            key: value.half() if value.is_floating_point() else value
            for key, value in model.state_dict().items()
        }
    )
    card = dataclasses.replace(
        template,
        name=name,
        architecture=architecture,
        variants=list(variants),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    (folder / name).mkdir(parents=True)
    (folder / name / WEIGHTS_FILE).write_bytes(content)
    (folder / name / CARD_FILE).write_bytes(to_json(card))
