"""Transfer learning: an ImageNet encoder and image pairs -> a run's folder with a trained network.

`train` starts a run, `resume` goes on with one. On the same machine and thread count a resumed run ends with the very parameters
of an unbroken one: the order of the pairs and their views derive from (seed, step), and a checkpoint holds all else.

Started in several processes (`seg.team`), each takes its rows of the batch that one process would have, and the first writes.
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
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from accelerate import Accelerator, DistributedDataParallelKwargs
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

from seg import dataset, evaluate, labels, recipe, strip, weights
from seg.augment import augment
from seg.checkpoint import Run, SilentRun, save_tensors, write_json
from seg.encoder import Start, load_start
from seg.feed import feed
from seg.files import why
from seg.networks import ARCHITECTURES, TITLES, Network, build
from seg.norm import synchronised
from seg.predict import Predictor, bf16_is_fast, out_of_memory, pick_device
from seg.recipe import TrainConfig, TrainError
from seg.team import Team
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
    facts |= {"lineage": lineage and dataclasses.asdict(lineage), "behavior": recipe.BEHAVIOR, "created": time.time()}
    run = Run(config.out)
    run.create(config.to_json() | facts)
    return run


def train(config: TrainConfig) -> None:
    """Starts a run in ``config.out`` and trains it to its end. Raises as `create` does, and `TeamError`."""
    team = Team.join(pick_device(config.device))
    started = "python" if team.size == 1 else f"accelerate launch --multi_gpu --num_processes {team.size}"

    def begin() -> None:
        _divide(config, team)
        create(config, f"{started} -m seg {shlex.join(sys.argv[1:])}")

    team.first(begin)
    _work(config, team)


def resume(folder: Path) -> None:
    """Goes on with the run in `folder` from its newest checkpoint, or begins it where there is none. Raises as `train` does."""
    run = Run(folder)
    stored = run.config()
    if stored["decoder_version"] != labels.DECODER_VERSION:
        raise TrainError(f"{folder} was trained on labels of another decoder; it cannot go on with those of this version.")
    config = dataclasses.replace(TrainConfig.from_json(stored), out=folder)
    team = Team.join(pick_device(config.device))

    def begin() -> None:
        _divide(config, team)
        if run.alive():
            raise TrainError(f"Another process is training {folder} right now. End it first, with Ctrl-C where it was started.")
        if (folder / "model.safetensors").exists():
            raise TrainError(f"{folder} is finished. Publish it: python -m seg publish {folder} --name NAME.")
        if stored.get("behavior") != recipe.BEHAVIOR:
            run.log("warning: this run was begun by another version of the training; what follows is not what it would have done")

    team.first(begin)
    _work(config, team)


def _divide(config: TrainConfig, team: Team) -> None:
    if config.batch_size % team.size:
        raise TrainError(
            f"A batch of {config.batch_size} pairs cannot be divided among {team.size} processes. Start another number of them, "
            f"or choose a --batch-size that {team.size} divides."
        )


def _work(config: TrainConfig, team: Team) -> None:
    session = None
    keep_freed_memory()
    run = Run(config.out) if team.writer else SilentRun(config.out)
    device, before = pick_device(config.device), run.heartbeat()

    def beat(status: str, message: str = "", by: Run = run) -> None:
        step, steps = (session.step, session.steps) if session else (before.get("step", 0), before.get("steps"))
        by.beat(step, status, message, steps)

    told: set[str] = set()

    def waiting(words: str) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        if words not in told:
            print(words, flush=True)
        told.add(words)
        beat("queued", words)

    def bereaved() -> None:
        """Says that another process is gone, where the one that should say why did not."""
        if team.speaks and run.heartbeat().get("status") != "failed":
            left, words = Run(config.out), _LOST.format(run=config.out)
            with contextlib.suppress(OSError):
                beat("failed", words, left)
                left.log(f"failed: {words}")

    def in_line() -> contextlib.AbstractContextManager[None]:
        parent = Run(Path(config.parent))
        # the stage before, begun in the same moment perhaps; once begun, this one has all that it needs of it
        while config.parent and run.state() is None and parent.unfinished():
            after = (
                "from whose end it goes on" if parent.alive() else "which ended too early: once that has gone on, this follows"
            )
            waiting(f"waiting for {config.parent}, {after}")
            time.sleep(POLL)
        return turn(device.type, str(run.folder), lambda who: waiting(f"waiting for {who}, which trains here or waits for it"))

    with _signals(at_once=team.size == 1) as stop, contextlib.ExitStack() as until_the_end:
        try:
            team.first(lambda: until_the_end.enter_context(in_line()))
            beat("running")  # before the slow beginning, so that no other process takes the run as well
            until_the_end.enter_context(team.watch(bereaved))
            session = Session(run, config, team)
            stop.at_once = False
            status = session.loop(stop)
            team.part()
            beat(status)
        except KeyboardInterrupt:  # before the first step, or while it waited
            beat("stopped")
            run.log("stopped before it went on")
            raise
        except BaseException as error:
            if team.lost(error):
                bereaved()
                raise TrainError(_LOST.format(run=config.out)) from error
            message = _explain(error)
            with contextlib.suppress(OSError):  # where the disk is full, the log cannot be written either
                beat("failed", message)
                run.log(f"failed: {message}")
                if not team.writer and isinstance(error, Exception):
                    Run(config.out).log(f"failed in process {team.rank + 1} of {team.size}: {message}")
            if isinstance(error, (TrainError, ValueError)) or not isinstance(error, Exception):
                raise
            raise TrainError(f"{message} The last checkpoint is kept; go on with --resume {run.folder}.") from error


_LOST = (
    "One of the processes of this training ended; where it could, it said why in log.txt. The last checkpoint is kept; "
    "go on with --resume {run}."
)


def keep_freed_memory() -> None:
    """Has glibc keep what is freed: else it returns each large tensor and gets it anew, zeroed: 0.4 of a CPU step."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-4, 0), (-1, -1), (-2, 500_000_000)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD (malloc.h)
            mallopt(parameter, value)


