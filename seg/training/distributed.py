"""Distributed training: ranks, batch sharding, collectives and shutdown.

``accelerate launch`` or ``torchrun`` starts the processes; a training that is started plainly has one.
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

from seg.errors import StreetFCNError

T = TypeVar("T")

COLLECTIVE_TIMEOUT = timedelta(days=1)
"""How long processes wait for what one of them does alone, such as decoding; the end of a process is noticed
at once."""

POLL_SECONDS = 1.0
"""Between two checks that all processes are alive."""
GRACE_SECONDS = 10.0
"""For a process to notice by itself that a peer has ended."""


class DistributedError(StreetFCNError, ValueError):
    """Processes that cannot train together; the message names the cause and a remedy."""


class DistributedContext:
    """The rank of this process among those that train together, and their collectives.

    All processes must call a collective, or all of them wait.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self._peers: dict[int, psutil.Process] = {}  # by rank; those on this machine, this process included
        self._group: dist.ProcessGroup | None = None

    @classmethod
    def init(cls, device: torch.device) -> "DistributedContext":
        """The context of this process, as its launcher started it.

        Raises:
            DistributedError: if there are fewer GPUs than processes.
        """
        if cls.world_size_from_env() == 1:
            return cls()
        local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if device.type == "cuda" and local_size > torch.cuda.device_count():
            raise DistributedError(
                f"{local_size} processes were started, but PyTorch can use {torch.cuda.device_count()} GPUs,"
                " and each needs its own. Start as many processes as there are GPUs, or choose --device cpu."
            )
        state = PartialState(cpu=device.type == "cpu")
        context = cls(state.process_index, state.num_processes)
        # these collectives use the host beside the gradients' own group: they do not wait for a GPU
        context._group = dist.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT)  # type: ignore[assignment]
        processes: list[tuple[str, int]] = [("", 0)] * context.size
        dist.all_gather_object(processes, (socket.gethostname(), os.getpid()), context._group)
        own_host = socket.gethostname()
        context._peers = {
            rank: psutil.Process(pid) for rank, (host, pid) in enumerate(processes) if host == own_host
        }
        return context

    @staticmethod
    def world_size_from_env() -> int:
        """The number of processes, as their launcher set it in the environment."""
        return int(os.environ.get("WORLD_SIZE", "1"))

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes the run's folder and the terminal."""
        return self.rank == 0

    @property
    def is_first_alive(self) -> bool:
        """Whether all processes of lower rank have ended."""
        return all(self._has_ended(rank) for rank in range(self.rank))

    def shard(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch that all share."""
        return batch.chunk(self.size)[self.rank]

    def run_on_main(self, work: Callable[[], T]) -> T | None:
        """Call `work` in the main process while the others wait.

        Returns:
            Its result in the main process, None in the others.

        Raises:
            SystemExit: in the others if `work` fails; the main process raises the error itself.
        """
        if self.size == 1:
            return work()
        if not self.is_main_process:
            if self.any_rank(False):
                raise SystemExit(1)
            return None
        try:
            result = work()
        except BaseException:
            self.any_rank(True)
            raise
        self.any_rank(False)
        return result

    def any_rank(self, value: bool) -> bool:
        """Whether `value` is true in any process. A collective."""
        return bool(self.all_reduce_sum(np.array([value], np.int64))[0])

    def all_reduce_sum(self, value: np.ndarray) -> np.ndarray:
        """The sum over the processes. A collective."""
        if self.size == 1:
            return value
        total = torch.from_numpy(value.copy())
        dist.all_reduce(total, group=self._group)
        return total.numpy()

    def mean(self, value: float) -> float:
        """The mean over the processes, so that all of them decide the same. A collective."""
        return float(self.all_reduce_sum(np.array([value]))[0]) / self.size

    def from_main(self, value: float) -> float:
        """The value of the main process. A collective."""
        return float(self.all_reduce_sum(np.array([value if self.is_main_process else 0.0]))[0])

    def all_reduce_mean(self, value: Tensor) -> Tensor:
        """The mean over the processes, on the value's device and without waiting for it. A collective."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.size

    def is_peer_failure(self, error: BaseException) -> bool:
        """Whether an error means that another process has ended."""
        signs = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe")
        return self.size > 1 and isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)

    @contextlib.contextmanager
    def watch_peers(self, on_peer_lost: Callable[[], None]) -> Iterator[None]:
        """End this process if another one has ended and this one does not notice, after a call of
        `on_peer_lost`.

        gloo notices; a GPU that waits for another one in NCCL would wait for ten minutes, and Python with it.
        """
        done = threading.Event()

        def check() -> None:
            while not done.wait(POLL_SECONDS):
                if any(self._has_ended(rank) for rank in self._peers) and not done.wait(GRACE_SECONDS):
                    on_peer_lost()
                    os._exit(1)

        watcher = threading.Thread(target=check, daemon=True)
        if self.size > 1:
            watcher.start()
        try:
            yield
        finally:
            done.set()
            if self.size > 1:
                watcher.join()

    def shutdown(self) -> None:
        """Leave the process group once all processes are here."""
        if self.size > 1:
            dist.barrier(self._group)
            dist.destroy_process_group()

    def _has_ended(self, rank: int) -> bool:
        if rank not in self._peers:
            return False  # on another machine: unknown
        try:
            peer = self._peers[rank]
            return not peer.is_running() or peer.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return True
