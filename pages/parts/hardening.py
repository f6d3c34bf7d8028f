"""What Streamlit does that a server for strangers should not, taken out: it has no settings for these."""

import logging

from streamlit import net_util
from streamlit.runtime.app_session import AppSession


def harden() -> None:
    """Call it on every page, before anything else; once is enough."""
    AppSession._handle_clear_cache_request = _ignore  # any visitor's browser may ask for it, and it empties the caches of all
    net_util._external_ip = ""  # else it asks a server of Amazon's for this one's address when a page of another site calls
    # else a stranger writes a traceback with every message that is none; the line stays
    logging.getLogger("streamlit.web.server.starlette.starlette_websocket").addFilter(_without_traceback)


def _ignore(session: AppSession) -> None:
    """Does nothing."""


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True
