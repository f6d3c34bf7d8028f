"""A reload gives a visitor a new session: it takes over the uploads and the batch of the session before.

Streamlit keeps the session of a disconnected browser for two minutes. The tab knows the secret token of its
former session; a link does not, so nobody else can take a session over.
"""

import secrets
from typing import Any, cast

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state import SessionState

from ui.components.browser_tab import browser_tab
from ui.state.lru_cache import LruCache
from ui.state.session import session

TAKEN_OVER = (
    "photos",
    "photo",
    "sample",
    "upload_ids",
    "upload_numbers",
    "truths",
    "photo_facts",
    "predictions",
    "activations",
    "mask_files",
    "mask_files_of",
    "predicted",
    "point",
    "batch",
    "batch_running",
    "batch_error",
    "batch_turn",
    "batch_zips",
    "batch_videos",
)
"""Keys of the session that a reload keeps."""

_SESSION_IDS = LruCache(10_000)
"""Streamlit's id of each session by token."""


def take_over_former_session() -> None:
    """Take over what this tab's former session held, or note that it is gone: call it on every page."""
    state, context = session(), get_script_run_ctx()
    token = state.setdefault("token", secrets.token_urlsafe(16))
    if context is not None:
        _SESSION_IDS.put((token,), context.session_id)
    with st.sidebar:
        former, state["lacks_upload_cookie"] = browser_tab(token, has_batch="batch" in state)
    if former and not _take_over(former.token):
        in_other_tab = _is_open(_SESSION_IDS.get((former.token,)))
        state.update({"uploads_lost": True, "in_other_tab": in_other_tab, "batch_lost": former.has_batch})


def _take_over(token: str) -> bool:
    """Move the values of a disconnected session into the present one; return whether there was one."""
    former = _disconnected_state(_SESSION_IDS.get((token,)))
    if former is None:
        return False
    state = st.session_state
    uploaded_meanwhile = dict(session().get("photos", {}))
    for key in TAKEN_OVER:
        if key in former:
            state[key] = former[key]
            del former[key]
    session().setdefault("photos", {}).update(uploaded_meanwhile)
    return True


def _is_open(session_id: str | None) -> bool:
    """Return whether a browser tab has this session open."""
    manager = cast(Any, runtime.get_instance())._session_mgr  # there is no public interface
    return session_id is not None and manager.is_active_session(session_id)


def _disconnected_state(session_id: str | None) -> SessionState | None:
    """Return the state of a session whose browser has left; None if it is gone, or still open in a tab of
    which this one is a copy."""
    if session_id is None:
        return None
    storage = cast(Any, runtime.get_instance()._session_mgr)._session_storage  # there is no public interface
    stored = storage.get(session_id)
    return stored.session.session_state if stored else None
