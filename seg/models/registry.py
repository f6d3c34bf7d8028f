"""The registry of published weights, ``weights/NAME/model.safetensors`` with ``card.json`` beside it.

`list_weights` names them, `load_weights` loads a network. `publish` writes the cards. Files that differ from
the hash on their card are refused, and pickles are never read.
"""

import hashlib
import json
import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from seg import paths
from seg.models.factory import SegmentationModel, create_model
from seg.models.model_card import MAX_CARD_BYTES, ModelCard, WeightsError, parse_card
from seg.models.pretrained import PretrainedEncoder
from seg.system.file_names import is_system_file

METHODS = ("unet-resnet50-cityscapes", "fcn-vgg16-cityscapes", "fcn-resnet50-cityscapes")
"""The weights in the repository, one for each of the three methods."""

DEFAULT_WEIGHTS = METHODS[-1]
WEIGHTS_FILE, CARD_FILE = "model.safetensors", "card.json"


def list_weights(folder: Path | None = None) -> list[str]:
    """List the names of all published weights, sorted.

    Args:
        folder: the registry; by default all of `paths.registries()`.
    """
    cards = [card for registry in _registries(folder) for card in registry.glob(f"*/{CARD_FILE}")]
    return sorted({path.parent.name for path in cards if not is_system_file(path.parent.name)})


def no_weights_message() -> str:
    """Return why there are no weights, and what to do."""
    folder, is_moved = paths.weights(), paths.is_moved("SEG_WEIGHTS")
    if is_moved and not folder.is_dir():
        return (
            f"There is no folder {folder}, which SEG_WEIGHTS names. Correct the variable, or unset it to use"
            " the shipped weights."
        )
    advice = "unset SEG_WEIGHTS to use the shipped ones" if is_moved else "restore the shipped ones with git"
    publish = "Publish a run (python -m seg publish RUN --name NAME)"
    return f"There are no weights in {folder}. {publish}, or {advice}."


def how_to_get(name: str) -> str:
    """Return how to get weights of `METHODS` that an installed package lacks: it has the FCN family only."""
    return f"Copy the folder weights/{name} of the project's repository to {paths.weights().absolute()}."


def check_weights_name(name: str) -> None:
    """Check a name before it becomes part of a path.

    Raises:
        WeightsError: if the name could lead out of the registry.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise WeightsError(
            f'"{name}" is not a valid name of weights: use the letters a to z, digits, dots, dashes and'
            " underscores only."
        )


def read_card(name: str, folder: Path | None = None) -> ModelCard:
    """Read the card of published weights.

    Args:
        name: a name from `list_weights`.
        folder: the registry; by default all of `paths.registries()`.

    Raises:
        WeightsError: if the card does not exist, is damaged or belongs to another version.
    """
    check_weights_name(name)
    path = _folder_of(name, folder) / CARD_FILE
    try:
        with path.open() as file:
            values = json.loads(file.read(MAX_CARD_BYTES))
    except FileNotFoundError:
        if folder is None and name in METHODS:
            raise WeightsError(f"The weights {name} are not here. {how_to_get(name)}") from None
        known = ", ".join(list_weights(folder)) or (folder and "none yet")
        advice = f"Published here: {known}." if known else no_weights_message()
        raise WeightsError(f'There are no weights named "{name}". {advice}') from None
    except (OSError, ValueError, RecursionError):
        raise WeightsError(f"The card of {name} is damaged: it is not JSON. Restore {path}.") from None
    card = parse_card(values, name)
    if card.name != name:
        raise WeightsError(
            f"The card in {path.parent} is that of {card.name}. Rename the folder or restore {path}."
        )
    return card


def verify_weights(name: str, folder: Path | None = None) -> ModelCard:
    """Check the weights file against the hash on its card.

    Returns:
        The card.

    Raises:
        WeightsError: if the card or the file is missing or damaged, or the file does not match the card.
    """
    return _read_verified(name, folder)[0]


def load_weights(name: str, folder: Path | None = None) -> tuple[SegmentationModel, ModelCard]:
    """Load a network with its published parameters.

    Args:
        name: a name from `list_weights`.
        folder: the registry; by default all of `paths.registries()`.

    Returns:
        The network in fp32 and evaluation mode, and its card.

    Raises:
        WeightsError: if the card or the file cannot be used.
    """
    card, content = _read_verified(name, folder)
    strides = PretrainedEncoder(**card.encoder).strides
    model = create_model(card.architecture, len(card.classes), card.variants, strides)
    try:
        state = load_tensors(content)
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        not_finite = [key for key, value in state.items() if not value.isfinite().all()]
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"The parameters of {name} do not fit its card: {reason}") from None
    if not_finite:
        raise WeightsError(
            f"The parameters of {name} cannot be used: {not_finite[0]} is not finite. Train again."
        )
    return model.eval(), card


def registry_of(name: str) -> Path:
    """Return the registry of published weights: the first of `paths.registries()` that has their card."""
    return _folder_of(name, None).parent


def _registries(folder: Path | None) -> tuple[Path, ...]:
    return (folder,) if folder else paths.registries()


def _folder_of(name: str, folder: Path | None) -> Path:
    """Return the folder in the first registry that has the card, else the folder where it would be."""
    folders = [registry / name for registry in _registries(folder)]
    return next((path for path in folders if (path / CARD_FILE).exists()), folders[0])


def _read_verified(name: str, folder: Path | None) -> tuple[ModelCard, bytes]:
    # the bytes that are hashed are those that are parsed: a file that changes in between cannot pass
    card = read_card(name, folder)
    path = _folder_of(name, folder) / WEIGHTS_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"The weights file {path} cannot be read ({error.strerror}). Restore it, for example with git."
        ) from None
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise WeightsError(
            f"{path} differs from the file that its card describes. Restore it, for example with git."
        )
    return card, content
