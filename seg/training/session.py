"""One process's session on a run: waiting for the device, training, and a reported end."""

import contextlib
import errno
import time
from pathlib import Path

from safetensors import SafetensorError

from seg.errors import StreetFCNError, printable, user_message
from seg.inference.device import out_of_memory, pick_training_device
from seg.system.allocator import keep_freed_memory
from seg.system.device_queue import POLL, wait_for_device
from seg.system.signals import StopRequest, stop_on_signals
from seg.training.config import TrainConfig, TrainError
from seg.training.distributed import DistributedContext
from seg.training.run import Run, SilentRun
from seg.training.trainer import Trainer

_PEER_LOST = (
    "One of the processes of this training ended; where it could, it said why in log.txt. The last checkpoint"
    " is kept; resume with --resume {run}."
)


class Session:
    """The work of this process on a run, from its place in the queue to the last heartbeat.

    Args:
        config: the run's settings; ``config.out`` is its folder.
        distributed: the processes that train together.
    """

    def __init__(self, config: TrainConfig, distributed: DistributedContext) -> None:
        self.config, self.distributed = config, distributed
        self.run = Run(config.out) if distributed.is_main_process else SilentRun(config.out)
        self.device = pick_training_device(config.device)
        self.trainer: Trainer | None = None
        self._last_heartbeat = self.run.read_heartbeat()
        self._printed: set[str] = set()

    def work(self) -> None:
        """Train until the run is finished or stopped; the heartbeat and log.txt record how it ended.

        Raises:
            TrainError: if the training fails; the last checkpoint is kept.
            KeyboardInterrupt: if it is stopped before its first step.
        """
        keep_freed_memory()
        distributed = self.distributed
        with stop_on_signals(at_once=distributed.size == 1) as stop, contextlib.ExitStack() as until_the_end:
            try:
                distributed.run_on_main(lambda: until_the_end.enter_context(self._wait(stop)))
                self._write_heartbeat(
                    "running"
                )  # before the slow start, so that no other process takes the run as well
                until_the_end.enter_context(distributed.watch_peers(self._report_lost_peer))
                self.trainer = Trainer(self.run, self.config, distributed)
                until_the_end.callback(self.trainer.close)
                stop.at_once = False
                status = self.trainer.fit(stop)
                distributed.shutdown()
                self._write_heartbeat(status)
            except KeyboardInterrupt:  # in the queue or before the first step
                self._write_heartbeat("stopped")
                self.run.log("stopped before training continued")
                raise
            except BaseException as error:
                self._report_failure(error)
                raise

    def _wait(self, stop: StopRequest) -> contextlib.AbstractContextManager[None]:
        """Wait for the run that this one starts from, and for the device."""
        parent = Run(Path(self.config.init_from))
        # the stage before may have been started a moment ago; once this run has a checkpoint, it needs
        # nothing from it
        while self.config.init_from and self.run.state() is None and parent.unfinished():
            state = "which this run starts from" if parent.alive() else "which ended early: resume it first"
            self._queue(f"waiting for {self.config.init_from}, {state}", stop)
            time.sleep(POLL)
        return wait_for_device(
            self.device.type,
            str(self.run.folder),
            lambda holder: self._queue(f"waiting for {holder}, which trains here or waits for it", stop),
        )

    def _queue(self, message: str, stop: StopRequest) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        if message not in self._printed:
            print(printable(message), flush=True)
        self._printed.add(message)
        self._write_heartbeat("queued", message)

    def _write_heartbeat(self, status: str, message: str = "", run: Run | None = None) -> None:
        last = self._last_heartbeat
        step, steps = (
            (self.trainer.step, self.trainer.steps)
            if self.trainer
            else (last.get("step", 0), last.get("steps"))
        )
        (run or self.run).write_heartbeat(step, status, message, steps)

    def _report_lost_peer(self) -> None:
        """Record that another process ended, if the process that should do so has not."""
        if self.distributed.is_first_alive and self.run.read_heartbeat().get("status") != "failed":
            run, message = Run(self.config.out), _PEER_LOST.format(run=self.config.out)
            with contextlib.suppress(OSError):
                self._write_heartbeat("failed", message, run)
                run.log(f"failed: {message}")

    def _report_failure(self, error: BaseException) -> None:
        """Record why the training ended. Raises `TrainError` with a sentence if `error` does not have one."""
        if self.distributed.is_peer_failure(error):
            self._report_lost_peer()
            raise TrainError(_PEER_LOST.format(run=self.config.out)) from error
        message = explain(error)
        with contextlib.suppress(OSError):  # if the disk is full, the log cannot be written either
            self._write_heartbeat("failed", message)
            self.run.log(f"failed: {message}")
            if not self.distributed.is_main_process and isinstance(error, Exception):
                process = f"process {self.distributed.rank + 1} of {self.distributed.size}"
                Run(self.config.out).log(f"failed in {process}: {message}")
        if isinstance(error, Exception) and not isinstance(error, (TrainError, ValueError)):
            raise TrainError(
                f"{message} The last checkpoint is kept; resume with --resume {self.run.folder}."
            ) from error


def explain(error: BaseException) -> str:
    """The sentence that explains why a training ended."""
    if isinstance(error, SafetensorError) and "No space left on device" in str(error):
        error = OSError(errno.ENOSPC, "")  # safetensors has no error class of its own for it
    if isinstance(error, (BrokenPipeError, SystemExit)):  # Rich exits if nobody reads its output
        return "What read its output has ended."
    if isinstance(error, OSError):
        return user_message(error)
    if out_of_memory(error):
        return (
            "Out of memory: choose a smaller --batch-size or --height for a new run, or end what else needs"
            " memory."
        )
    return str(error) if isinstance(error, StreetFCNError) else f"{type(error).__name__}: {error}"
