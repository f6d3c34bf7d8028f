"""The settings of a training: names, types, limits and help texts, defined once."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from tyro.conf import arg

from seg import paths
from seg.errors import StreetFCNError
from seg.inference.device import Device
from seg.models.factory import ARCHITECTURES, Architecture

FORMER_NAMES = {
    "parent": "init_from",
    "mix": "extra_data",
    "clip": "grad_clip_norm",
    "frozen_norm": "freeze_batchnorm",
    "ema": "ema_decay",
    "color": "color_jitter",
}
"""Former setting names and their present ones, to read runs and cards from before version 1.0."""

RUN_METADATA = (
    "command",
    "classes",
    "decoder_version",
    "start",
    "lineage",
    "distilled_from",
    "behavior",
    "created",
)
"""Keys of config.json beside the settings: the command, the classes, the version of the label decoder, the
`PretrainedEncoder`, the `Lineage` of the initial weights, the teacher, and the `TRAINER_VERSION` of the code
that started the run."""


MAX_SHARE = 1000
"""The largest share of an additional dataset: the order of an epoch is kept in memory."""


class TrainError(StreetFCNError, RuntimeError):
    """A training that cannot start or continue; the message names the cause and a remedy."""


@dataclass(frozen=True, config=ConfigDict(use_attribute_docstrings=True, allow_inf_nan=False))
class TrainConfig:
    """All settings of a training; the command line, config.json and the app's form derive from this class."""

    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the training data: pairs, or photos and labels in one of the layouts of docs/datasets.md."""
    out: Path = field(default_factory=paths.default_run)
    """Folder of the run; it must be new or empty."""
    arch: Architecture = "fcn-resnet50"
    """Architecture: a member of the FCN family, or a baseline."""
    variants: tuple[str, ...] = ()
    """Variants of an FCN to train as heads of one network, of 32s, 16s and 8s; by default all of them."""
    encoder_weights: str = "imagenet"
    """Pretrained weights of the encoder: imagenet (downloaded), none, or a safetensors file with
    torchvision's names."""
    init_from: Annotated[str, arg(aliases=["--parent"])] = ""
    """Initialize from published weights or from the folder of a finished run. Tensors of the same name and
    shape are copied; --encoder-weights is ignored."""
    extra_data: Annotated[tuple[str, ...], arg(aliases=["--mix"])] = ()
    """Additional datasets, as DIR:SHARE: 0.1 adds a tenth as many samples as the data has to every
    epoch."""
    holdout: Annotated[int, Ge(0), Le(10**9)] = 200
    """Number of samples at the end of train that are kept for validation (hold-out)."""
    epochs: Annotated[int, Ge(1), Le(10**9)] = 20
    """Number of passes over the training data."""
    minutes: Annotated[float, Ge(0), Le(10**7)] = 0.0
    """Train for this many minutes instead of --epochs; the learning rate falls to 0 as they end. 0: train for
    --epochs."""
    batch_size: Annotated[int, Ge(1), Le(10**6)] = 8
    """Pairs per step."""
    height: Annotated[int, Ge(32), Le(8192), MultipleOf(32)] = 256
    """Crop height in pixels; crops of pairs are twice as wide, others have the shape of the photos."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random scale of a crop, relative to the photo."""
    color_jitter: Annotated[float, Ge(0), arg(aliases=["--color"])] = 1.0
    """Strength of color jitter, blur and noise; 0 turns them off."""
    loss: Literal["cross-entropy", "ohem", "dice"] = "cross-entropy"
    """cross-entropy; ohem: of the hardest pixels only; dice: cross-entropy plus Dice."""
    class_weights: Annotated[float, Ge(0)] = 0.0
    """Weight classes by (1 / pixel frequency) to this power; 0 weights all classes equally."""
    best_guesses: bool = False
    """Train ambiguous pixels on their most likely class, instead of ignoring them."""
    soft_targets: bool = False
    """Train ambiguous pixels on the mixture of their two most likely classes, instead of ignoring them."""
    teacher: str = ""
    """Published weights whose probabilities are learned beside the labels (distillation)."""
    rare_classes: Annotated[float, Ge(0), Le(1)] = 0.0
    """Probability that an image of the data is replaced by one that contains a rare class."""
    class_mix: Annotated[float, Ge(0), Le(1)] = 0.0
    """Probability that half of the classes of another crop are pasted into a crop (ClassMix)."""
    corruptions: Annotated[float, Ge(0), Le(1)] = 0.0
    """Probability that a crop gets fog, darkness, blur or JPEG compression."""
    amplitude_mix: Annotated[float, Ge(0), Le(1)] = 0.0
    """Largest share of the Fourier amplitudes of another crop that is mixed into a crop."""
    mixstyle: bool = False
    """Mix the feature statistics of crops after the first two stages of the encoder (MixStyle)."""
    lr: Annotated[float, Gt(0)] = 2e-3
    """Maximum learning rate of the score layers and the upsampling (AdamW)."""
    encoder_lr: Annotated[float, Gt(0)] = 2e-4
    """Maximum learning rate of the encoder."""
    weight_decay: Annotated[float, Ge(0)] = 1e-2
    """Weight decay of AdamW; applied to convolutions only."""
    schedule: Literal["poly", "cosine"] = "poly"
    """How the learning rate decays to 0: poly, (1 - progress) ** 0.9, or cosine."""
    warmup: Annotated[int, Ge(0), Le(10**9)] = 100
    """Steps of linear learning-rate warm-up."""
    freeze_batchnorm: Annotated[bool, arg(aliases=["--frozen-norm"])] = False
    """Keep the running statistics of batch normalization fixed."""
    ema_decay: Annotated[float, Ge(0), Lt(1), arg(aliases=["--ema"])] = 0.0
    """Decay per step of an exponential moving average of the weights, which is then evaluated and published;
    0: none."""
    grad_clip_norm: Annotated[float, Gt(0), arg(aliases=["--clip"])] = 5.0
    """Maximum gradient norm over all parameters (gradient clipping)."""
    seed: Annotated[int, Ge(-(2**31)), Lt(2**31)] = 0
    """Random seed of the order and the crops; the same seed gives the same run."""
    device: Device = "auto"
    """auto: a CUDA GPU if there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast if the device computes in bf16."""
    compile: bool = False
    """Compile the encoder with torch.compile: minutes at the start for faster steps, mostly on a GPU."""
    evaluate_every: Annotated[int, Ge(0), Le(10**9)] = 0
    """Epochs between evaluations on the held-out samples; the last epoch is always evaluated. 0: as often as
    it takes at most a tenth of the training time."""
    checkpoint_minutes: Annotated[float, Gt(0), Le(10**7)] = 2.0
    """Minutes between checkpoints; the last step always writes one."""
    checkpoint_every: Annotated[int, Ge(0), Le(10**9)] = 0
    """Steps between checkpoints, instead of --checkpoint-minutes. 0: by time."""
    log_with: Literal["none", "tensorboard", "wandb"] = "none"
    """Also send the metrics to a tracker: tensorboard, in the folder of the run, or wandb (Weights & Biases),
    which uploads them and the settings."""

    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, values: Any, build: ModelWrapValidatorHandler["TrainConfig"]) -> "TrainConfig":
        try:
            return build(values)
        except ValidationError as error:
            raise TrainError(_sentence(error)) from None

    def __post_init__(self) -> None:
        kind = ARCHITECTURES[self.arch]
        wrong = [v for v in self.variants if v not in kind.variants]
        if wrong:
            raise TrainError(
                f"{kind.description} has no variant {', '.join(wrong)}; it comes as"
                f" {', '.join(kind.variants)}."
            )
        object.__setattr__(
            self, "variants", tuple(v for v in kind.variants if not self.variants or v in self.variants)
        )
        if self.init_from and self.encoder_weights != "imagenet":
            raise TrainError("--init-from brings its encoder: drop --encoder-weights.")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise TrainError("--scale must be two positive numbers, the smaller first.")
        if self.soft_targets and self.best_guesses:
            raise TrainError("--soft-targets and --best-guesses exclude each other.")
        if self.soft_targets and self.loss != "cross-entropy":
            raise TrainError(f"--soft-targets needs --loss cross-entropy, not {self.loss}.")
        if self.mixes_crops and self.batch_size % 2:
            raise TrainError(
                "--class-mix and --amplitude-mix mix crops in pairs: choose an even --batch-size, not"
                f" {self.batch_size}."
            )
        _ = self.sets  # refuses shares that are none

    @property
    def mixes_crops(self) -> bool:
        """Whether crops of a batch are mixed in pairs."""
        return bool(self.class_mix or self.amplitude_mix)

    @property
    def sets(self) -> tuple[tuple[Path, float], ...]:
        """The folders of pairs, and how many views of each a pair of the first stands for: the data, then
        what is mixed in."""
        return (self.data, 1.0), *map(_mix, self.extra_data)

    def to_json(self) -> dict[str, Any]:
        """As config.json holds it."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=str))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainConfig":
        """The settings in a run's config.json. Raises `TrainError` for what this version does not know."""
        values = {FORMER_NAMES.get(k, k): v for k, v in values.items() if k not in RUN_METADATA}
        unknown = values.keys() - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise TrainError(
                "The run's config.json has settings that this version does not know:"
                f" {', '.join(sorted(unknown))}."
            )
        return cls(**values)


