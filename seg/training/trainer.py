"""The training loop of one process: steps, evaluation, checkpoints.

The order of the samples and their crops derive from the seed and the step; a checkpoint holds everything
else.
"""

import dataclasses
import math
import time
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn

from seg import paths
from seg.data import cityscapes
from seg.data.decode_cache import PairDataset, load_split
from seg.data.loader import create_loader
from seg.data.sampler import EpochSampler
from seg.data.statistics import class_shares
from seg.data.transforms import augment
from seg.errors import printable
from seg.evaluation import evaluate
from seg.inference.device import bf16_is_fast, pick_training_device
from seg.inference.predictor import Predictor
from seg.models.factory import ARCHITECTURES, DISPLAY_NAMES, SegmentationModel, create_model
from seg.models.pretrained import load_pretrained
from seg.system.signals import StopRequest
from seg.training import snapshots
from seg.training.config import TrainConfig, TrainError
from seg.training.distributed import DistributedContext
from seg.training.ema import make_ema
from seg.training.initialization import load_matching_weights
from seg.training.lineage import resolve_init
from seg.training.losses import segmentation_loss, valid_pixel_weight
from seg.training.lr_schedule import TrainingSchedule
from seg.training.optim import param_groups
from seg.training.run import Run, save_tensors, write_json

EMA_PREFIX = "average."
"""Prefix of the EMA's tensors in a checkpoint."""


