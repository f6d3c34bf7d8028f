"""What Streamlit does that a server for strangers should not, taken out: it has no settings for these."""

import logging

from streamlit import net_util
from streamlit.runtime.app_session import AppSession


def harden() -> None:
    """Call it on every page, before anything else; once is enough."""
    AppSession._handle_clear_cache_request = _ignore  # any visitor's browser may ask for it, and it empties the caches of all
    net_util._external_ip = ""  # else it asks a server of Amazon's for this one's address when a page of another site calls
    for name in ("streamlit.web.server.starlette.starlette_websocket", "uvicorn.error"):
        logging.getLogger(name).addFilter(_in_a_line)  # else a stranger writes a traceback with every message that is none


def _ignore(session: AppSession) -> None:
    """Does nothing."""


def _in_a_line(record: logging.LogRecord) -> bool:
    if record.exc_info:
        record.msg, record.args, record.exc_info = f"{record.getMessage().strip()} ({record.exc_info[1]!r:.200})", (), None
    return True
