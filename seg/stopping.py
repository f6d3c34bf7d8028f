"""Being told to end, by ctrl-C or by SIGTERM: once, however often it is said. Knows nothing of what is ended."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """This process was told to end."""

    signal = signal.SIGINT


def once(number: int) -> None:
    """From now on the signal raises `Stopped` in the main thread; then it, and the others, have no further effect."""
    if signal.getsignal(number) != signal.SIG_IGN:  # a shell's, for what goes on in the background
        signal.signal(number, _stop)


@contextmanager
def orderly() -> Iterator[None]:
    """Where ctrl-C, or another signal that `once` was asked for, ends this: a word, and 128 + the signal as exit code."""
    once(signal.SIGINT)
    try:
        yield
    except KeyboardInterrupt as end:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        print("stopped", file=sys.stderr)
        sys.exit(128 + getattr(end, "signal", signal.SIGINT))


def _stop(number: int, _: object) -> None:
    for each in SIGNALS:
        signal.signal(each, lambda *_: None)  # SIG_IGN would complain of one that is on its way
    end = Stopped()
    end.signal = signal.Signals(number)
    raise end