class Trainer:
    """The part of one process in a training.

    Args:
        run: the run's folder.
        config: the settings.
        distributed: the processes that train together.

    Raises:
        TrainError: if the run's data has changed since it started.
        StreetFCNError: if the data or the initial weights cannot be used.
    """

    def __init__(self, run: Run, config: TrainConfig, distributed: DistributedContext) -> None:
        self.run, self.config, self.distributed = run, config, distributed
        self.console = Console(quiet=not distributed.is_main_process)
        self.accelerator = _accelerator(config)
        self.device = self.accelerator.device

        datasets = (
            distributed.run_on_main(self._load_datasets) or self._load_datasets()
        )  # decoded once, then opened by each
        self.dataset = datasets[0]
        self.num_train = len(self.dataset) - config.holdout
        self.digests = {
            str(folder): data.digest for (folder, _), data in zip(config.sets, datasets, strict=True)
        }
        extra = [(len(data), share) for data, (_, share) in zip(datasets[1:], config.sets[1:], strict=True)]
        self.sampler = EpochSampler(
            self.num_train, extra, config.batch_size, config.seed, None if config.minutes else config.epochs
        )
        self.steps_per_epoch = self.sampler.steps_per_epoch
        self.schedule = TrainingSchedule(config, self.steps_per_epoch)
        self.class_weight = self._class_weight()

        torch.manual_seed(config.seed)
        model = create_model(
            config.arch, len(cityscapes.CLASSES), config.variants, run.config()["start"]["strides"]
        )
        checkpoint = run.load_latest()
        if checkpoint is None:
            self._initialize(model)
        if distributed.size > 1 and not config.freeze_batchnorm:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(param_groups(model, config), fused=True)
        self.ema = make_ema(model, config.ema_decay) if config.ema_decay else None
        self.step, self.seconds = 0, 0.0
        if checkpoint is not None:
            self._restore(*checkpoint)
        if config.compile:
            # in place: names stay; grouped transposed convolutions do not compile
            self.model.backbone.compile()
        self.sampler.first_step = self.step
        self.batches = create_loader(datasets, self.device, map(distributed.shard, self.sampler))
        run.truncate_metrics(self.step)
        with (
            warnings.catch_warnings()
        ):  # the newest PyTorch renames broadcast_buffers; older ones do not know the new name
            warnings.simplefilter("ignore", FutureWarning)
            self.model, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)

    def fit(self, stop: StopRequest) -> str:
        """Train to the end, or until `stop` asks for an end.

        Returns:
            ``finished`` or ``stopped``.

        Raises:
            TrainError: if the loss or a parameter is no longer finite.
        """
        run, config = self.run, self.config
        self._log_start()
        if config.minutes:
            self.schedule.reserve(self._estimate_closing_seconds())
        start = time.monotonic() - self.seconds
        with Progress(*_columns(), speed_estimate_period=300, console=self.console) as bar:
            task = bar.add_task("", total=self.steps, completed=self.step, epoch=self._epoch + 1, loss="–")
            while not self.ended:
                epoch = self._epoch
                losses, lr = self.train_step()
                elapsed = time.monotonic() - start
                self.seconds = self._mean_over_processes(elapsed) if config.minutes else elapsed
                if self.step % 10 == 0 or self.ended:
                    bar.update(task, loss=f"{self._record_losses(epoch, losses, lr):.3f}")
                run.write_heartbeat(self.step, "running", steps=self.steps)
                stopping = self.distributed.any_rank(stop.asked)
                epoch_done = self.step % self.steps_per_epoch == 0
                if self.ended or (epoch_done and self.schedule.has_time(self.seconds)):
                    self._close_epoch(epoch, bar)
                elif stopping or self.step % config.checkpoint_every == 0:
                    self.save_checkpoint()
                bar.update(
                    task,
                    completed=self.step,
                    total=self.steps,
                    epoch=(self.step - 1) // self.steps_per_epoch + 1,
                )
                if stopping and not self.ended:
                    run.log(f"stopped at step {self.step}")
                    self._print(
                        f"Stopped at step {self.step}, saved. Resume with: python -m seg train --resume"
                        f" {run.folder}"
                    )
                    return "stopped"
        if self.distributed.is_main_process:
            save_tensors(run.folder / "model.safetensors", self.eval_model().state_dict())
        run.log("finished")
        return "finished"

    def train_step(self) -> tuple[dict[str, Tensor], float]:
        """Train on one batch.

        Returns:
            The loss of each variant by its name in metrics.jsonl, and the learning rate of the heads.
        """
        config = self.config
        photos, labels = next(self.batches)
        shard = self.distributed.rank, self.distributed.size
        image, label = augment(
            photos, labels, config.height, config.seed, self.step, config.scale, config.color_jitter, shard
        )
        image = image.contiguous(memory_format=torch.channels_last)
        lr_factor = self.schedule.lr_factor(self.step, self.seconds)
        for group in self.optimizer.param_groups:
            group["lr"] = group["max_lr"] * lr_factor
        # for dropout, which must differ between processes
        torch.manual_seed(config.seed * 1_000_003 + self.step + (self.distributed.rank << 40))
        self._set_training_mode()
        with self.accelerator.autocast():
            logits = self.model(image)
        # over all processes, since their gradients are averaged: together they are the whole batch
        total = self.distributed.all_reduce_mean(valid_pixel_weight(label, self.class_weight))
        losses = {
            f"loss_{variant}": segmentation_loss(variant_logits, label, config.loss, self.class_weight, total)
            for variant, variant_logits in logits.items()
        }
        self.optimizer.zero_grad()
        self.accelerator.backward(sum(losses.values()))
        self.accelerator.clip_grad_norm_(self.model.parameters(), config.grad_clip_norm)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update_parameters(self.accelerator.unwrap_model(self.model))
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}, config.lr * lr_factor

    @property
    def ended(self) -> bool:
        """Whether the last step is done."""
        return self.schedule.progress(self.step, self.seconds) >= 1

    @property
    def steps(self) -> int | None:
        """The number of steps in all; None if unknown yet."""
        return self.schedule.steps(self.step, self.seconds)

    def predictor(self) -> Predictor:
        """A predictor of `eval_model` in the precision of the training."""
        bf16 = self.accelerator.mixed_precision == "bf16"
        return Predictor(self.eval_model(), self.config.height, self.device, bf16)

    def eval_model(self) -> SegmentationModel:
        """The model to evaluate and publish: the EMA, if there is one."""
        if self.ema is not None:
            return cast(SegmentationModel, self.ema.module)
        return self.accelerator.unwrap_model(self.model)

    @property
    def _epoch(self) -> int:
        return self.step // self.steps_per_epoch

    def _load_datasets(self) -> list[PairDataset]:
        return [self._load(folder) for folder, _ in self.config.sets]

    def _load(self, data: Path) -> PairDataset:
        with Progress(transient=True, console=self.console) as bar:
            task = bar.add_task(f"decoding {escape(printable(str(data)))}", visible=False)
            return load_split(
                paths.recorded(data),
                "train",
                lambda done, total: bar.update(task, completed=done, total=total, visible=True),
            )

    def _class_weight(self) -> Tensor | None:
        """Class weights with a mean of 1 over the labelled pixels; None if classes are weighted equally."""
        if not self.config.class_weights:
            return None
        shares, _ = class_shares(self.dataset.labels[: self.num_train])
        share = torch.from_numpy(shares).float().clamp(min=1e-5)
        weight = share**-self.config.class_weights
        return (weight / (weight * share).sum()).to(self.device)

    def _initialize(self, model: SegmentationModel) -> None:
        config = self.config
        if config.init_from:
            self.distributed.run_on_main(self._record_lineage)
            load_matching_weights(model, config.init_from, self._log_and_print)
        else:
            backbone = ARCHITECTURES[config.arch].backbone
            self.run.log(load_pretrained(model.backbone, config.encoder_weights, backbone))

    def _record_lineage(self) -> None:
        """Complete config.json, if the initial weights were still in training when the run was created."""
        stored = self.run.config()
        if not stored.get("lineage"):
            encoder, lineage = resolve_init(self.config)
            origin = {
                "start": dataclasses.asdict(encoder),
                "lineage": lineage and dataclasses.asdict(lineage),
            }
            write_json(self.run.folder / "config.json", stored | origin)

    def _restore(self, model: dict[str, Tensor], optimizer: dict[str, Any], state: dict[str, Any]) -> None:
        if state["digests"] != self.digests:
            raise TrainError(
                "The pairs have changed since this run started. Restore them, or start a new run."
            )
        if self.ema is not None:
            ema = {
                key.removeprefix(EMA_PREFIX): value
                for key, value in model.items()
                if key.startswith(EMA_PREFIX)
            }
            self.ema.load_state_dict(ema)
        self.model.load_state_dict(
            {key: value for key, value in model.items() if not key.startswith(EMA_PREFIX)}
        )
        # in the parameters' own memory layout: in another one sums run in another order, and the last bit
        # differs
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for index, moments in optimizer["state"].items():
            for name, value in moments.items():
                if value.shape == parameters[index].shape:
                    moments[name] = torch.empty_like(parameters[index]).copy_(value)
        self.optimizer.load_state_dict(optimizer)
        self.step, self.seconds = state["step"], state["seconds"]

    def _log_start(self) -> None:
        size = self.distributed.size
        processes = f"{size} processes on {self.device.type}" if size > 1 else str(self.device)
        planned = f"for {self.config.minutes:g} minutes" if self.config.minutes else f"of {self.steps}"
        self.run.log(
            f"training from step {self.step} {planned} on {processes}, {torch.get_num_threads()} threads"
        )

    def _set_training_mode(self) -> None:
        self.model.train()
        if self.config.freeze_batchnorm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _record_losses(self, epoch: int, losses: dict[str, Tensor], lr: float) -> float:
        """Append the losses, averaged over the processes, to metrics.jsonl. Returns their mean over the
        variants."""
        means = self.distributed.all_reduce_mean(torch.stack(list(losses.values()))).tolist()
        total = sum(means)
        if not math.isfinite(total):
            raise TrainError(
                f"The loss is no longer a number at step {self.step}. Start again with a lower --lr and"
                f" --encoder-lr; the last good checkpoint is in {self.run.checkpoints}."
            )
        by_variant = dict(zip(losses, means, strict=True))
        line = {
            "step": self.step,
            "epoch": epoch,
            "loss": total,
            **by_variant,
            "lr": lr,
            "seconds": self.seconds,
        }
        self.run.append_metrics(line)
        return total / len(means)

    def _close_epoch(self, epoch: int, bar: Progress) -> None:
        """Evaluate, save a snapshot of the masks, and save a checkpoint, after an epoch and after the last
        step."""
        start = time.monotonic()
        predictor = self.predictor()
        self._evaluate(predictor, epoch, bar)
        shown = range(self.num_train, len(self.dataset)) if self.config.holdout else range(len(self.dataset))
        if self.distributed.is_main_process:
            snapshots.save_snapshot(self.run.folder, epoch + 1, predictor, self.dataset, shown)
        self.save_checkpoint()  # last, so that a run killed meanwhile repeats all of it
        if self.config.minutes:
            seconds = self._mean_over_processes(time.monotonic() - start)
            self.schedule.closing_seconds = max(self.schedule.closing_seconds, seconds)

    def _evaluate(self, predictor: Predictor, epoch: int, bar: Progress) -> None:
        config, distributed = self.config, self.distributed
        if not config.holdout:
            return
        task = bar.add_task("", total=config.holdout, epoch=f"{epoch + 1} held out", loss="–")
        own_indices = range(self.num_train, len(self.dataset))[distributed.rank :: distributed.size]

        def on_progress(done: int, _: int) -> None:
            bar.update(task, completed=done * distributed.size)
            self.run.write_heartbeat(self.step, "running", steps=self.steps)

        confusions = evaluate.confusion_matrices(
            predictor, self.dataset, config.variants, own_indices, on_progress=on_progress
        )
        bar.remove_task(task)
        line: dict[str, Any] = {"step": self.step, "epoch": epoch, "seconds": self.seconds}
        for variant, confusion in confusions.items():
            metrics = evaluate.metrics_from_confusion(distributed.all_reduce_sum(confusion))
            metrics.pop("confusion")
            line[variant] = metrics
        self.run.append_metrics(line)
        summary = "; ".join(
            f"{DISPLAY_NAMES[v]} mean IoU {evaluate.format_score(line[v]['mean_iou'], 3)} pixel accuracy"
            f" {evaluate.format_score(line[v]['pixel_accuracy'], 3)}"
            for v in confusions
        )
        self.run.log(f"epoch {epoch + 1}: {summary}")
        bar.console.print(f"epoch {epoch + 1} on {config.holdout} held-out pairs: {summary}")

    def save_checkpoint(self) -> None:
        """Save the state of the training in the run's folder."""
        model = self.accelerator.unwrap_model(self.model).state_dict()
        if self.ema is not None:
            model |= {EMA_PREFIX + key: value for key, value in self.ema.state_dict().items()}
        floating = [value for value in model.values() if value.is_floating_point()]
        if not bool(torch.stack([torch.isfinite(value).all() for value in floating]).all()):
            raise TrainError(
                f"Parameters are no longer finite at step {self.step}: start again with a lower --lr and"
                " --encoder-lr."
            )
        state = {"seconds": self.seconds, "digests": self.digests}
        self.run.save(self.step, model, self.optimizer.state_dict(), state)

    def _estimate_closing_seconds(self) -> float:
        """The seconds that the evaluation after the last step will take, from those of one photo."""
        predictor = self.predictor()
        for _ in range(2):  # the first also chooses kernels
            start = time.monotonic()
            evaluate.confusion_matrices(
                predictor, self.dataset, self.config.variants, [len(self.dataset) - 1]
            )
            seconds = time.monotonic() - start
        photos = self.config.holdout / self.distributed.size + snapshots.PHOTOS
        return self._mean_over_processes(seconds) * photos

    def _mean_over_processes(self, seconds: float) -> float:
        """The same value in all processes, so that they follow the same clock."""
        return float(self.distributed.all_reduce_sum(np.array([seconds]))[0]) / self.distributed.size

    def _log_and_print(self, text: str) -> None:
        self.run.log(text)
        self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(printable(text), soft_wrap=True, markup=False, highlight=False)


def _accelerator(config: TrainConfig) -> Accelerator:
    device = pick_training_device(config.device)
    bf16 = bf16_is_fast(device) if config.precision == "auto" else config.precision == "bf16"
    return Accelerator(
        mixed_precision="bf16" if bf16 else "no",
        cpu=device.type == "cpu",
        # batch-norm statistics are the same in all processes already
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
        ],
    )


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