def _explain(error: BaseException) -> str:
    if isinstance(error, SafetensorError) and "No space left on device" in str(error):
        error = OSError(errno.ENOSPC, "")  # safetensors has no kind of error of its own for it
    if isinstance(error, (BrokenPipeError, SystemExit)):  # Rich exits where nobody reads what it prints
        return "What read its output has ended."
    if isinstance(error, OSError):
        return why(error)
    if out_of_memory(error):
        return "Out of memory: choose a smaller --batch-size or --height for a new run, or end what else needs memory."
    ours = type(error).__module__.startswith("seg.")  # made to be read by people
    return str(error) if ours else f"{type(error).__name__}: {error}"


class _Stop:
    """Whether Ctrl-C or SIGTERM asked for an end: `at_once`, or after the step that is under way."""

    def __init__(self, at_once: bool) -> None:
        self.at_once, self.asked = at_once, False

    def __call__(self, *_) -> None:
        if self.at_once:
            raise KeyboardInterrupt
        self.asked = True


@contextlib.contextmanager
def _signals(at_once: bool) -> Iterator[_Stop]:
    stop = _Stop(at_once)
    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


AVERAGE = "average."
"""Before the names of the running average's tensors in a checkpoint."""


class Session:
    """One process's work on a run."""

    def __init__(self, run: Run, config: TrainConfig, team: Team) -> None:
        self.run, self.config, self.team = run, config, team
        self.console = Console(quiet=not team.writer)
        device = pick_device(config.device)
        bf16 = bf16_is_fast(device) if config.precision == "auto" else config.precision == "bf16"
        self.accelerator = Accelerator(
            mixed_precision="bf16" if bf16 else "no",
            cpu=device.type == "cpu",
            # batch-norm's statistics are the same in all processes already
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)],
        )
        self.device = self.accelerator.device

        def load() -> list[dataset.Split]:
            return [self._load(folder) for folder, _ in config.sets]

        splits = team.first(load) or load()  # decoded once, and then opened by each
        self.main = splits[0]
        self.mixed = [(split, share) for split, (_, share) in zip(splits[1:], config.sets[1:], strict=True)]
        self.kept = len(self.main) - config.holdout
        self.digests = {str(folder): split.digest for (folder, _), split in zip(config.sets, splits, strict=True)}
        extra = sum(round(share * self.kept) for _, share in self.mixed)
        self.steps_per_epoch = (self.kept + extra) // config.batch_size
        self.steps = self.steps_per_epoch * config.epochs
        self.class_weight = self._class_weight()

        torch.manual_seed(config.seed)
        model = build(config.arch, len(labels.CLASSES), config.variants, run.config()["start"]["strides"])
        found = run.latest()
        if found is None and config.parent:
            team.first(self._note_parent)
            inherit(model, config.parent, self._tell)
        elif found is None:
            run.log(load_start(model.backbone, config.encoder_weights, ARCHITECTURES[config.arch].backbone))
        if team.size > 1 and not config.frozen_norm:
            model = synchronised(model, self.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(_groups(model, config), fused=True)
        self.average = _average(model, config.ema) if config.ema else None
        self.step, self.seconds = 0, 0.0
        if found is not None:
            self._restore(*found)
        if config.compile:
            self.model.backbone.compile()  # in place: the names stay; grouped transposed convolutions would not compile
        self.batches = feed(splits, self.device, self._rows())
        run.truncate_metrics(self.step)
        with warnings.catch_warnings():  # the newest PyTorch has another name for broadcast_buffers, which older ones don't know
            warnings.simplefilter("ignore", FutureWarning)
            self.model, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)

    def _tell(self, text: str) -> None:
        self.run.log(text)
        self._say(text)

    def _say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, markup=False, highlight=False)

    def _load(self, data: Path) -> dataset.Split:
        with Progress(transient=True, console=self.console) as bar:
            task = bar.add_task(f"decoding {escape(str(data))}", visible=False)
            return dataset.load(data, "train", lambda done, total: bar.update(task, completed=done, total=total, visible=True))

    def _note_parent(self) -> None:
        """Says in config.json what the parent is that was still at work when the run was made."""
        stored = self.run.config()
        if not stored.get("lineage"):
            start, lineage = recipe.origin(self.config)
            write_json(
                self.run.folder / "config.json",
                stored | {"start": dataclasses.asdict(start), "lineage": lineage and dataclasses.asdict(lineage)},
            )

    def _class_weight(self) -> Tensor | None:
        if not self.config.class_weights:
            return None
        shares, _ = dataset.class_shares(self.main.labels[: self.kept])
        share = torch.from_numpy(shares).float().clamp(min=1e-5)
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

    def loop(self, stop: _Stop) -> str:
        """Trains to the end, or until asked to stop. Returns finished or stopped."""
        run, config, team = self.run, self.config, self.team
        processes = f"{team.size} processes on {self.device.type}" if team.size > 1 else str(self.device)
        run.log(f"training from step {self.step} of {self.steps} on {processes}, {torch.get_num_threads()} threads")
        began = time.monotonic() - self.seconds
        columns = (
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, speed_estimate_period=300, console=self.console) as bar:
            task = bar.add_task("", total=self.steps, completed=self.step, epoch=self.step // self.steps_per_epoch + 1, loss="–")
            while self.step < self.steps:
                epoch = self.step // self.steps_per_epoch
                losses, rate = self.advance()
                self.seconds = time.monotonic() - began
                if self.step % 10 == 0 or self.step == self.steps:
                    means = team.mean(torch.stack(list(losses.values()))).tolist()
                    values, total = dict(zip(losses, means, strict=True)), sum(means)
                    if not math.isfinite(total):
                        raise TrainError(
                            f"The loss is no longer a number at step {self.step}. Start again with a lower --lr and "
                            f"--encoder-lr; the last good checkpoint is in {run.checkpoints}."
                        )
                    run.record({"step": self.step, "epoch": epoch, "loss": total, **values, "lr": rate, "seconds": self.seconds})
                    bar.update(task, loss=f"{total / len(values):.3f}")
                run.beat(self.step, "running", steps=self.steps)
                stopping = team.any(stop.asked)
                ended = self.step % self.steps_per_epoch == 0
                if ended:  # before saving, so that a run killed meanwhile does it again
                    predictor = Predictor(self.result(), config.height, self.device, self.accelerator.mixed_precision == "bf16")
                    self._evaluate(predictor, epoch, bar)
                    last = range(self.kept, len(self.main)) if config.holdout else range(len(self.main))
                    if team.writer:
                        strip.record(run.folder, epoch + 1, predictor, self.main, last)
                if ended or stopping or self.step % config.checkpoint_every == 0:
                    self._save()
                bar.update(task, completed=self.step, epoch=min(self.step // self.steps_per_epoch + 1, config.epochs))
                if stopping and self.step < self.steps:
                    run.log(f"stopped at step {self.step}")
                    self._say(f"Stopped at step {self.step}, saved. Go on with: python -m seg train --resume {run.folder}")
                    return "stopped"
        if team.writer:
            save_tensors(run.folder / "model.safetensors", self.result().state_dict())
        run.log("finished")
        return "finished"

    def result(self) -> Network:
        """What is scored and kept: the average where there is one."""
        return self.accelerator.unwrap_model(self.model) if self.average is None else cast(Network, self.average.module)

    def _order(self, epoch: int) -> Tensor:
        """The pairs of an epoch as rows (set, index), shuffled."""
        dice = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        rows = [torch.stack((torch.zeros(self.kept, dtype=torch.long), torch.arange(self.kept)), 1)]
        for number, (split, share) in enumerate(self.mixed, 1):
            index = torch.randint(len(split), (round(share * self.kept),), generator=dice)
            rows.append(torch.stack((torch.full_like(index, number), index), 1))
        joined = torch.cat(rows)
        return joined[torch.randperm(len(joined), generator=dice)]

    def _rows(self) -> Iterator[Tensor]:
        """This process's pairs of every batch from the present step on."""
        begun, within = divmod(self.step, self.steps_per_epoch)
        for epoch in range(begun, self.config.epochs):
            for batch in self._order(epoch).split(self.config.batch_size)[within : self.steps_per_epoch]:
                yield self.team.mine(batch)
            within = 0

    def advance(self) -> tuple[dict[str, Tensor], float]:
        """One step: a batch, its views, what is learned of them. Returns the losses and the learning rate of the scores."""
        config = self.config
        photos, truth = next(self.batches)
        part = self.team.rank, self.team.size
        image, label = augment(photos, truth, config.height, config.seed, self.step, config.scale, config.color, part)
        image = image.contiguous(memory_format=torch.channels_last)
        factor = _rate(self.step, self.steps, config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * factor
        # for a network with dropout, which is to drop other things in other processes
        torch.manual_seed(config.seed * 1_000_003 + self.step + (self.team.rank << 40))
        self.model.train()
        if config.frozen_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        with self.accelerator.autocast():
            logits = self.model(image)
        # of all processes, since their gradients are averaged: together they are those of the whole batch
        total = self.team.mean(_known(label, self.class_weight))
        losses = {f"loss_{v}": _loss(scores, label, config.loss, self.class_weight, total) for v, scores in logits.items()}
        self.optimizer.zero_grad()
        self.accelerator.backward(sum(losses.values()))
        self.accelerator.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.accelerator.unwrap_model(self.model))
        self.step += 1
        return {k: v.detach() for k, v in losses.items()}, config.lr * factor

    def _save(self) -> None:
        model = self.accelerator.unwrap_model(self.model).state_dict()
        if self.average is not None:
            model |= {AVERAGE + key: value for key, value in self.average.state_dict().items()}
        if not bool(torch.stack([torch.isfinite(v).all() for v in model.values() if v.is_floating_point()]).all()):
            raise TrainError(
                f"Parameters are no numbers any more at step {self.step}: start again with a lower --lr and --encoder-lr."
            )
        state = {"seconds": self.seconds, "digests": self.digests}
        self.run.save(self.step, model, self.optimizer.state_dict(), state)

    def _evaluate(self, predictor: Predictor, epoch: int, bar: Progress) -> None:
        if not self.config.holdout:
            return
        task = bar.add_task("", total=self.config.holdout, epoch=f"{epoch + 1} held out", loss="–")
        held = range(self.kept, len(self.main))[self.team.rank :: self.team.size]

        def told(done: int, _: int) -> None:
            bar.update(task, completed=done * self.team.size)
            self.run.beat(self.step, "running", steps=self.steps)

        found = evaluate.confusions(predictor, self.main, self.config.variants, held, progress=told)
        bar.remove_task(task)
        line: dict[str, Any] = {"step": self.step, "epoch": epoch, "seconds": self.seconds}
        for variant, confusion in found.items():
            scores = evaluate.summary(self.team.total(confusion))
            scores.pop("confusion")
            line[variant] = scores
        self.run.record(line)
        words = [f"{TITLES[v]} mean IoU {line[v]['mean_iou']:.3f} pixel accuracy {line[v]['pixel_accuracy']:.3f}" for v in found]
        self.run.log(f"epoch {epoch + 1}: {'; '.join(words)}")
        bar.console.print(f"epoch {epoch + 1} on {self.config.holdout} held-out pairs: {'; '.join(words)}")


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


def _groups(model: Network, config: TrainConfig) -> list[dict[str, Any]]:
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


def _average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average that forgets its first steps, as TensorFlow's does: they lag behind by less."""

    def lag(mean: PARAM_LIST, now: PARAM_LIST, _) -> None:
        count = int(
            averaged.n_averaged
        )  # it stays on the CPU; what is handed in was brought to the GPU, and reading it would wait
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(mean, now, count)

    averaged = AveragedModel(model, multi_avg_fn=lag, use_buffers=True)
    return averaged


def _rate(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the highest learning rate at a step."""
    progress = step / steps
    fall = (1 - progress) ** 0.9 if config.schedule == "poly" else (1 + math.cos(math.pi * progress)) / 2
    return fall * min(1.0, (step + 1) / max(1, config.warmup))


def _known(label: Tensor, weight: Tensor | None) -> Tensor:
    """How many pixels have a class, each counted by its class's weight."""
    if weight is None:
        return (label != labels.IGNORE).sum().float()
    return F.pad(weight, (0, labels.IGNORE + 1 - len(weight)))[label].sum()


def _loss(logits: Tensor, label: Tensor, kind: str, weight: Tensor | None, total: Tensor) -> Tensor:
    """N x K x H x W logits, N x H x W label -> one number; nothing to learn where no pixel has a class.

    Cross-entropy is the sum over the pixels by `total`, what `_known` says on the mean of all processes. What is hardest for
    ohem, and Dice's overlaps, are those of this process's own rows: in several processes they are a little other than in one.
    """
    # row by row of pixels, as channels_last has them in memory: for N x K x H x W it would all be copied to another order first
    flat, one_by_one = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]), label.flatten()
    if kind == "ohem":
        each = F.cross_entropy(flat, one_by_one, weight, ignore_index=labels.IGNORE, reduction="none")
        known = int((label != labels.IGNORE).sum())
        hard = each[each > -math.log(0.7)]
        least = max(1, known // 16)
        return (hard if len(hard) >= least else each.topk(least).values).mean()
    loss = F.cross_entropy(flat, one_by_one, weight, ignore_index=labels.IGNORE, reduction="sum") / total.clamp(min=1e-6)
    if kind == "dice":
        from segmentation_models_pytorch.losses import DiceLoss

        loss = loss + DiceLoss("multiclass", ignore_index=labels.IGNORE)(logits, label)
    return loss
