"""Distillation: a network learns the probabilities of published weights beside the labels.

Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network".
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seg.data.classes import ClassSet
from seg.models.registry import load_weights, read_card
from seg.training.config import TrainError


def describe_teacher(name: str) -> dict[str, Any] | None:
    """Return name, sha256 and licence of a teacher, for config.json; None without a teacher.

    Args:
        name: the name of published weights, or an empty string.

    Raises:
        WeightsError: if there are no such weights.
    """
    if not name:
        return None
    card = read_card(name)
    return {"name": name, "sha256": card.sha256, "licence": card.licence}


class Teacher:
    """Published weights in evaluation mode, and the loss of a network that differs from them.

    Args:
        described: what `describe_teacher` returned when the run was created.
        variants: those of the network that learns. classes: its classes.
        device: the training device.

    Raises:
        TrainError: if the weights are no longer the same, or have other classes.
        WeightsError: if they cannot be used.
    """

    def __init__(
        self, described: dict[str, Any], variants: tuple[str, ...], classes: ClassSet, device: torch.device
    ) -> None:
        model, card = load_weights(described["name"])
        if card.sha256 != described["sha256"]:
            raise TrainError(
                f"The weights {card.name} have changed since this run started. Restore them, or start a new"
                " run."
            )
        if card.class_set.names != classes.names:
            raise TrainError(
                f"The teacher {card.name} has other classes than the data. Choose weights that were trained"
                " on these classes."
            )
        self.model = model.to(device).to(memory_format=torch.channels_last).requires_grad_(False)
        # the last variant is the finest
        self._variant_of = {v: v if v in card.variants else card.variants[-1] for v in variants}

    def log_probabilities(self, image: Tensor) -> dict[str, Tensor]:
        """Return the N x K x H x W log-probabilities that each variant of the network learns."""
        with torch.no_grad():
            logits = self.model(image, sorted(set(self._variant_of.values())))
            known = {variant: values.log_softmax(1) for variant, values in logits.items()}
        return {variant: known[of_teacher] for variant, of_teacher in self._variant_of.items()}


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of a variant from its teacher, as a mean over all pixels.

    Args:
        logits: N x K x H x W.
        target: the log-probabilities of the teacher.

    Returns:
        A scalar tensor.
    """
    summed = F.kl_div(logits.log_softmax(1), target, reduction="sum", log_target=True)
    return summed / logits[:, 0].numel()
