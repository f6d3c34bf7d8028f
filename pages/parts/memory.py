"""What was freed goes back to the system, where the C library is glibc: it would keep a gigabyte after some hundred photos.

It has up to eight arenas for each core, Streamlit's threads get one or another, and what is freed in one is kept for it ("Malloc
Tunable Parameters", the GNU C Library's manual). ``MALLOC_ARENA_MAX`` is read when a process starts, so only an administrator can
set it.
"""

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Gives back what is free now, but the end of each arena."""
    with suppress(TypeError, AttributeError):  # Windows, and other libraries
        ctypes.CDLL(None).malloc_trim(0)
