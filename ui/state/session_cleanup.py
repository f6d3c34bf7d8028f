"""Deletes sessions and uploads after visitors leave.

Streamlit keeps the session of a disconnected browser for two minutes, but deletes it only when another
browser connects or disconnects. On an idle server the session and its uploads would stay in memory.

Deleted sessions contain reference cycles, which Python collects only while it allocates objects: hence
`gc.collect`.
"""

import gc
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import streamlit as st
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state import SessionState

from seg.system import allocator

INTERVAL = 10
"""Seconds between two clean-ups."""


@st.cache_resource(show_spinner=False)
def start_cleanup() -> None:
    """Start the clean-up thread, once per server: call it on every page."""
    if runtime.exists() and hasattr(runtime.get_instance(), "_session_mgr"):  # a page in a test has no server
        threading.Thread(target=_run_cleanup, args=(runtime.get_instance(),), daemon=True).start()


def _run_cleanup(server: runtime.Runtime) -> None:
    # sessions have no public interface, and they belong to the thread of this event loop
    loop = server._get_async_objs().eventloop
    manager = server._session_mgr
    previous: set[str] = set()

    def delete_expired() -> None:
        nonlocal previous
        storage: Any = cast(Any, manager)._session_storage  # private to the manager
        for _, expired in storage._cache.expire():
            expired.session.shutdown()
            # Streamlit's event loop keeps a reference to the last active session
            expired.session._session_state = SessionState()
        present = {info.session.id for info in manager.list_sessions()}
        if previous - present:
            gc.collect()
        previous = present

    while not loop.is_closed():
        with suppress(RuntimeError):  # closed meanwhile
            loop.call_soon_threadsafe(delete_expired)
        time.sleep(INTERVAL)
        allocator.give_back()


def release_uploads(upload_ids: Iterable[str]) -> None:
    """Delete uploaded files from memory; their uploader must not be drawn again."""
    context = get_script_run_ctx()
    if context is not None:
        manager = cast(MemoryUploadedFileManager, context.uploaded_file_mgr)
        for upload_id in upload_ids:
            manager.remove_file(context.session_id, upload_id)
