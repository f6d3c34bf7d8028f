"""Actions that start or change processes on the server: who may start them, and their error messages."""

import os
import threading
from typing import Any

import streamlit as st

from seg.data.pairs import DatasetError
from seg.errors import printable, user_message
from seg.inference.device import DeviceError
from seg.models.model_card import WeightsError
from seg.models.pretrained import PretrainedWeightsError
from seg.system import action_policy
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

RUNS, PUBLISHED, NEW = "Runs", "Published", "New training"
"""The two views of the Train page."""

_announced = threading.Event()


def allowed() -> bool:
    """Return whether this page may start processes, see `action_policy`."""
    return action_policy.may_start(_setting(), _settings(), st.context.headers)


def why_not() -> str:
    """Return the reason why this page may not start processes, as a clause."""
    return action_policy.refusal(_setting(), _settings())


def announce() -> None:
    """Print on the server's terminal what the pages may start, once."""
    if not _announced.is_set():
        _announced.set()
        print(printable(action_policy.announcement(_setting(), _settings())), flush=True)


def show_disabled_reason() -> None:
    """Explain below a disabled button why it is disabled; show nothing if it is enabled."""
    if not allowed():
        st.caption(f"Starting processes from this page is disabled: {why_not()}.")


def _setting() -> str:
    return os.environ.get(action_policy.VARIABLE, "").strip().lower()


def _settings() -> action_policy.ServerSettings:
    return action_policy.ServerSettings(
        address=st.get_option("server.address"),
        public_name=st.get_option("browser.serverAddress"),
        allowed_hosts=action_policy.texts(st.get_option("server.allowedHosts")),
        origins=action_policy.texts(st.get_option("server.corsAllowedOrigins")),
        checks_origin=bool(
            st.get_option("server.enableCORS") and st.get_option("server.enableXsrfProtection")
        ),
    )


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
