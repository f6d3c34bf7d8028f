"""A training's recipe: all that its result depends on, and whether it has been trained already.

Knows the settings, what a training goes on from and what it is trained on; trains nothing.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seg import dataset, labels, runs, weights
from seg.checkpoint import Run
from seg.encoder import Start, describe_start
from seg.networks import ARCHITECTURES, Architecture
from seg.predict import Device

BEHAVIOR = 2
"""Goes up when the same settings on the same pairs no longer train the same network."""

FACTS = ("command", "decoder_version", "start", "lineage", "behavior", "created")
"""What a run's config.json holds beside the settings: how it was started, the decoder of its labels, the encoder's `Start`, the
`Lineage` of what it went on from, and the `BEHAVIOR` of the code that began it."""

CITYSCAPES = "Cityscapes terms: research and non-commercial use"
MIT = "MIT: trained on rendered scenes only"


class TrainError(RuntimeError):
    """A training that cannot start or go on; the message says why and what to do."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training depends on: the command line, the run's config.json and the app's form are made from it."""

    data: Path = Path("data/cityscapes-image-pairs")
    """Folder of the pairs: train/1.jpg … and val/1.jpg …"""
    out: Path = Path("runs/fcn")
    """The run's folder, new or empty."""
    arch: Architecture = "fcn-resnet50"
    """What to train: the FCN family, or a rival."""
    variants: tuple[str, ...] = ()
    """Which of an FCN's variants 32s, 16s, 8s to train, as taps of one network; all of them, if none is named."""
    encoder_weights: str = "imagenet"
    """The encoder's start: imagenet (downloaded), none, or a safetensors file of it in torchvision's names."""
    parent: str = ""
    """Go on from these: published weights, or a finished run's folder. What fits is copied; --encoder-weights is not used."""
    mix: tuple[str, ...] = ()
    """Further sets of pairs, as DIR:SHARE: 0.1 adds a tenth as many views as the data has pairs to every epoch."""
    holdout: int = 200
    """How many of the last pairs of train are kept back, to choose settings by."""
    epochs: int = 20
    """How often every pair is seen."""
    batch_size: int = 8
    """Pairs a step."""
    height: int = 256
    """Height of the views in pixels; they are twice as wide."""
    scale: tuple[float, float] = (0.5, 2.0)
    """How much smaller or larger than the photo a view may show things."""
    color: float = 1.0
    """Strength of random light, colour, blur and noise; 0 is none."""
    loss: Literal["cross-entropy", "ohem", "dice"] = "cross-entropy"
    """cross-entropy; ohem: of the hardest pixels only; dice: cross-entropy and Dice."""
    class_weights: float = 0.0
    """Weights classes by (1 / share of pixels) to this power; 0 weights all alike."""
    lr: float = 2e-3
    """Highest learning rate of scores and upsampling (AdamW)."""
    encoder_lr: float = 2e-4
    """Highest learning rate of the encoder."""
    weight_decay: float = 1e-2
    """AdamW's, on convolutions only."""
    schedule: Literal["poly", "cosine"] = "poly"
    """How the learning rate falls to 0: (1 - progress) ** 0.9, or half a cosine."""
    warmup: int = 100
    """Steps over which the learning rate rises from 0."""
    frozen_norm: bool = False
    """Keep batch-norm's means and variances as they were at the start."""
    ema: float = 0.0
    """Decay per step of a running average of all parameters, which is then what is scored and kept; 0: no average."""
    clip: float = 5.0
    """Longest gradient (norm over all parameters)."""
    seed: int = 0
    """Of the order and the views; the same seed gives the same run."""
    device: Device = "auto"
    """auto: the GPU where there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the device computes in it."""
    compile: bool = False
    """Compile the encoder with torch.compile: minutes at the start for faster steps, most of all on a GPU."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        def refuse(wrong: bool, sentence: str) -> None:
            if wrong:
                raise TrainError(sentence)

        kind = ARCHITECTURES[self.arch]
        wrong = [v for v in self.variants if v not in kind.variants]
        refuse(bool(wrong), f"{kind.words} has no variant {', '.join(wrong)}; it comes as {', '.join(kind.variants)}.")
        object.__setattr__(self, "variants", tuple(v for v in kind.variants if not self.variants or v in self.variants))
        refuse(not 0 <= self.ema < 1, "--ema must be from 0 to below 1.")
        refuse(bool(self.parent) and self.encoder_weights != "imagenet", "--parent brings its encoder: drop --encoder-weights.")
        for name in ("epochs", "batch_size", "checkpoint_every"):
            refuse(getattr(self, name) < 1, f"--{name.replace('_', '-')} must be at least 1.")
        for name in ("holdout", "warmup", "color", "class_weights", "weight_decay"):
            refuse(getattr(self, name) < 0, f"--{name.replace('_', '-')} must not be negative.")
        refuse(self.height < 32 or self.height % 32 != 0, "--height must be a multiple of 32.")
        refuse(not 0 < self.scale[0] <= self.scale[1], "--scale must be two positive numbers, the smaller first.")
        refuse(min(self.lr, self.encoder_lr, self.clip) <= 0, "Learning rates and --clip must be above 0.")

    @property
    def sets(self) -> tuple[tuple[Path, float], ...]:
        """The folders of pairs, and how many views of each a pair of the first stands for: the data, then what is mixed in."""
        return (self.data, 1.0), *map(_mix, self.mix)

    def to_json(self) -> dict[str, Any]:
        """As config.json holds it."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=str))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainConfig":
        """The settings in a run's config.json. Raises `TrainError` for what this version does not know."""
        values = {k: v for k, v in values.items() if k not in FACTS}
        unknown = values.keys() - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise TrainError(f"The run's config.json has settings that this version does not know: {', '.join(sorted(unknown))}.")
        made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**made | {"data": Path(made["data"]), "out": Path(made["out"])})


