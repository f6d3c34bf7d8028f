"""Transfer learning: an ImageNet encoder and image pairs -> a run's folder with a trained network.

`train` starts a run, `resume` goes on with one. On the same machine and thread count a resumed run ends with the very parameters
of an unbroken one: the order of the pairs and their views derive from (seed, step), and a checkpoint holds all else.
"""

import contextlib
import ctypes
import dataclasses
import errno
import math
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from seg import dataset, evaluate, labels, recipe, strip, weights
from seg.augment import augment
from seg.checkpoint import Run, save_tensors, write_json
from seg.encoder import Start, load_start
from seg.networks import ARCHITECTURES, TITLES, build
from seg.predict import Predictor, bf16_is_fast, pick_device
from seg.recipe import TrainConfig, TrainError
from seg.turn import POLL, turn


def create(config: TrainConfig, command: str) -> Run:
    """Makes a run's folder, ``config.out``, for `resume` to begin. `command` is the literal one that does so and trains.

    A parent may still be at work: the training then asks for it when its turn has come.

    Raises `TrainError`, `RunError`, `DatasetError`, `StartError`, `WeightsError` or `DeviceError`.
    """
    # all that can be refused is refused before the folder is made
    parent = Run(Path(config.parent))
    if config.parent and parent.alive():
        before = parent.config()
        recipe.fits(config, recipe.TrainConfig.from_json(before).arch)
        start, lineage = Start(**before["start"]), None
    else:
        start, lineage = recipe.origin(config)
    pick_device(config.device)
    pairs = len(dataset.find(config.data, "train"))
    if pairs - config.holdout < config.batch_size:
        raise TrainError(
            f"{config.data} has {pairs} pairs in train; with {config.holdout} held out, less than a batch of "
            f"{config.batch_size} is left. Choose a smaller --holdout or --batch-size."
        )
    for folder, _ in config.sets:
        dataset.find(folder, "train")
    facts = {"command": command, "decoder_version": labels.DECODER_VERSION, "start": dataclasses.asdict(start)}
    facts |= {"lineage": lineage and dataclasses.asdict(lineage), "behavior": recipe.BEHAVIOR}
    run = Run(config.out)
    run.create(config.to_json() | facts)
    return run


def train(config: TrainConfig) -> None:
    """Starts a run in ``config.out`` and trains it to its end. Raises as `create` does."""
    _work(create(config, "python -m seg " + shlex.join(sys.argv[1:])), config)


def resume(folder: Path) -> None:
    """Goes on with the run in `folder` from its newest checkpoint, or begins it where there is none. Raises as `create` does."""
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
    device, before = pick_device(config.device), run.heartbeat()

    def beat(status: str, message: str = "") -> None:
        step, steps = (session.step, session.steps) if session else (before.get("step", 0), before.get("steps"))
        run.beat(step, status, message, steps)

    told: set[str] = set()

    def waiting(who: str) -> None:
        words = f"waiting for {who}, which trains on this device or waits for it"
        if who not in told:
            print(words, flush=True)
        told.add(who)
        beat("queued", words)

    try:
        with _sigterm_as_ctrl_c():
            while config.parent and Run(Path(config.parent)).alive():  # the stage before, begun in the same moment perhaps
                waiting(config.parent)
                time.sleep(POLL)
        with _sigterm_as_ctrl_c(), turn(device.type, str(run.folder), waiting):
            beat("running")  # before the slow beginning, so that no other process takes the run as well
            session = _Session(run, config)
            with _graceful() as stop:
                status = session.loop(stop)
            beat(status)
    except KeyboardInterrupt:  # before the first step, or while it waited
        beat("stopped")
        run.log("stopped before it went on")
        raise
    except BaseException as error:
        message = _explain(error)
        with contextlib.suppress(OSError):  # where the disk is full, the log cannot be written either
            beat("failed", message)
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
    ours = type(error).__module__.startswith("seg.")  # made to be read by people
    return str(error) if ours else f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
        splits = [_load(folder) for folder, _ in config.sets]
        self.main = splits[0]
        self.mixed = [(split, share) for split, (_, share) in zip(splits[1:], config.sets[1:], strict=True)]
        self.kept = len(self.main) - config.holdout
        self.photos = [self._tensor(split.photos) for split in splits]
        self.labels = [self._tensor(split.labels) for split in splits]
        self.digests = {str(folder): split.digest for (folder, _), split in zip(config.sets, splits, strict=True)}
        extra = sum(round(share * self.kept) for _, share in self.mixed)
        self.steps_per_epoch = (self.kept + extra) // config.batch_size
        self.steps = self.steps_per_epoch * config.epochs
        self.class_weight = self._class_weight()

        torch.manual_seed(config.seed)
        model = build(config.arch, len(labels.CLASSES), config.variants, run.config()["start"]["strides"])
        found = run.latest()
        if found is None and config.parent:
            self._note_parent()
            inherit(model, config.parent, lambda text: (run.log(text), print(text)))
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

    def _note_parent(self) -> None:
        """Says in config.json what the parent is that was still at work when the run was made."""
        stored = self.run.config()
        if not stored.get("lineage"):
            start, lineage = recipe.origin(self.config)
            write_json(
                self.run.folder / "config.json",
                stored | {"start": dataclasses.asdict(start), "lineage": dataclasses.asdict(lineage)},
            )

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
                    predictor = Predictor(self._result(), config.height, self.device, self.accelerator.mixed_precision == "bf16")
                    self._evaluate(predictor, epoch, bar)
                    last = range(self.kept, len(self.main)) if config.holdout else range(len(self.main))
                    strip.record(run.folder, epoch + 1, predictor, self.main, last)
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

    def _evaluate(self, predictor: Predictor, epoch: int, bar: Progress) -> None:
        if not self.config.holdout:
            return
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


def inherit(model: nn.Module, parent: str, say: Callable[[str], None]) -> None:
    """Fills a network with what fits of its parent's parameters, and tells of every tensor whether it was copied, is new (as it
    was initialised) or was dropped. Raises `TrainError` or `WeightsError`."""
    file = Path(parent) / "model.safetensors"
    try:
        state = load_file(file) if file.is_file() else weights.load(parent)[0].state_dict()
    except SafetensorError as error:
        raise TrainError(f"{file} is damaged ({error}).") from None
    own = model.state_dict()
    copied = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    model.load_state_dict(own | copied)
    for key, value in own.items():
        say(f"{'copied' if key in copied else 'new':7} {key} {tuple(value.shape)}")
    dropped = [key for key in state if key not in copied]
    for key in dropped:
        say(f"dropped {key} {tuple(state[key].shape)}")
    say(f"{parent}: {len(copied)} tensors copied, {len(own) - len(copied)} new, {len(dropped)} dropped")


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
