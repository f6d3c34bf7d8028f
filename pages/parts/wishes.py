"""What a visitor asks of a training, and why it is refused."""

import os
from typing import Any

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


def allowed() -> bool:
    """Whether trainings may be started from the page: ``SEG_TRAINING``, or else where nobody but this computer can reach it."""
    return _said() == "on" or (_said() != "off" and st.get_option("server.address") in ("localhost", "127.0.0.1", "::1"))


def why_not() -> str:
    """Why trainings may not be started."""
    if _said() == "off":
        return "they are switched off by `SEG_TRAINING=off`"
    return "the server can be reached from other computers. `SEG_TRAINING=on` allows it"


def _said() -> str:
    return os.environ.get("SEG_TRAINING", "").lower()


def told(act: Any, *given: Any) -> None:
    """Does something; where it is refused, the reason is shown with the run."""
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