@dataclass(frozen=True)
class Lineage:
    """What a training went on from: published weights or a finished run."""

    name: str
    architecture: Architecture
    sha256: str  # of the file
    command: str
    hours: float
    photos: int
    licence: str
    parent: dict[str, Any] | None  # the Lineage of what that had gone on from


@dataclass(frozen=True)
class Trained:
    """A training of the same recipe, or what it made."""

    kind: Literal["weights", "finished", "unfinished"]
    name: str  # of the weights, or the run's folder


def origin(config: TrainConfig) -> tuple[Start, Lineage | None]:
    """The record of the encoder's start, and that of the parent if there is one.

    Raises `TrainError` for a parent that is not finished or is another network, `StartError`, `WeightsError` or `RunError`.
    """
    if not config.parent:
        return describe_start(config.encoder_weights, ARCHITECTURES[config.arch].backbone), None
    folder = Path(config.parent)
    if not folder.is_dir():
        card = weights.read_card(config.parent)
        start = Start(**card.encoder)
        lineage = Lineage(
            config.parent, card.architecture, card.sha256, card.command, card.hours, card.photos, card.licence, card.parent
        )
    else:
        run, file = Run(folder), folder / "model.safetensors"
        stored = run.config()
        if not file.is_file():
            raise TrainError(f"{folder} is not finished. Go on with it first: python -m seg train --resume {folder}.")
        state = run.state()
        if state is None:
            raise TrainError(
                f"{folder} has no checkpoint, so what it was trained on is not known. Publish and name another parent."
            )
        start = Start(**stored["start"])
        before = stored.get("lineage")
        lineage = Lineage(
            name=config.parent,
            architecture=TrainConfig.from_json(stored).arch,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            command=stored["command"],
            hours=round(state["seconds"] / 3600, 2),
            photos=state["step"] * stored["batch_size"],
            licence=licence(state["digests"], before),
            parent=before,
        )
    fits(config, lineage.architecture)
    return start, lineage


def fits(config: TrainConfig, architecture: Architecture) -> None:
    """Raises `TrainError` for a parent of another architecture."""
    if architecture != config.arch:
        mine, other = ARCHITECTURES[config.arch].words, ARCHITECTURES[architecture].words
        advice = f"Choose --arch {architecture}, or another parent."
        raise TrainError(f"{mine} cannot go on from {config.parent}: that is {other}. {advice}")


def licence(data: Iterable[str], lineage: dict[str, Any] | None) -> str:
    """Under what terms parameters are that were trained on these folders, after what `lineage` says."""
    rendered = all(dataset.is_rendered(Path(folder)) for folder in data)
    return MIT if rendered and (lineage is None or lineage["licence"] == MIT) else CITYSCAPES


def trained(config: TrainConfig, among: Path, registry: Path = weights.FOLDER) -> tuple[Trained, ...]:
    """What was trained by this very recipe: published weights, then finished runs in the folder `among`, then unfinished ones.

    Where a run lies, on which device and how often it saves do not count. Raises as `origin` does, and `DatasetError`.
    """
    if Run(Path(config.parent)).alive():
        return ()  # what it will make is not known yet
    start, lineage = origin(config)
    digests = {str(folder): dataset.digest(dataset.find(folder, "train")) for folder, _ in config.sets}
    parent = dataclasses.asdict(lineage) if lineage else None
    wanted = _key(config.to_json(), digests, dataclasses.asdict(start), parent, BEHAVIOR)
    found = []
    for name in weights.names(registry):
        try:
            card = weights.read_card(name, registry)
        except weights.WeightsError:  # said where weights are listed
            continue
        if card.decoder_version == labels.DECODER_VERSION and wanted == _key(
            card.config, card.data, card.encoder, card.parent, card.config.get("behavior", 1)
        ):
            found.append(Trained("weights", name))
    ended: dict[bool, list[Trained]] = {True: [], False: []}
    for folder in runs.find(among):
        run = Run(folder)
        stored, state = run.config(), run.state()
        if state and stored.get("decoder_version") == labels.DECODER_VERSION:
            if wanted == _key(stored, state["digests"], stored["start"], stored.get("lineage"), stored.get("behavior", 1)):
                whole = (folder / "model.safetensors").is_file()
                ended[whole].append(Trained("finished" if whole else "unfinished", str(folder)))
    return *found, *ended[True], *ended[False]


_WHEREABOUTS = ("out", "device", "compile", "checkpoint_every", "data", "mix", "encoder_weights", "parent")
"""Settings that do not count by their words: what they name does, or nothing."""


def _key(
    settings: dict[str, Any], digests: dict[str, str], start: dict[str, Any], lineage: dict[str, Any] | None, behavior: int
) -> str | None:
    """The recipe as one line; None where it cannot be told."""
    try:
        config = TrainConfig.from_json(settings)
        sets = [[digests[str(folder)], share] for folder, share in config.sets]
    except (KeyError, TypeError, ValueError, TrainError):
        return None  # of another version, or not written here
    counted = {k: v for k, v in config.to_json().items() if k not in _WHEREABOUTS}
    return json.dumps([counted, sets, lineage["sha256"] if lineage else start, behavior], sort_keys=True)


def _mix(text: str) -> tuple[Path, float]:
    folder, _, share = text.rpartition(":")
    try:
        if folder and float(share) > 0:
            return Path(folder), float(share)
    except ValueError:
        pass
    raise TrainError(f'--mix takes DIR:SHARE, for example scenes:0.1, not "{text}".')
