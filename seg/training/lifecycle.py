"""Create, train and resume a run.

On the same machine with the same number of threads, a resumed run ends with exactly the parameters of an
unbroken one. If several processes train together (`seg.training.distributed`), each takes its rows of every
batch, and the first one writes.
"""

import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from seg.data import label_decoder
from seg.data.datasets import check_split, classes_of, has_split, split_files
from seg.data.split_folders import find_misplaced
from seg.errors import printable
from seg.inference.device import pick_training_device
from seg.models.pretrained import PretrainedEncoder
from seg.system.status_file import StatusError, at_work
from seg.training.config import TrainConfig, TrainError
from seg.training.distillation import describe_teacher
from seg.training.distributed import DistributedContext
from seg.training.lineage import TRAINER_VERSION, check_architecture, resolve_init
from seg.training.run import HEARTBEAT, Run
from seg.training.session import Session
from seg.training.trackers import check_tracker

_IN_TRAINING = (
    "Another process is training {folder} right now. End it first, with Ctrl-C where it was started."
)


def create(config: TrainConfig, command: str, on_note: Callable[[str], object] = lambda _: None) -> Run:
    """Create the folder of a run, ``config.out``, for `resume` to start.

    The run that ``config.init_from`` names may still be in training: `resume` waits for its end.

    Args:
        config: the settings.
        command: the literal command that creates and trains the run.
        on_note: called with the note of `check_pairs`, if there is one.

    Returns:
        The run.

    Raises:
        StreetFCNError: if the settings, the data or the initial weights cannot be used; nothing is created
            then.
    """
    parent = Run(Path(config.init_from))
    if config.init_from and parent.alive():
        parent_config = parent.complete_config()
        check_architecture(config, TrainConfig.from_json(parent_config).arch)
        encoder, lineage = PretrainedEncoder(**parent_config["start"]), None
    else:
        encoder, lineage = resolve_init(config)
    pick_training_device(config.device)
    check_tracker(config.log_with)
    if note := check_pairs(config):
        on_note(note)
    metadata = {
        "command": command,
        "classes": classes_of(config.data).classes,
        "decoder_version": label_decoder.DECODER_VERSION,
        "start": dataclasses.asdict(encoder),
        "lineage": lineage and dataclasses.asdict(lineage),
        "distilled_from": describe_teacher(config.teacher),
        "behavior": TRAINER_VERSION,
        "created": time.time(),
    }
    run = Run(config.out)
    run.create(config.to_json() | metadata)
    if note:
        run.log(f"warning: {note}")
    return run


def check_pairs(config: TrainConfig) -> str:
    """Check the pairs of a training that has not started, without decoding them.

    Args:
        config: the settings.

    Returns:
        A note for the user if `publish` will not evaluate the network on val; otherwise an empty string.

    Raises:
        DatasetError: if a split is missing or damaged, or if no pair of train, of the held-out slice or of
            val has a label.
        TrainError: if there are too few pairs, or none to evaluate the network on.
    """
    files = split_files(config.data, "train")
    num_train = len(files) - config.holdout
    check_split(config.data, "train")
    if num_train < config.batch_size:
        raise TrainError(
            f"{config.data} has {len(files)} samples in train; with {config.holdout} held out, less than a"
            f" batch of {config.batch_size} is left. Choose a smaller --holdout, for example"
            f" {len(files) // 5}, or a smaller --batch-size."
        )
    check_split(config.data, "train", slice(num_train))
    for folder, _ in config.sets[1:]:
        check_split(folder, "train")
    if config.holdout:
        check_split(config.data, "train", slice(num_train, None))
    if has_split(config.data, "val"):
        check_split(config.data, "val")
        return ""
    misplaced = find_misplaced(config.data, "val")
    if not config.holdout:
        remedy = misplaced or f"Add samples in {config.data / 'val'}."
        raise TrainError(
            f"{config.data} has no val, and no samples of train are held out: the network could not be"
            f" evaluated and published. {remedy} Or choose --holdout."
        )
    return (
        f"{config.data} has no val: publish will evaluate the network on the {config.holdout} held-out"
        f" samples of train. {misplaced}"
    ).strip()


def train(config: TrainConfig) -> None:
    """Create a run in ``config.out`` and train it to its end.

    Args:
        config: the settings.

    Raises:
        StreetFCNError: if the run cannot be created (see `create`) or fails.
        KeyboardInterrupt: if it is stopped before its first step.
    """
    distributed = DistributedContext.init(pick_training_device(config.device))
    size = distributed.size
    program = "python" if size == 1 else f"accelerate launch --multi_gpu --num_processes {size}"

    def begin() -> None:
        _check_processes(config, distributed)
        command = f"{program} -m seg {shlex.join(sys.argv[1:])}"
        create(config, command, lambda note: print(printable(note), flush=True))
        until_the_end.enter_context(_training(config.out))

    with contextlib.ExitStack() as until_the_end:
        distributed.run_on_main(begin)
        Session(config, distributed).work()


def resume(folder: Path) -> None:
    """Continue a run from its newest checkpoint, or start it if it has none.

    Args:
        folder: the run's folder.

    Raises:
        StreetFCNError: if the folder is not a run, is finished or in training, or if the training fails.
    """
    run = Run(folder)
    stored = run.complete_config()
    if stored["decoder_version"] != label_decoder.DECODER_VERSION:
        raise TrainError(f"{folder} was trained on labels of another decoder; this version cannot resume it.")
    config = dataclasses.replace(TrainConfig.from_json(stored), out=folder)
    distributed = DistributedContext.init(pick_training_device(config.device))

    def begin() -> None:
        _check_processes(config, distributed)
        if run.alive():
            raise TrainError(_IN_TRAINING.format(folder=folder))
        until_the_end.enter_context(_training(folder))
        if (folder / "model.safetensors").exists():
            raise TrainError(
                f"{folder} is finished. Publish it: python -m seg publish {folder} --name NAME. For more"
                f" epochs: python -m seg train --init-from {folder} --epochs N --out NEW_RUN."
            )
        if stored.get("behavior") != TRAINER_VERSION:
            run.log(
                "warning: another version of the trainer started this run; the result will differ from what"
                " it would have been"
            )

    with contextlib.ExitStack() as until_the_end:
        distributed.run_on_main(begin)
        Session(config, distributed).work()


@contextlib.contextmanager
def _training(folder: Path) -> Iterator[None]:
    """Hold the lock of a run: no other process can train, rename or delete it during the block."""
    with contextlib.ExitStack() as lock:
        try:
            lock.enter_context(at_work(folder, HEARTBEAT))
        except StatusError:
            raise TrainError(_IN_TRAINING.format(folder=folder)) from None
        yield


def _check_processes(config: TrainConfig, distributed: DistributedContext) -> None:
    if config.batch_size % distributed.size:
        raise TrainError(
            f"A batch of {config.batch_size} samples cannot be divided among {distributed.size} processes."
            f" Start another number of them, or choose a --batch-size that {distributed.size} divides."
        )
    if config.mixes_crops and config.batch_size // distributed.size % 2:
        raise TrainError(
            f"--class-mix and --amplitude-mix need an even number of crops in each of the {distributed.size}"
            " processes. Choose another --batch-size."
        )
    if (
        distributed.size > 1
        and not config.freeze_batchnorm
        and pick_training_device(config.device).type == "cpu"
    ):
        raise TrainError(
            "Several processes share batch-norm statistics on GPUs only. On CPUs, choose --freeze-batchnorm,"
            " or train in one process."
        )
