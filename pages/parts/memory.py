"""What was freed goes back to the system, where the C library is glibc: it keeps a gigabyte after some hundred photos.

It has eight arenas for each core, Streamlit's threads get one or another, and what is freed in one is kept for it. Two of them,
emptied now and then, keep little ("Malloc Tunable Parameters", the GNU C Library's manual).
"""

import ctypes
from contextlib import suppress

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


def keep_little() -> None:
    """Call it before there are eight arenas: those that there are stay, and from then on glibc holds to a number."""
    with suppress(TypeError, AttributeError):  # Windows, and other libraries
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def give_back() -> None:
    """Gives back what is free now."""
    with suppress(TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
