"""Removes Streamlit behavior that is unsuitable for a public server and has no setting."""

import logging
import unicodedata
from collections.abc import Callable

from streamlit import net_util
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.app_session import AppSession

HANDLED_MESSAGES = frozenset(
    ("rerun_script", "stop_script", "app_heartbeat", "file_urls_request", "backend_operation_request")
)
"""Messages of a browser that the server handles. The others empty the caches of all visitors, tell the branch
and the untracked files of the repository, or are for developers of Streamlit."""

HANDLED_OPERATIONS = frozenset(("deferred_file",))
"""The same for operations. The others install files for coding agents, and page through tables of a kind that
the app does not have."""

MAX_LOGGED = 2000
"""Characters of a log message; the rest of a longer one is left out."""


def harden() -> None:
    """Apply the patches. Call it on every page before anything else; repeated calls have no effect."""
    if AppSession.handle_backmsg is not _handle_message:
        setattr(AppSession, "handle_backmsg", _handle_message)  # noqa: B010
    # otherwise a request from another site makes the server ask an Amazon service for its own address
    net_util._external_ip = ""
    if logging.getLogRecordFactory() is not _log_record:
        logging.setLogRecordFactory(_log_record)


_HANDLE_MESSAGE: Callable[[AppSession, BackMsg], None] = AppSession.handle_backmsg
_LOG_RECORD = logging.getLogRecordFactory()


def _handle_message(session: AppSession, message: BackMsg) -> None:
    """Handle a message of a browser if it is one that the app needs."""
    kind = message.WhichOneof("type")
    if kind == "backend_operation_request":
        if message.backend_operation_request.WhichOneof("payload") not in HANDLED_OPERATIONS:
            return
    elif kind not in HANDLED_MESSAGES:
        return
    _HANDLE_MESSAGE(session, message)


def _log_record(*args: object, **kwargs: object) -> logging.LogRecord:
    """Create a record of one line without control characters: visitors choose parts of many messages. A
    traceback, of which a hand-made message can cause any number, becomes its last line."""
    record = _LOG_RECORD(*args, **kwargs)
    if record.name == "uvicorn.access":  # its formatter needs the parts, which are encoded
        return record
    message = _message(record)
    if record.exc_info and record.exc_info[1] is not None:
        message += f" ({record.exc_info[1]!r:.200})"
    record.msg, record.args, record.exc_info = _one_line(message), (), None
    return record


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the text
        return str(record.msg)


def _one_line(text: str) -> str:
    cleaned = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text[:MAX_LOGGED].strip())
    return cleaned + " …" * (len(text) > MAX_LOGGED)
