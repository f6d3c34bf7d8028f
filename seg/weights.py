"""The registry of published weights: ``weights/NAME/model.safetensors`` and the card that says what they are.

Cards are written by `publish`, never by hand; a file that its card does not match is refused. No pickle is ever read.
"""

import hashlib
import json
import os
import re
import types
import typing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from seg.encoder import Start
from seg.labels import CATEGORIES, NAMES
from seg.networks import ARCHITECTURES, Architecture, Network, build
from seg.preprocess import MEAN, STD, Rule

FOLDER = Path(os.environ.get("SEG_WEIGHTS", Path(__file__).parent.parent / "weights"))
"""The registry; ``SEG_WEIGHTS`` moves it."""
DEFAULT = "fcn-resnet50-cityscapes"
FORMAT = 2
LARGEST_CARD = 16 * 2**20
"""Characters; a longer one is cut off, and so not JSON."""
FILE, CARD = "model.safetensors", "card.json"


class WeightsError(ValueError):
    """Weights that cannot be used; the message says why and what to do."""


Number = float | None
Size = TypedDict("Size", {"from": int, "below": int | None, "segments": int, "iou": Number})
Bin = TypedDict("Bin", {"from": float, "to": float, "pixels": int, "confidence": float, "accuracy": float})


class Report(TypedDict):
    """What `evaluate.report` says of one variant."""

    pixel_accuracy: Number
    mean_accuracy: Number
    mean_iou: Number
    frequency_weighted_iou: Number
    iou: dict[str, Number]
    category_iou: dict[str, Number]
    confusion: list[list[int]]
    intervals: dict[str, list[float]]
    boundary_iou: Number
    boundary_iou_by_class: dict[str, Number]
    by_size: list[Size]
    calibration_error: NotRequired[Number]
    calibration: NotRequired[list[Bin]]


class Metrics(TypedDict):
    """What a card says of scores; nothing where the weights were not scored."""

    split: str
    images: int
    digest: str
    variants: dict[str, Report]
    best: NotRequired[dict[str, Report]]


SCORED = ("variants", "best")


@dataclass(frozen=True)
class Card:
    """All that is known of published weights; card.json holds exactly these keys."""

    format: int
    name: str
    architecture: Architecture
    variants: list[str]
    classes: list[str]
    mean: list[float]
    std: list[float]
    working_height: int  # pixels; the height at which a 2:1 photo goes through the network
    working_rule: Rule  # what that means for other photos
    heights_tried: dict[str, dict[str, float]]  # mean IoU by height and variant on pairs held out of train, to choose by
    encoder: dict[str, Any]  # `encoder.Start`: name, strides, source, licence
    parent: dict[str, Any] | None  # what the training went on from: `recipe.Lineage`
    command: str  # the literal training command
    config: dict[str, Any]  # all of the training's settings
    hours: float  # of training, on one machine, without the parent's
    photos: int  # views that the training saw, without the parent's
    data: dict[str, str]  # what it was trained on -> digest
    decoder_version: int
    metrics: dict[str, Any]  # `Metrics`: what `evaluate` printed of this very file
    sha256: str
    bytes: int
    parameters: int
    licence: str


def names(folder: Path = FOLDER) -> list[str]:
    """The names of all published weights."""
    return sorted(path.parent.name for path in folder.glob(f"*/{CARD}") if not path.parent.name.startswith("."))


