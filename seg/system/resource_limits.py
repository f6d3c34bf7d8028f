"""Limits of this process that the system enforces, even within a C library."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@contextmanager
def processor_time_limit(seconds: int) -> Iterator[None]:
    """End this process if a block needs more processor time, in all threads together.

    Unlike elapsed time, it does not depend on what else the machine does. The system ends the process by
    SIGXCPU. Without such limits (Windows) nothing happens.

    Args:
        seconds: the limit.
    """
    if resource is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    limit = math.ceil(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, before)


def limit_memory(size: int) -> None:
    """Let allocations fail with MemoryError if this process takes more memory than now.

    Args:
        size: the additional bytes it may take.
    """
    if resource is None:
        return
    memory = psutil.Process().memory_info()
    used = getattr(memory, "data", memory.vms)  # on Linux, only what can be written
    with suppress(ValueError, OSError):  # some systems do not know this limit
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (used + size, hard))
