"""Limits per visitor, so that a shared server stays responsive. Environment variables change them."""

import logging
import os
import time
from collections import deque

from seg.errors import StreetFCNError
from ui.state.session import session

MAX_PHOTOS = 40
"""Maximum number of photos in a visitor's session."""


def _positive_int(name: str, default: int) -> int:
    """Read a positive integer from the environment; log and ignore other values."""
    text = os.environ.get(name, "")
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if text:
        message = "%s=%r is not a positive integer; the default %s is used."
        logging.getLogger(__name__).warning(message, name, text, default)
    return default


MAX_QUEUE = _positive_int("SEG_WAITING", 40)
"""Maximum number of photos of all visitors in the queue."""
PREDICTIONS_PER_MINUTE = _positive_int("SEG_LOOKS_A_MINUTE", 120)
"""Maximum number of predictions of a visitor per minute. Batches are not counted: they wait in the queue."""
MAX_UPLOAD_MB = _positive_int("SEG_VISITOR_MB", 512)
"""Maximum total size, in MB, of the files in a visitor's uploaders."""


class LimitError(StreetFCNError, RuntimeError):
    """A visitor exceeded a limit; the message says when to try again."""


class RateLimiter:
    """Counts the predictions of a visitor within the last minute."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def count(self) -> None:
        """Count one prediction.

        Raises:
            LimitError: The visitor has used up the predictions of this minute.
        """
        now = time.monotonic()
        while self._times and self._times[0] < now - 60:
            self._times.popleft()
        if len(self._times) >= PREDICTIONS_PER_MINUTE:
            seconds = max(1, round(self._times[0] + 60 - now))
            raise LimitError(
                f"Rate limit reached ({PREDICTIONS_PER_MINUTE} predictions per minute). Try again in"
                f" {seconds} seconds."
            )
        self._times.append(now)


def rate_limiter() -> RateLimiter:
    """Return the rate limiter of the visitor for whom this page runs."""
    return session().setdefault("rate_limiter", RateLimiter())
