"""What one visitor may ask of a server, so that something is left for the others. An administrator may change each."""

import logging
import os
import time
from collections import deque

import streamlit as st

PHOTOS = 40
"""So many photos of a visitor's are kept."""


def _whole(name: str, otherwise: int) -> int:
    """A whole number above 0 from the environment; what is none counts as not said, and the log says so."""
    said = os.environ.get(name, "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    if said:
        logging.getLogger(__name__).warning("%s=%r is no whole number above 0; %s holds.", name, said, otherwise)
    return otherwise


WAITING = _whole("SEG_WAITING", 40)
"""So many photos of all visitors may wait for the network."""
LOOKS = _whole("SEG_LOOKS_A_MINUTE", 120)
"""So many times a minute the network looks for one visitor; a batch waits its turn instead."""
MEGABYTES = _whole("SEG_VISITOR_MB", 512)
"""So much the files in a visitor's uploaders may have together."""


class LimitError(RuntimeError):
    """A visitor asked for more than one may; the message says when to ask again."""


class Looks:
    """When the network looked for a visitor within the last minute."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def count(self) -> None:
        """Counts one more. Raises `LimitError` where that is one too many."""
        now = time.monotonic()
        while self._times and self._times[0] < now - 60:
            self._times.popleft()
        if len(self._times) >= LOOKS:
            again = max(1, round(self._times[0] + 60 - now))
            raise LimitError(f"You have had {LOOKS} looks within a minute, and others wait too. Try again in {again} seconds.")
        self._times.append(now)


def looks() -> Looks:
    """Those of the visitor for whom this page runs."""
    return st.session_state.setdefault("looks", Looks())
