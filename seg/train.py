"""Transfer learning: an ImageNet encoder and image pairs -> a run's folder with a trained network.

`train` starts a run, `resume` goes on with one. On the same machine and thread count a resumed run ends with the very parameters
of an unbroken one: the order of the pairs and their views derive from (seed, step), and a checkpoint holds all else.
"""

import contextlib
import ctypes
import dataclasses
import errno
import hashlib
import json
import math
import shlex
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from seg import dataset, evaluate, labels, weights
from seg.augment import augment
from seg.checkpoint import Run, save_tensors
from seg.encoder import Start, describe_start, load_start
from seg.networks import ARCHITECTURES, TITLES, Architecture, build
from seg.predict import Device, Predictor, bf16_is_fast, pick_device

FACTS = ("command", "decoder_version", "start", "lineage")
"""What a run's config.json holds beside the settings: how it was started, the decoder of its labels, the encoder's `Start`, and
the `Lineage` of what it went on from."""


class TrainError(RuntimeError):
    """A training that cannot start or go on; the message says why and what to do."""


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
        made = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**{**made, "data": Path(made["data"]), "out": Path(made["out"])})


def train(config: TrainConfig) -> None:
    """Starts a run in ``config.out``. Raises `TrainError`, `RunError`, `DatasetError`, `StartError` or `DeviceError`."""
    # all that can be refused is refused before the folder is made
    backbone = ARCHITECTURES[config.arch].backbone
    if config.parent:
        start, lineage = _parent(config.parent)[1:]
        if lineage.architecture != config.arch:
            mine, other = ARCHITECTURES[config.arch].words, ARCHITECTURES[lineage.architecture].words
            advice = f"Choose --arch {lineage.architecture}, or another parent."
            raise TrainError(f"{mine} cannot go on from {config.parent}: that is {other}. {advice}")
    else:
        start, lineage = describe_start(config.encoder_weights, backbone), None
    pick_device(config.device)
    pairs = len(dataset.find(config.data, "train"))
    if pairs - config.holdout < config.batch_size:
        raise TrainError(
            f"{config.data} has {pairs} pairs in train; with {config.holdout} held out, less than a batch of "
            f"{config.batch_size} is left. Choose a smaller --holdout or --batch-size."
        )
    for folder, _ in map(_mix, config.mix):
        dataset.find(Path(folder), "train")
    run = Run(config.out)
    command = "python -m seg " + shlex.join(sys.argv[1:])
    facts = {"command": command, "decoder_version": labels.DECODER_VERSION, "start": dataclasses.asdict(start)}
    facts["lineage"] = lineage and dataclasses.asdict(lineage)
    run.create(config.to_json() | facts)
    _work(run, config)


def resume(folder: Path) -> None:
    """Goes on with the run in `folder` from its newest checkpoint, or from the start before the first. Raises as `train` does."""
    run = Run(folder)
    stored = run.config()
    if stored["decoder_version"] != labels.DECODER_VERSION:
        raise TrainError(f"{folder} was trained on labels of another decoder; it cannot go on with those of this version.")
    config = dataclasses.replace(TrainConfig.from_json(stored), out=folder)
    if run.alive():
        raise TrainError(f"Another process is training {folder} right now. End it first, with Ctrl-C where it was started.")
    if (folder / "model.safetensors").exists():
        raise TrainError(f"{folder} is finished. Publish it: python -m seg publish {folder} --name NAME.")
    _work(run, config)


def _work(run: Run, config: TrainConfig) -> None:
    session = None
    _keep_freed_memory()
    try:
        run.beat(0, "running")  # before the slow beginning, so that no other process takes the run as well
        session = _Session(run, config)
        with _graceful() as stop:
            status = session.loop(stop)
        run.beat(session.step, status, steps=session.steps)
    except BaseException as error:
        message = _explain(error)
        with contextlib.suppress(OSError):  # where the disk is full, the log cannot be written either
            run.beat(session.step if session else 0, "failed", message, session.steps if session else None)
            run.log(f"failed: {message}")
        if isinstance(error, (TrainError, ValueError)) or not isinstance(error, Exception):
            raise
        raise TrainError(f"{message} The last checkpoint is kept; go on with --resume {run.folder}.") from error


