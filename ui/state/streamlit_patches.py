"""Removes Streamlit behavior that is unsuitable for a public server and has no setting."""

import logging

from streamlit import net_util
from streamlit.runtime.app_session import AppSession


def harden() -> None:
    """Apply the patches. Call it on every page before anything else; repeated calls have no effect."""
    # any browser may request it, and it empties the caches of all visitors
    setattr(AppSession, "_handle_clear_cache_request", _ignore)  # noqa: B010
    # otherwise a request from another site makes the server ask an Amazon service for its own address
    net_util._external_ip = ""
    # otherwise every malformed message writes a traceback
    for name in ("streamlit.web.server.starlette.starlette_websocket", "uvicorn.error"):
        logging.getLogger(name).addFilter(_shorten)


def _ignore(session: AppSession) -> None:
    """Do nothing."""


def _shorten(record: logging.LogRecord) -> bool:
    if record.exc_info:
        record.msg = f"{record.getMessage().strip()} ({record.exc_info[1]!r:.200})"
        record.args, record.exc_info = (), None
    return True