SETTINGS: Mapping[str, FieldInfo] = getattr(TrainConfig, "__pydantic_fields__")  # noqa: B009  # mypy does not know it
"""The description and the limits of every setting."""


def _sentence(error: ValidationError) -> str:
    """The first fault that pydantic found, in the words of the command line."""
    fault = error.errors()[0]
    option = f"--{str(fault['loc'][0]).replace('_', '-')}"
    limits = {
        "greater_than_equal": "must be at least {ge:g}",
        "greater_than": "must be above {gt:g}",
        "less_than": "must be below {lt:g}",
        "less_than_equal": "must be at most {le:g}",
        "multiple_of": "must be a multiple of {multiple_of:g}",
    }
    limit = limits.get(fault["type"])
    if fault["type"] == "finite_number":
        return f"{option} must be a finite number."
    return f"{option} {limit.format(**fault['ctx'])}." if limit else f"{option}: {fault['msg']}."


def _mix(text: str) -> tuple[Path, float]:
    folder, _, share = text.rpartition(":")
    try:
        if folder and 0 < float(share) <= MAX_SHARE:
            return Path(folder), float(share)
    except ValueError:
        pass
    raise TrainError(
        f'--extra-data takes DIR:SHARE, for example scenes:0.1, not "{text}". Shares end at {MAX_SHARE}.'
    )
