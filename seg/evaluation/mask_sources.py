"""What can be compared: published weights, a folder of masks, or the ONNX file of another network.

`open_source` finds out which of them a text names.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from seg.data.classes import ClassSet
from seg.data.datasets import check_classes
from seg.data.decode_cache import DecodedSplit
from seg.errors import StreetFCNError
from seg.evaluation.evaluate import EVALUATION_VERSION
from seg.evaluation.mask_folder import MaskFolder
from seg.inference.device import Device
from seg.inference.foreign_model import ForeignModel
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard
from seg.models.registry import list_weights, read_card

Kind = Literal["weights", "folder", "onnx"]


class SourceError(StreetFCNError, ValueError):
    """A text that names nothing that can be compared; the message says why."""


class MaskSource(Protocol):
    """Where masks come from.

    Attributes:
        text: what `open_source` opens; the path is absolute.
        title: name for tables and plots.
        kind: what it is.
        fingerprint: hash that changes if the masks may change.
        makes_masks: whether it computes its masks, so that they can be timed.
    """

    text: str
    title: str
    kind: Kind
    makes_masks: bool

    @property
    def fingerprint(self) -> str:
        """Hash that changes if the masks may change."""

    def check(self, split: DecodedSplit, count: int) -> None:
        """Check that the first `count` photos of a split can be compared.

        Raises:
            StreetFCNError: if they cannot.
        """

    def notes(self, classes: ClassSet) -> list[str]:
        """Return sentences that readers of the results need."""

    def mask(self, split: DecodedSplit, index: int) -> np.ndarray:
        """Return the mask of a photo at the size of its label; `IGNORE` where it has none of the classes.

        Raises:
            StreetFCNError: if it cannot be read or computed.
        """


class WeightsSource:
    """A variant of published weights.

    Args:
        card: the card of the weights.
        variant: the variant.
        device: where it is computed.
    """

    kind: Kind = "weights"
    makes_masks = True

    def __init__(self, card: ModelCard, variant: str, device: Device = "auto") -> None:
        self.text = f"{card.name}:{variant}"
        self.card, self.variant, self._device = card, variant, device
        self.title = f"{DISPLAY_NAMES[variant]} ({card.name})"
        self.fingerprint = f"{card.sha256} {variant} {EVALUATION_VERSION}"

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor.from_pretrained(self.card.name, self._device, precision="fp32")

    def check(self, split: DecodedSplit, count: int) -> None:
        check_classes(self.card.class_set, split, self.card.name)

    def notes(self, classes: ClassSet) -> list[str]:
        return []

    def mask(self, split: DecodedSplit, index: int) -> np.ndarray:
        size, aspect = split.label(index).shape, split.scene_aspect
        masks = self._predictor.predict_masks(split.photo(index), [self.variant], [size], aspect=aspect)
        return masks[self.variant][0][0]


class FolderSource:
    """A folder of masks."""

    kind: Kind = "folder"
    makes_masks = False

    def __init__(self, text: str, folder: MaskFolder) -> None:
        self.text, self._folder, self.title = text, folder, folder.title

    @property
    def fingerprint(self) -> str:
        return self._folder.fingerprint

    def check(self, split: DecodedSplit, count: int) -> None:
        self._folder.check(split, count)

    def notes(self, classes: ClassSet) -> list[str]:
        return []

    def mask(self, split: DecodedSplit, index: int) -> np.ndarray:
        return self._folder.mask(split.files[index].stem, split.label(index).shape, split.classes)


class ForeignSource:
    """An ONNX file with a description."""

    kind: Kind = "onnx"
    makes_masks = True

    def __init__(self, text: str, model: ForeignModel) -> None:
        self.text, self._model, self.title = text, model, model.title

    @property
    def fingerprint(self) -> str:
        return self._model.fingerprint

    def check(self, split: DecodedSplit, count: int) -> None:
        self._model.table_to(split.classes)

    def notes(self, classes: ClassSet) -> list[str]:
        known = self._model.description.classes
        lacking = [name for name in classes.names if name not in known]
        others = [name for name in known if name not in classes.train_id]
        notes = []
        if lacking:
            notes.append(
                f"{self.title} does not predict these classes, so their IoU is 0: {', '.join(lacking)}."
            )
        if others:
            notes.append(
                f"{self.title} also predicts classes that the data lacks; these pixels count as wrong."
            )
        return notes

    def mask(self, split: DecodedSplit, index: int) -> np.ndarray:
        return self._model.mask(split.photo(index), split.label(index).shape, split.classes)


def open_source(text: str, device: Device = "auto") -> MaskSource:
    """Open what a text names.

    Args:
        text: a name of weights, perhaps followed by ``:VARIANT``, by default the finest; a folder of masks,
            likewise; or an ONNX file or its description.
        device: where weights are computed.

    Raises:
        StreetFCNError: if there is no such thing, or it cannot be used.
    """
    name, _, variant = text.rpartition(":") if ":" in text else (text, "", "")
    if name in list_weights():
        card = read_card(name)
        if variant and variant not in card.variants:
            raise SourceError(f"{name} has no variant {variant}; it has {', '.join(card.variants)}.")
        return WeightsSource(card, variant or card.variants[-1], device)
    if text.endswith((".onnx", ".json")):
        if not Path(text).is_file():
            raise SourceError(f"There is no file {text}.")
        file = Path(text).absolute()
        return ForeignSource(str(file), ForeignModel(file))
    if Path(text).is_dir():
        return FolderSource(str(Path(text).absolute()), MaskFolder(Path(text)))
    if variant and Path(name).is_dir():
        return FolderSource(f"{Path(name).absolute()}:{variant}", MaskFolder(Path(name), variant))
    known = ", ".join(list_weights()) or "none"
    raise SourceError(
        f"{text} is neither published weights ({known}) nor a folder of masks nor an ONNX file with a"
        " description."
    )
