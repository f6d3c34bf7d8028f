"""Control over freed memory in glibc: keep it in the process for a training, or return it for a server."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> None:
    """Keep freed memory in the process.

    By default glibc returns each large tensor to the system and requests zeroed memory again, which takes 0.4
    of a training step on a CPU. Does nothing with other C libraries.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 500_000_000)):
            mallopt(parameter, value)


def give_back() -> None:
    """Return free memory to the system, except at the end of each arena.

    glibc keeps up to eight arenas per core, Streamlit's threads use any of them, and memory that is freed in
    one stays there ("Malloc Tunable Parameters", the GNU C Library's manual): a gigabyte after some hundred
    photos. ``MALLOC_ARENA_MAX`` is read when a process starts, so only an administrator can set it.
    """
    with suppress(TypeError, AttributeError):  # Windows, and other libraries
        ctypes.CDLL(None).malloc_trim(0)
