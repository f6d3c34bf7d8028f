"""What a visitor asks of a training, and why it is refused."""

import os
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from pages.parts import form
from pages.parts.frame import plain
from seg import dataset, weights
from seg.checkpoint import RunError
from seg.encoder import StartError
from seg.files import why
from seg.predict import DeviceError
from seg.recipe import TrainError

REFUSALS = (TrainError, RunError, dataset.DatasetError, StartError, weights.WeightsError, DeviceError, OSError)
"""What is told to the visitor in a sentence."""

RUNS, NEW = "Runs", "New training"
"""The two views of the page."""


HERE = ("localhost", "127.0.0.1", "::1")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
"""What a proxy adds to what it passes on."""


def allowed() -> bool:
    """Whether trainings may be started from the page: ``SEG_TRAINING``, or else where nobody but this computer can reach it.

    A proxy on this computer reaches it for others; it passes on what name they called, or says that it is one.
    """
    if _said():
        return _said() == "on"
    called = st.context.headers.get("Host", HERE[0])
    return (
        st.get_option("server.address") in HERE
        and urlsplit(f"//{called}").hostname in HERE
        and not any(name in st.context.headers for name in FORWARDED)
    )


def why_not() -> str:
    """Why trainings may not be started."""
    if _said():
        return f"the administrator has set `SEG_TRAINING={_said()}`"
    return "the server can be reached from other computers. `SEG_TRAINING=on` allows it"


def excuse() -> None:
    """Says below what is off why nothing can be started, where that is so."""
    if not allowed():
        st.caption(f"Nothing can be started from this page: {why_not()}.")


def _said() -> str:
    return os.environ.get("SEG_TRAINING", "").strip().lower()


def told(act: Any, *given: Any) -> None:
    """Does something; where it is refused, the reason is shown with the run."""
    if not allowed():  # nobody is offered it, but somebody may send it all the same
        return
    try:
        act(*given)
    except REFUSALS as error:
        st.session_state["refused"] = why(error)


def refused() -> None:
    """Why the last wish was not done."""
    sentence = st.session_state.pop("refused", None)
    if sentence:
        st.error(plain(form.in_words(sentence)), icon=":material/error:")


def lasting(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def free(name: str, taken: list[str]) -> str:
    """A name like this one that is not taken."""
    stem, number = name.rstrip("0123456789").rstrip("-") or name, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name