def _keep_freed_memory() -> None:
    """Has glibc keep what is freed: else it returns each large tensor and gets it anew, zeroed: 0.4 of a CPU step."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-4, 0), (-1, -1), (-2, 500_000_000)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD (malloc.h)
            mallopt(parameter, value)


def _explain(error: BaseException) -> str:
    # by their words too: safetensors and PyTorch's CPU allocator have no kinds of error of their own for these
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        return "The disk is full: free some space."
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
        return "Out of memory: choose a smaller --batch-size or --height."
    return f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _graceful() -> Iterator[list[int]]:
    """Collects Ctrl-C and SIGTERM instead of dying in the middle of a step."""
    received: list[int] = []
    before = {s: signal.signal(s, lambda number, _: received.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


CITYSCAPES = "Cityscapes terms: research and non-commercial use"
MIT = "MIT: trained on rendered scenes only"

AVERAGE = "average."
"""Before the names of the running average's tensors in a checkpoint."""


class _Session:
    """One process's work on a run."""

    def __init__(self, run: Run, config: TrainConfig) -> None:
        self.run, self.config = run, config
        device = pick_device(config.device)
        bf16 = bf16_is_fast(device) if config.precision == "auto" else config.precision == "bf16"
        self.accelerator = Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=device.type == "cpu")
        self.device = self.accelerator.device
        self.main = _load(config.data)
        self.mixed = [(_load(Path(folder)), share) for folder, share in map(_mix, config.mix)]
        self.kept = len(self.main) - config.holdout
        splits = [self.main, *(split for split, _ in self.mixed)]
        self.photos = [self._tensor(split.photos) for split in splits]
        self.labels = [self._tensor(split.labels) for split in splits]
        folders = [str(config.data), *(_mix(text)[0] for text in config.mix)]
        self.digests = {folder: split.digest for folder, split in zip(folders, splits, strict=True)}
        extra = sum(round(share * self.kept) for _, share in self.mixed)
        self.steps_per_epoch = (self.kept + extra) // config.batch_size
        self.steps = self.steps_per_epoch * config.epochs
        self.class_weight = self._class_weight()

        torch.manual_seed(config.seed)
        model = build(config.arch, len(labels.CLASSES), config.variants, run.config()["start"]["strides"])
        found = run.latest()
        if found is None and config.parent:
            run.log(_inherit(model, config))
        elif found is None:
            run.log(load_start(model.backbone, config.encoder_weights, ARCHITECTURES[config.arch].backbone))
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(_groups(model, config), fused=True)
        self.average = None
        if config.ema:
            self.average = AveragedModel(model, multi_avg_fn=_lag(config.ema), use_buffers=True)
        self.step, self.seconds = 0, 0.0
        if found is not None:
            self._restore(*found)
        run.truncate_metrics(self.step)
        self.model, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)

    def _tensor(self, array) -> Tensor:
        # all of it on a GPU (0.8 GB for the whole set), mapped from disk on a CPU
        if self.device.type == "cuda":
            return torch.from_numpy(array[:]).to(self.device)
        return torch.from_numpy(array)

    def _class_weight(self) -> Tensor | None:
        if not self.config.class_weights:
            return None
        share, _ = dataset.class_shares(self.main.labels[: self.kept])
        share = torch.from_numpy(share).float().clamp(min=1e-5)
        weight = share**-self.config.class_weights
        return (weight / (weight * share).sum()).to(self.device)

    def _restore(self, model: dict[str, Tensor], optimizer: dict[str, Any], state: dict[str, Any]) -> None:
        if state["digests"] != self.digests:
            raise TrainError("The pairs are no longer those that this run began with. Restore them, or begin a new run.")
        if self.average is not None:
            self.average.load_state_dict({k.removeprefix(AVERAGE): v for k, v in model.items() if k.startswith(AVERAGE)})
        self.model.load_state_dict({k: v for k, v in model.items() if not k.startswith(AVERAGE)})
        # in the parameters' own memory layout: in another one sums run in another order, and the last bit differs
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for index, entry in optimizer["state"].items():
            for name, value in entry.items():
                if value.shape == parameters[index].shape:
                    entry[name] = torch.empty_like(parameters[index]).copy_(value)
        self.optimizer.load_state_dict(optimizer)
        self.step, self.seconds = state["step"], state["seconds"]

    def loop(self, stop: list[int]) -> str:
        """Trains to the end, or until asked to stop. Returns finished or stopped."""
        run, config = self.run, self.config
        run.log(f"training from step {self.step} of {self.steps} on {self.device}, {torch.get_num_threads()} threads")
        began = time.monotonic() - self.seconds
        order = None
        columns = (
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, speed_estimate_period=300) as bar:
            task = bar.add_task("", total=self.steps, completed=self.step, epoch=self.step // self.steps_per_epoch + 1, loss="–")
            while self.step < self.steps:
                epoch, within = divmod(self.step, self.steps_per_epoch)
                if order is None or within == 0:
                    order = self._order(epoch)
                losses, rate = self._train_step(order[within * config.batch_size : (within + 1) * config.batch_size])
                self.step += 1
                self.seconds = time.monotonic() - began
                if self.step % 10 == 0 or self.step == self.steps:
                    values = {k: float(v) for k, v in losses.items()}
                    total = sum(values.values())
                    if not math.isfinite(total):
                        raise TrainError(
                            f"The loss is no longer a number at step {self.step}. Start again with a lower --lr and "
                            f"--encoder-lr; the last good checkpoint is in {run.checkpoints}."
                        )
                    run.record({"step": self.step, "epoch": epoch, "loss": total, **values, "lr": rate, "seconds": self.seconds})
                    bar.update(task, loss=f"{total / len(values):.3f}")
                run.beat(self.step, "running", steps=self.steps)
                ended = self.step % self.steps_per_epoch == 0
                if ended:  # before saving, so that a run killed meanwhile does it again
                    self._evaluate(epoch, bar)
                if ended or stop or self.step % config.checkpoint_every == 0:
                    self._save()
                bar.update(task, completed=self.step, epoch=min(self.step // self.steps_per_epoch + 1, config.epochs))
                if stop and self.step < self.steps:
                    run.log(f"stopped at step {self.step}")
                    words = f"Stopped at step {self.step}, saved. Go on with: python -m seg train --resume {run.folder}"
                    bar.console.print(words, soft_wrap=True, markup=False, highlight=False)
                    return "stopped"
        save_tensors(run.folder / "model.safetensors", self._result().state_dict())
        run.log("finished")
        return "finished"

    def _result(self) -> nn.Module:
        """What is scored and kept: the average where there is one."""
        return self.accelerator.unwrap_model(self.model) if self.average is None else self.average.module

    def _order(self, epoch: int) -> Tensor:
        """The pairs of an epoch as rows (set, index), shuffled."""
        dice = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        rows = [torch.stack((torch.zeros(self.kept, dtype=torch.long), torch.arange(self.kept)), 1)]
        for number, (split, share) in enumerate(self.mixed, 1):
            index = torch.randint(len(split), (round(share * self.kept),), generator=dice)
            rows.append(torch.stack((torch.full_like(index, number), index), 1))
        joined = torch.cat(rows)
        return joined[torch.randperm(len(joined), generator=dice)]

    def _train_step(self, rows: Tensor) -> tuple[dict[str, Tensor], float]:
        config = self.config
        photos = torch.stack([self.photos[s][i] for s, i in rows.tolist()])
        truth = torch.stack([self.labels[s][i] for s, i in rows.tolist()])
        image, label = augment(photos, truth, config.height, config.seed, self.step, config.scale, config.color)
        image = image.contiguous(memory_format=torch.channels_last)
        factor = _rate(self.step, self.steps, config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * factor
        torch.manual_seed(config.seed * 1_000_003 + self.step)  # for a network with dropout
        self.model.train()
        if config.frozen_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        with self.accelerator.autocast():
            logits = self.model(image)
        losses = {f"loss_{v}": _loss(scores, label, config.loss, self.class_weight) for v, scores in logits.items()}
        self.optimizer.zero_grad()
        self.accelerator.backward(sum(losses.values()))
        self.accelerator.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.accelerator.unwrap_model(self.model))
        return {k: v.detach() for k, v in losses.items()}, config.lr * factor

    def _save(self) -> None:
        model = self.accelerator.unwrap_model(self.model).state_dict()
        if self.average is not None:
            model |= {AVERAGE + key: value for key, value in self.average.state_dict().items()}
        if not all(bool(torch.isfinite(v).all()) for v in model.values() if v.is_floating_point()):
            raise TrainError(
                f"Parameters are no numbers any more at step {self.step}: start again with a lower --lr and --encoder-lr."
            )
        state = {"seconds": self.seconds, "digests": self.digests}
        self.run.save(self.step, model, self.optimizer.state_dict(), state)

    def _evaluate(self, epoch: int, bar: Progress) -> None:
        if not self.config.holdout:
            return
        predictor = Predictor(self._result(), self.config.height, self.device, self.accelerator.mixed_precision == "bf16")
        task = bar.add_task("", total=self.config.holdout, epoch=f"{epoch + 1} held out", loss="–")
        held = range(self.kept, len(self.main))

        def told(done: int, _: int) -> None:
            bar.update(task, completed=done)
            self.run.beat(self.step, "running", steps=self.steps)

        found = evaluate.confusions(predictor, self.main, self.config.variants, held, progress=told)
        bar.remove_task(task)
        line: dict[str, Any] = {"step": self.step, "epoch": epoch, "seconds": self.seconds}
        for variant, confusion in found.items():
            scores = evaluate.summary(confusion)
            scores.pop("confusion")
            line[variant] = scores
        self.run.record(line)
        words = [f"{TITLES[v]} mean IoU {line[v]['mean_iou']:.3f} pixel accuracy {line[v]['pixel_accuracy']:.3f}" for v in found]
        self.run.log(f"epoch {epoch + 1}: {'; '.join(words)}")
        bar.console.print(f"epoch {epoch + 1} on {self.config.holdout} held-out pairs: {'; '.join(words)}")


def _load(data: Path) -> dataset.Split:
    with Progress(transient=True) as bar:
        task = bar.add_task(f"decoding {escape(str(data))}", visible=False)
        return dataset.load(data, "train", lambda done, total: bar.update(task, completed=done, total=total, visible=True))


def _parent(name: str) -> tuple[dict[str, Tensor], Start, Lineage]:
    """The parameters of what a training goes on from, its encoder's record and its own. Raises as `train` does."""
    folder = Path(name)
    if not folder.is_dir():
        model, card = weights.load(name)
        lineage = Lineage(name, card.architecture, card.sha256, card.command, card.hours, card.photos, card.licence, card.parent)
        return model.state_dict(), Start(**card.encoder), lineage
    run, file = Run(folder), folder / "model.safetensors"
    stored = run.config()
    if not file.is_file():
        raise TrainError(f"{folder} is not finished. Go on with it first: python -m seg train --resume {folder}.")
    found = run.latest()
    if found is None:
        raise TrainError(f"{folder} has no checkpoint, so what it was trained on is not known. Publish and name another parent.")
    before, state = stored.get("lineage"), found[2]
    try:
        parameters, digest = load_file(file), hashlib.sha256(file.read_bytes()).hexdigest()
    except SafetensorError as error:
        raise TrainError(f"{file} is damaged ({error}).") from None
    lineage = Lineage(
        name=name,
        architecture=TrainConfig.from_json(stored).arch,
        sha256=digest,
        command=stored["command"],
        hours=round(state["seconds"] / 3600, 2),
        photos=state["step"] * stored["batch_size"],
        licence=licence(state["digests"], before),
        parent=before,
    )
    return parameters, Start(**stored["start"]), lineage


def licence(data: Iterable[str], lineage: dict[str, Any] | None) -> str:
    """Under what terms parameters are that were trained on these folders, after what `lineage` says."""
    rendered = all(dataset.is_rendered(Path(folder)) for folder in data)
    return MIT if rendered and (lineage is None or lineage["licence"] == MIT) else CITYSCAPES


def _inherit(model: nn.Module, config: TrainConfig) -> str:
    """Fills a network with what fits of its parent's parameters. Returns what was copied, what is new and what was dropped."""
    state = _parent(config.parent)[0]
    own = model.state_dict()
    copied = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    model.load_state_dict(own | copied)

    def layers(keys) -> str:
        return ", ".join(sorted({key.split(".")[0] for key in keys})) or "none"

    new, dropped = own.keys() - copied.keys(), state.keys() - copied.keys()
    return f"{config.parent}: {len(copied)} tensors copied; new: {layers(new)}; dropped: {layers(dropped)}"


def _mix(text: str) -> tuple[str, float]:
    folder, _, share = text.rpartition(":")
    try:
        if folder and float(share) > 0:
            return folder, float(share)
    except ValueError:
        pass
    raise TrainError(f'--mix takes DIR:SHARE, for example scenes:0.1, not "{text}".')


def _groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Encoder and heads, each with and without weight decay: biases, batch-norm and upsampling kernels are not decayed."""
    groups = []
    encoder = set(model.backbone.parameters())
    for is_encoder, rate in ((True, config.encoder_lr), (False, config.lr)):
        named = [(n, p) for n, p in model.named_parameters() if (p in encoder) == is_encoder]
        decayed = [p for n, p in named if p.ndim > 1 and not n.startswith("upscore")]
        plain = [p for n, p in named if p.ndim <= 1 or n.startswith("upscore")]
        groups += [
            {"params": decayed, "lr": 0.0, "highest": rate, "weight_decay": config.weight_decay},
            {"params": plain, "lr": 0.0, "highest": rate, "weight_decay": 0.0},
        ]
    return groups


def _lag(decay: float):
    """An exponential moving average that forgets its first steps, as TensorFlow's does: they lag behind by less."""

    def average(mean: list[Tensor], now: list[Tensor], count: Tensor) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(count)) / (10 + int(count))))(mean, now, count)

    return average


def _rate(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the highest learning rate at a step."""
    progress = step / steps
    fall = (1 - progress) ** 0.9 if config.schedule == "poly" else (1 + math.cos(math.pi * progress)) / 2
    return fall * min(1.0, (step + 1) / max(1, config.warmup))


def _loss(logits: Tensor, label: Tensor, kind: str, weight: Tensor | None) -> Tensor:
    """N x K x H x W logits, N x H x W label -> one number; nothing to learn where no pixel has a class."""
    if bool((label == labels.IGNORE).all()):
        return logits.sum() * 0
    if kind == "ohem":
        each = F.cross_entropy(logits, label, weight, ignore_index=labels.IGNORE, reduction="none").flatten()
        known = int((label != labels.IGNORE).sum())
        hard = each[each > -math.log(0.7)]
        least = max(1, known // 16)
        return (hard if len(hard) >= least else each.topk(least).values).mean()
    loss = F.cross_entropy(logits, label, weight, ignore_index=labels.IGNORE)
    if kind == "dice":
        from segmentation_models_pytorch.losses import DiceLoss

        loss = loss + DiceLoss("multiclass", ignore_index=labels.IGNORE)(logits, label)
    return loss
