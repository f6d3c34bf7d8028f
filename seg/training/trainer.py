"""The training loop of one process: steps, evaluation, checkpoints.

The order of the samples and their crops derive from the seed and the step; a checkpoint holds everything
else.
"""

import dataclasses
import time
import warnings
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from rich.console import Console
from rich.progress import Progress, TaskID
from torch import Tensor, nn

from seg.data.draws import batch_draws
from seg.data.loader import create_loader
from seg.data.mixing import mix_amplitudes, mix_classes
from seg.data.rare_classes import RareClassDraw
from seg.data.sampler import EpochSampler
from seg.data.statistics import class_shares
from seg.data.transforms import MIXING, augment, crop_width
from seg.errors import printable
from seg.inference.device import bf16_is_fast, pick_training_device
from seg.inference.predictor import Predictor
from seg.models.factory import ARCHITECTURES, SegmentationModel, create_model
from seg.models.pretrained import load_pretrained
from seg.system.signals import StopRequest
from seg.training.config import TrainConfig, TrainError
from seg.training.distillation import Teacher, divergence
from seg.training.distributed import DistributedContext
from seg.training.ema import ExponentialAverage
from seg.training.holdout import HoldoutEvaluator
from seg.training.initialization import load_matching_weights
from seg.training.lineage import resolve_init
from seg.training.loss_log import LossLog
from seg.training.losses import SoftTarget, segmentation_loss, soft_cross_entropy, valid_pixel_weight
from seg.training.lr_schedule import TrainingSchedule
from seg.training.mixstyle import add_mixstyle
from seg.training.optim import param_groups
from seg.training.pacing import RECORD_SECONDS, RECORD_STEPS, Pacing, evaluation_interval
from seg.training.progress_columns import columns
from seg.training.run import Run, save_tensors, write_json
from seg.training.trackers import track
from seg.training.training_data import load_datasets, resize_mode_of, with_training_labels

EMA_PREFIX = "average."
"""Prefix of the EMA's tensors in a checkpoint."""

