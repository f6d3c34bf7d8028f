"""Actions that start or change processes on the server: who may start them, and their error messages."""

import os
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from seg.data.pairs import DatasetError
from seg.errors import user_message
from seg.inference.device import DeviceError
from seg.models.model_card import WeightsError
from seg.models.pretrained import PretrainedWeightsError
from seg.system.status_file import StatusError
from seg.training.config import TrainError
from seg.training.run import RunError
from ui.shared.text import plain
from ui.state.session import session
from ui.training import form

ACTION_ERRORS = (
    TrainError,
    RunError,
    StatusError,
    DatasetError,
    PretrainedWeightsError,
    WeightsError,
    DeviceError,
    OSError,
)
"""Errors whose message is shown to the visitor."""

RUNS, NEW = "Runs", "New training"
"""The two views of the Train page."""

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
"""Headers that a proxy adds to requests."""


def allowed() -> bool:
    """Return whether this page may start processes.

    ``SEG_TRAINING`` decides; without it, only a server that no other computer can reach allows it. A proxy on
    this computer makes the server reachable: it forwards the requested host name or adds a header of its own.
    """
    if _setting():
        return _setting() == "on"
    host = st.context.headers.get("Host", LOCAL_HOSTS[0])
    return (
        st.get_option("server.address") in LOCAL_HOSTS
        and urlsplit(f"//{host}").hostname in LOCAL_HOSTS
        and not any(name in st.context.headers for name in PROXY_HEADERS)
    )


def why_not() -> str:
    """Return the reason why this page may not start processes, as a clause."""
    if _setting():
        return f"the administrator has set `SEG_TRAINING={_setting()}`"
    return "the server can be reached from other computers. Set `SEG_TRAINING=on` to allow it"


def show_disabled_reason() -> None:
    """Explain below a disabled button why it is disabled; show nothing if it is enabled."""
    if not allowed():
        st.caption(f"Starting processes from this page is disabled: {why_not()}.")


def _setting() -> str:
    return os.environ.get("SEG_TRAINING", "").strip().lower()


def run_action(action: Any, *arguments: Any) -> None:
    """Call an action if it is allowed; `show_error` shows its error on the next run of the page."""
    if not allowed():  # the button is disabled, but a client may send the click anyway
        return
    try:
        action(*arguments)
    except ACTION_ERRORS as error:
        session()["action_error"] = user_message(error)


def show_error() -> None:
    """Show why the last action failed, once."""
    message = session().pop("action_error", None)
    if message:
        st.error(plain(form.in_form_terms(message)), icon=":material/error:")