def check_name(name: str) -> None:
    """Raises `WeightsError` for a name that could lead out of the registry."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise WeightsError(f'"{name}" is no name of weights: letters, digits, dots, dashes and underscores only.')


def read_card(name: str, folder: Path = FOLDER) -> Card:
    """Raises `WeightsError` where there is none, or where keys are missing, unknown or of the wrong kind."""
    check_name(name)
    path = folder / name / CARD
    try:
        with path.open() as file:
            values = json.loads(file.read(LARGEST_CARD))
    except FileNotFoundError:
        known = ", ".join(names(folder)) or "none yet"
        raise WeightsError(f'There are no weights named "{name}". Published here: {known}.') from None
    except (OSError, ValueError, RecursionError):
        raise WeightsError(f"The card of {name} is damaged: it is not JSON. Restore {path}.") from None
    if not isinstance(values, dict):
        raise WeightsError(f"The card of {name} is damaged: it is no object. Restore {path}.")
    if values.get("format") != FORMAT:
        found = values.get("format")
        newer = isinstance(found, int) and found > FORMAT
        advice = "Update Street FCN." if newer else "Publish the weights again."
        raise WeightsError(f"The card of {name} has format {found}; this version reads format {FORMAT}. {advice}")
    wanted = typing.get_type_hints(Card)
    missing, unknown = sorted(wanted.keys() - values.keys()), sorted(values.keys() - wanted.keys())
    if missing or unknown:
        parts = [f"it lacks {', '.join(missing)}"] * bool(missing) + [f"{', '.join(unknown)} is unknown"] * bool(unknown)
        raise WeightsError(f"The card of {name} is refused: {' and '.join(parts)}. Publish the weights again.")
    wrong = [key for key, kind in wanted.items() if not _fits(values[key], kind)]
    if wrong:
        raise WeightsError(
            f"The card of {name} is refused: the value of {wrong[0]} is of the wrong kind. Publish the weights again."
        )
    card = Card(**values)
    if card.name != name:
        raise WeightsError(f"The card in {folder / name} is that of {card.name}.")
    if tuple(card.classes) != NAMES or not card.variants:
        raise WeightsError(f"The card of {name} is refused: its classes are not those of this version.")
    kind = ARCHITECTURES.get(card.architecture)
    if kind is None or not all(variant in kind.variants for variant in card.variants):
        raise WeightsError(f"The card of {name} is refused: its architecture or variants are not those of this version.")
    if (tuple(card.mean), tuple(card.std)) != (MEAN, STD):
        raise WeightsError(f"The card of {name} is refused: its preprocessing is not that of this version.")
    if not 32 <= card.working_height <= 2048:
        raise WeightsError(f"The card of {name} is refused: its working height is not from 32 to 2048.")
    if card.working_rule not in typing.get_args(Rule):
        raise WeightsError(f"The card of {name} is refused: its working rule is not one of this version.")
    if (
        card.encoder.keys() != Start.__annotations__.keys()
        or card.encoder["strides"] not in ("v1", "v1.5")
        or not all(isinstance(said, str) for said in card.encoder.values())
    ):
        raise WeightsError(f"The card of {name} is refused: its encoder is not described as this version does. Publish it again.")
    if card.metrics and not (_fits(card.metrics, Metrics) and all(_complete(card, card.metrics.get(k, {})) for k in SCORED)):
        raise WeightsError(f"The card of {name} is refused: its scores are not as this version has them. Publish it again.")
    return card


def verify(name: str, folder: Path = FOLDER) -> Card:
    """Reads the card and checks the file against its hash. Raises `WeightsError`."""
    return _read(name, folder)[0]


def load(name: str, folder: Path = FOLDER) -> tuple[Network, Card]:
    """The network with the published parameters in fp32, and its card. Raises `WeightsError`."""
    card, content = _read(name, folder)
    model = build(card.architecture, len(card.classes), card.variants, Start(**card.encoder).strides)
    try:
        state = load_tensors(content)
        model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
        wild = [key for key, value in state.items() if not value.isfinite().all()]
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"The parameters of {name} do not fit its card: {str(error).splitlines()[0]}") from None
    if wild:
        raise WeightsError(f"The parameters of {name} are of no use: {wild[0]} holds what is no finite number. Train again.")
    return model.eval(), card


def to_json(card: Card) -> bytes:
    """The card as it is stored."""
    return (json.dumps(asdict(card), indent=1) + "\n").encode()


def _fits(value: Any, kind: Any) -> bool:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin is typing.Literal:
        return isinstance(value, str)  # which words this version knows, `read_card` says in words of its own
    if isinstance(kind, types.UnionType):
        return any(_fits(value, each) for each in parts)
    if origin is list:
        return isinstance(value, list) and all(_fits(each, parts[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, parts[1]) for each in value.values())
    if typing.is_typeddict(kind):
        wanted = typing.get_type_hints(kind)
        return isinstance(value, dict) and kind.__required_keys__ <= value.keys() and all(
            _fits(each, wanted.get(key, Any)) for key, each in value.items()
        )  # fmt: skip
    return isinstance(value, (float, int) if kind is float else kind)


def _complete(card: Card, reports: dict[str, Report]) -> bool:
    """Whether the reports are of variants of the card, and lack no class."""
    return reports.keys() <= set(card.variants) and all(
        report["iou"].keys() == report["boundary_iou_by_class"].keys() == set(NAMES)
        and report["category_iou"].keys() == set(CATEGORIES)
        and {len(row) for row in report["confusion"]} == {len(report["confusion"])} == {len(NAMES)}
        and report["intervals"].keys() >= {"pixel_accuracy", "mean_accuracy", "mean_iou"}
        and all(len(ends) == 2 for ends in report["intervals"].values())
        for report in reports.values()
    )


def _read(name: str, folder: Path) -> tuple[Card, bytes]:
    # hashed and parsed from one reading, so that a file that changes in between cannot slip through
    card = read_card(name, folder)
    path = folder / name / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"The weights file {path} cannot be read ({error.strerror}). Restore it, for example with git."
        ) from None
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise WeightsError(f"{path} is not the file that its card describes: the hash differs. Restore it, for example with git.")
    return card, content
