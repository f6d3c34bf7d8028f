"""Handling of SIGINT and SIGTERM: end a process once, or ask a training to stop after its current step."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequested(KeyboardInterrupt):
    """A signal asked this process to end."""

    signal = signal.SIGINT


def once(number: int) -> None:
    """Raise `StopRequested` in the main thread at the first signal, and ignore all later ones.

    Args:
        number: the signal. If the process already ignores it, as background jobs do, nothing changes.
    """
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, _stop)


@contextmanager
def graceful_exit() -> Iterator[None]:
    """Exit cleanly when Ctrl-C, or another signal registered with `once`, ends the block.

    Raises:
        SystemExit: with code 128 + signal number, after "stopped" was printed to stderr.
    """
    once(signal.SIGINT)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        print("stopped", file=sys.stderr)
        sys.exit(128 + getattr(interrupt, "signal", signal.SIGINT))


def _stop(number: int, _: object) -> None:
    for handled in SIGNALS:
        signal.signal(
            handled, lambda *_: None
        )  # with SIG_IGN, Python reports a signal that is already pending
    request = StopRequested()
    request.signal = signal.Signals(number)
    raise request


class StopRequest:
    """Signal handler that records a request to stop.

    Attributes:
        at_once: whether a signal raises KeyboardInterrupt instead of waiting for the end of the step.
        asked: whether a signal has arrived.
    """

    def __init__(self, at_once: bool) -> None:
        self.at_once, self.asked = at_once, False

    def __call__(self, *_: object) -> None:
        """Record the request, or raise KeyboardInterrupt if `at_once` is set."""
        if self.at_once:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def stop_on_signals(at_once: bool) -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM with a `StopRequest` in the block, and restore the handlers afterwards."""
    stop_request = StopRequest(at_once)
    previous_handlers = {number: signal.signal(number, stop_request) for number in SIGNALS}
    try:
        yield stop_request
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
