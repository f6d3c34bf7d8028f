"""The processes of one training: which of them writes, whose part of a batch is which, how they agree, and how they end.

`accelerate launch` or torchrun starts them; a training started plainly is a team of one. Knows nothing of networks, data or runs.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import numpy as np
import psutil
import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import Tensor

T = TypeVar("T")

LONGEST = timedelta(days=1)
"""How long the others wait for what one of them does alone, such as decoding; one that ends is noticed at once."""

POLL, GRACE = 1.0, 10.0
"""Seconds between two looks at whether all processes are there, and seconds to notice by itself that one is not."""


class TeamError(ValueError):
    """Processes that cannot train together; the message says why and what to do."""


class Team:
    """One process and its fellows."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self._fellows: dict[int, psutil.Process] = {}  # those on this machine, this process among them
        self._group: dist.ProcessGroup | None = None

    @classmethod
    def join(cls, device: torch.device) -> "Team":
        """The team that this process was started in. Raises `TeamError` where there are fewer GPUs than processes."""
        if cls.started() == 1:
            return cls()
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if device.type == "cuda" and here > torch.cuda.device_count():
            raise TeamError(
                f"{here} processes were started, but PyTorch can use {torch.cuda.device_count()} GPUs, and each needs its own. "
                "Start as many processes as there are GPUs, or choose --device cpu."
            )
        state = PartialState(cpu=device.type == "cpu")
        team = cls(state.process_index, state.num_processes)
        # agreements go over the host, beside the gradients: they don't wait for a GPU
        team._group = dist.new_group(backend="gloo", timeout=LONGEST)  # type: ignore[assignment]  # a number is for who is not in it
        found: list[tuple[str, int]] = [("", 0)] * team.size
        dist.all_gather_object(found, (socket.gethostname(), os.getpid()), team._group)
        team._fellows = {i: psutil.Process(pid) for i, (host, pid) in enumerate(found) if host == socket.gethostname()}
        return team

    @staticmethod
    def started() -> int:
        """In how many processes this one was started."""
        return int(os.environ.get("WORLD_SIZE", "1"))

    @property
    def writer(self) -> bool:
        """Whether it is this process that writes the run's folder and the terminal."""
        return self.rank == 0

    @property
    def speaks(self) -> bool:
        """Whether this process is the first of those that still are there."""
        return all(self._gone(i) for i in range(self.rank))

    def mine(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch that all share."""
        return batch.chunk(self.size)[self.rank]

    def first(self, work: Callable[[], T]) -> T | None:
        """Has the writer do something while the others wait. Where it fails, they end without a word: the writer says why."""
        if self.size == 1:
            return work()
        if not self.writer:
            if self.any(False):
                raise SystemExit(1)
            return None
        try:
            found = work()
        except BaseException:
            self.any(True)
            raise
        self.any(False)
        return found

    def any(self, mine: bool) -> bool:
        """Whether it is so in any of the processes; all of them ask."""
        return bool(self.total(np.array([mine], np.int64))[0])

    def total(self, mine: np.ndarray) -> np.ndarray:
        """The sum over the processes; all of them ask."""
        if self.size == 1:
            return mine
        found = torch.from_numpy(mine.copy())
        dist.all_reduce(found, group=self._group)
        return found.numpy()

    def mean(self, mine: Tensor) -> Tensor:
        """The mean over the processes, on the device and without waiting for it; all of them ask."""
        if self.size == 1:
            return mine
        found = mine.detach().clone()
        dist.all_reduce(found)
        return found / self.size

    def lost(self, error: BaseException) -> bool:
        """Whether an error says that another process is no longer there."""
        words = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe")
        return self.size > 1 and isinstance(error, RuntimeError) and any(word in str(error) for word in words)

    @contextlib.contextmanager
    def watch(self, ended: Callable[[], None]) -> Iterator[None]:
        """Ends this process, and calls `ended` before, where another is gone and this one does not notice.

        gloo notices; a GPU that waits for another one in NCCL would do so for ten minutes, and Python with it.
        """
        over = threading.Event()

        def look() -> None:
            while not over.wait(POLL):
                if any(self._gone(i) for i in self._fellows) and not over.wait(GRACE):
                    ended()
                    os._exit(1)

        watcher = threading.Thread(target=look, daemon=True)
        if self.size > 1:
            watcher.start()
        try:
            yield
        finally:
            over.set()
            if self.size > 1:
                watcher.join()

    def part(self) -> None:
        """Ends the team, once all are here."""
        if self.size > 1:
            dist.barrier(self._group)
            dist.destroy_process_group()

    def _gone(self, rank: int) -> bool:
        if rank not in self._fellows:
            return False  # on another machine: not known
        try:
            fellow = self._fellows[rank]
            return not fellow.is_running() or fellow.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return True