_CLOSING_ESTIMATES = (0.5, 0.9)
"""Shares of a timed training after which the time of the last evaluation is estimated again: the masks of a
trained network take longer than those of a new one."""


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
        self.config, self.distributed = config, distributed
        self.console = Console(quiet=not distributed.is_main_process)
        self.accelerator = _accelerator(config)
        self.device = self.accelerator.device
        self.run = run = track(run, config, self.accelerator)

        datasets = load_datasets(config, distributed, self.console)
        samples = with_training_labels(datasets, config, distributed, self.console)
        self._opened = time.monotonic()  # decoding, which happens once, is not part of --minutes
        self.dataset = datasets[0]
        self.num_train = len(self.dataset) - config.holdout
        self.digests = {
            str(folder): data.digest for (folder, _), data in zip(config.sets, datasets, strict=True)
        }
        self.sampler = self._sampler(list(map(len, datasets[1:])))
        self.steps_per_epoch = self.sampler.steps_per_epoch
        self.schedule = TrainingSchedule(config, self.steps_per_epoch)
        self.class_weight = self._class_weight()

        torch.manual_seed(config.seed)
        model = create_model(
            config.arch, len(self.dataset.classes), config.variants, run.config()["start"]["strides"]
        )
        checkpoint = run.load_latest()
        if checkpoint is None:
            self._initialize(model)
        if distributed.size > 1 and not config.freeze_batchnorm:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        if config.mixstyle:
            add_mixstyle(model.backbone)
        teacher = run.config().get("distilled_from")
        classes = self.dataset.classes
        self.teacher = Teacher(teacher, config.variants, classes, self.device) if teacher else None
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(param_groups(model, config), fused=True)
        self.ema = ExponentialAverage(model, config.ema_decay) if config.ema_decay else None
        self.step, self.seconds = 0, 0.0
        self.losses = LossLog(run, distributed)
        self.evaluation = HoldoutEvaluator(run, config, distributed, self.dataset)
        self._checkpoint_seconds, self._closing_estimates = 0.0, list(_CLOSING_ESTIMATES)
        self._last_heartbeat = time.monotonic()
        evaluate_every = None
        if checkpoint is not None:
            evaluate_every = checkpoint[2].get("evaluate_every")
            self._restore(*checkpoint)
        self.pacing = Pacing(config, self.seconds, evaluate_every)
        if config.compile:
            # in place: names stay; the rest of the network is small
            self.model.backbone.compile()
        self.sampler.first_step = self.step
        self.batches = create_loader(samples, self.device, map(distributed.shard, self.sampler))
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
        start = (self._opened if config.minutes else time.monotonic()) - self.seconds
        if config.minutes:
            # at least as much as before an interruption: a training whose steps had ended has no more
            self.schedule.reserve(max(self._estimate_closing_seconds(), self.schedule.closing_seconds))
        with Progress(*columns(), speed_estimate_period=300, console=self.console) as bar:
            task = bar.add_task("", total=self.steps, completed=self.step, epoch=self._epoch + 1, loss="–")
            if self.step and self._evaluates() and not self.evaluation.is_recorded(self.step):
                self._evaluate(bar)  # the earlier session ended before it or in it
            while not self.ended:
                epoch = self._epoch
                losses, lr = self.train_step()
                stopping, self.seconds = self._agree(stop.asked, time.monotonic() - start)
                self._update_closing()
                if self.step % RECORD_STEPS == 0 or self.ended:
                    line = {"step": self.step, "epoch": epoch, "lr": lr, "seconds": self.seconds}
                    self.losses.add(line, losses)
                evaluating = self._evaluates()
                delay = self.evaluation.seconds if evaluating else 0.0
                saving = stopping or self.ended or self.pacing.checkpoint_due(self.step, self.seconds, delay)
                if self.pacing.record_due(self.seconds) or evaluating or saving:
                    self._record(bar, task)
                if saving:
                    self.save_checkpoint()
                if stopping and not self.ended:
                    run.log(f"stopped at step {self.step}")
                    self._print(
                        f"Stopped at step {self.step}, saved. Resume with: python -m seg train --resume"
                        f" {run.folder}"
                    )
                    return "stopped"
                if evaluating:
                    self._evaluate(bar)
        if self.distributed.is_main_process:
            save_tensors(run.folder / "model.safetensors", self.eval_model().state_dict())
        minutes = (time.monotonic() - start) / 60
        run.log(
            f"finished after {minutes:.2f} of {config.minutes:g} minutes" if config.minutes else "finished"
        )
        return "finished"

    def train_step(self) -> tuple[dict[str, Tensor], float]:
        """Train on one batch.

        Returns:
            The loss of each variant by its name in metrics.jsonl, and the learning rate of the heads.
        """
        config = self.config
        photos, labels, sizes = next(self.batches)
        shard = self.distributed.rank, self.distributed.size
        image, label = augment(
            photos,
            labels,
            config.height,
            config.seed,
            self.step,
            config.scale,
            config.color_jitter,
            shard,
            config.corruptions,
            crop_width(config.height, self.dataset.crop_aspect),
            sizes,
        )
        uniform = batch_draws(len(label), config.seed, self.step, shard, MIXING)
        if config.amplitude_mix:
            image = mix_amplitudes(image, uniform, config.amplitude_mix)
        if config.class_mix:
            image, label = mix_classes(image, label, uniform, config.class_mix, len(self.dataset.classes))
        image = image.contiguous(memory_format=torch.channels_last)
        lr_factor = self.schedule.lr_factor(self.step, self.seconds)
        for group in self.optimizer.param_groups:
            group["lr"] = group["max_lr"] * lr_factor
        # for dropout, which must differ between processes
        torch.manual_seed(config.seed * 1_000_003 + self.step + (self.distributed.rank << 40))
        self._set_training_mode()
        with self.accelerator.autocast():
            logits = self.model(image)
            known = self.teacher.log_probabilities(image) if self.teacher else {}
        losses = self._losses(logits, label, known)
        self.optimizer.zero_grad()
        self.accelerator.backward(sum(losses.values()))
        self.accelerator.clip_grad_norm_(self.model.parameters(), config.grad_clip_norm)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update_parameters(self.accelerator.unwrap_model(self.model))
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}, config.lr * lr_factor

    def _losses(
        self, logits: dict[str, Tensor], label: Tensor, known: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the loss of each variant by its name in metrics.jsonl; `known` are those of the teacher."""
        # over all processes, since their gradients are averaged: together they are the whole batch
        all_reduce = self.distributed.all_reduce_mean
        if self.config.soft_targets:
            target = SoftTarget.of(label, self.class_weight)
            total = all_reduce(target.weights.sum())
            losses = {v: soft_cross_entropy(values, target, total) for v, values in logits.items()}
        else:
            total = all_reduce(valid_pixel_weight(label, self.class_weight))
            losses = {
                v: segmentation_loss(values, label, self.config.loss, self.class_weight, total)
                for v, values in logits.items()
            }
        for variant, target_of_teacher in known.items():
            losses[variant] = losses[variant] + divergence(logits[variant], target_of_teacher)
        return {f"loss_{variant}": loss for variant, loss in losses.items()}

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
        return Predictor(
            self.eval_model(),
            self.config.height,
            self.device,
            bf16,
            resize_mode_of(self.dataset),
            classes=self.dataset.classes,
        )

    def eval_model(self) -> SegmentationModel:
        """The model to evaluate and publish: the EMA, if there is one."""
        if self.ema is not None:
            return cast(SegmentationModel, self.ema.module)
        return self.accelerator.unwrap_model(self.model)

    @property
    def _epoch(self) -> int:
        return self.step // self.steps_per_epoch

    def _sampler(self, extra_sizes: list[int]) -> EpochSampler:
        """Return the order of the samples; `extra_sizes` are those of the additional datasets."""
        config = self.config
        extra = [(size, share) for size, (_, share) in zip(extra_sizes, config.sets[1:], strict=True)]
        labels = self.dataset.labels[: self.num_train]
        rare = (
            RareClassDraw(labels, config.rare_classes, len(self.dataset.classes))
            if config.rare_classes
            else None
        )
        epochs = None if config.minutes else config.epochs
        return EpochSampler(self.num_train, extra, config.batch_size, config.seed, epochs, rare)

    def _class_weight(self) -> Tensor | None:
        """Class weights with a mean of 1 over the labelled pixels; None if classes are weighted equally."""
        if not self.config.class_weights:
            return None
        shares, _ = class_shares(self.dataset.labels[: self.num_train], len(self.dataset.classes))
        share = torch.from_numpy(shares).float().clamp(min=1e-5)
        weight = share**-self.config.class_weights
        return (weight / (weight * share).sum()).to(self.device)

    def _initialize(self, model: SegmentationModel) -> None:
        config = self.config
        if config.init_from:
            self.distributed.run_on_main(self._record_lineage)
            load_matching_weights(model, config.init_from, self.dataset.classes, self._log_and_print)
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
                "The training data has changed since this run started. Restore it, or start a new run."
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
        self.schedule.closing_seconds = state.get("closing_seconds", 0.0)

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

    def _agree(self, stop: bool, seconds: float) -> tuple[bool, float]:
        """Whether any process is asked to stop, and the mean of the seconds, so that all follow one clock."""
        stops, total = self.distributed.all_reduce_sum(np.array([stop, seconds], np.float64))
        return bool(stops), float(total) / self.distributed.size

    def _record(self, bar: Progress, task: TaskID) -> None:
        """Write losses, heartbeat and progress."""
        loss = self.losses.flush()
        self._write_heartbeat()
        if loss is not None:
            bar.update(task, loss=f"{loss:.3f}")
        epoch = (self.step - 1) // self.steps_per_epoch + 1
        bar.update(task, completed=self.step, total=self.steps, epoch=epoch)

    def _write_heartbeat(self) -> None:
        self.run.write_heartbeat(self.step, "running", steps=self.steps)
        self._last_heartbeat = time.monotonic()

    def _evaluates(self) -> bool:
        """Whether an evaluation follows the completed steps."""
        if self.ended:
            return True
        epochs, within_epoch = divmod(self.step, self.steps_per_epoch)
        if within_epoch or not epochs:
            return False
        if self.pacing.evaluate_every is None:
            self._choose_evaluation_interval()
        return self.pacing.evaluation_due(epochs) and self.schedule.has_time(self.seconds)

    def _choose_evaluation_interval(self) -> None:
        """Choose how often to evaluate; checkpoints keep the choice for later sessions."""
        self.evaluation.estimate(self.predictor())
        epoch_seconds = self.seconds / self.step * self.steps_per_epoch
        self.pacing.evaluate_every = evaluation_interval(self.evaluation.seconds, epoch_seconds)
        self.run.log(
            f"--evaluate-every {self.pacing.evaluate_every} is used: an epoch takes {epoch_seconds:.1f} s,"
            f" an evaluation about {self.evaluation.seconds:.1f} s"
        )

    def _evaluate(self, bar: Progress) -> None:
        epoch = (self.step - 1) // self.steps_per_epoch
        record = {"step": self.step, "epoch": epoch, "seconds": self.seconds}

        def on_photo() -> None:
            if time.monotonic() - self._last_heartbeat >= RECORD_SECONDS:
                self._write_heartbeat()

        self.evaluation.evaluate(self.predictor(), record, bar, on_photo)

    def close(self) -> None:
        """Send what a tracker still holds."""
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def save_checkpoint(self) -> None:
        """Save the state of the training in the run's folder."""
        start = time.monotonic()
        model = self.accelerator.unwrap_model(self.model).state_dict()
        if self.ema is not None:
            model |= {EMA_PREFIX + key: value for key, value in self.ema.state_dict().items()}
        floating = [value for value in model.values() if value.is_floating_point()]
        if not bool(torch.stack([torch.isfinite(value).all() for value in floating]).all()):
            raise TrainError(
                f"Parameters are no longer finite at step {self.step}: start again with a lower --lr and"
                " --encoder-lr."
            )
        state: dict[str, Any] = {"seconds": self.seconds, "digests": self.digests}
        if self.pacing.evaluate_every:
            state["evaluate_every"] = self.pacing.evaluate_every
        if self.config.minutes:
            state["closing_seconds"] = self.schedule.closing_seconds
        self.run.save(self.step, model, self.optimizer.state_dict(), state)
        self.pacing.checkpoint_saved(self.seconds)
        self._checkpoint_seconds = time.monotonic() - start

    def _update_closing(self) -> None:
        """Reserve the time after the last step again at `_CLOSING_ESTIMATES`."""
        if not self.config.minutes or not self._closing_estimates:
            return
        if self._closing_estimates[0] <= self.schedule.progress(self.step, self.seconds) < 1:
            self._closing_estimates.pop(0)
            self.schedule.closing_seconds = self._estimate_closing_seconds()

    def _estimate_closing_seconds(self) -> float:
        """The seconds of the last evaluation and of writing the last files."""
        self.evaluation.estimate(self.predictor())
        if not self._checkpoint_seconds:
            self.distributed.run_on_main(self._estimate_checkpoint_seconds)
        # after the last checkpoint the parameters alone are written: a third of it
        return self.evaluation.seconds + 4 / 3 * self.distributed.from_main(self._checkpoint_seconds)

    def _estimate_checkpoint_seconds(self) -> None:
        """Measure how long the parameters take to write; the optimizer has two tensors for each."""
        start = time.monotonic()
        file = self.run.folder / ".measured.safetensors"
        save_tensors(file, self.eval_model().state_dict())
        file.unlink()
        self._checkpoint_seconds = 3 * (time.monotonic() - start)

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
        log_with=None if config.log_with == "none" else config.log_with,
        project_dir=config.out,
        # batch-norm statistics are the same in all processes already
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
        ],
    )
