"""What visitors gave goes when they do.

Streamlit keeps a session for two minutes after its browser went, in case that comes back, but forgets it only when some other
browser comes or goes: after the last visitor that may be days later. And it keeps uploaded files in memory as long.

What is forgotten is not yet gone: Python looks for cycles only while it makes objects.
"""

import gc
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state import SessionState

from pages.parts import memory

LOOK = 10
"""Seconds between two looks."""


@st.cache_resource(show_spinner=False)
def forget() -> None:
    """From now on sessions that cannot come back are forgotten though nobody else comes: call it on every page."""
    if runtime.exists() and hasattr(runtime.get_instance(), "_session_mgr"):  # a page in a test has no server
        threading.Thread(target=_forget, args=(runtime.get_instance(),), daemon=True).start()


def _forget(server: runtime.Runtime) -> None:
    loop = server._get_async_objs().eventloop  # there is no public way to the sessions, and they belong to its thread
    manager = server._session_mgr
    known: set[str] = set()

    def end() -> None:
        nonlocal known
        for _, gone in manager._session_storage._cache.expire():
            gone.session.shutdown()
            gone.session._session_state = SessionState()  # Streamlit's loop holds the last session that was sent something
        now = {one.session.id for one in manager.list_sessions()}
        if known - now:
            gc.collect()
        known = now

    while not loop.is_closed():
        with suppress(RuntimeError):  # closed meanwhile
            loop.call_soon_threadsafe(end)
        time.sleep(LOOK)
        memory.give_back()


def free(uploads: Iterable[str]) -> None:
    """Takes uploaded files, by id, out of memory; their uploader must not be drawn again with them."""
    context = get_script_run_ctx()
    if context is not None:
        for upload in uploads:
            context.uploaded_file_mgr.remove_file(context.session_id, upload)
