"""Removes Streamlit behavior that is unsuitable for a public server and has no setting."""

import json
import logging
import unicodedata
from collections.abc import Callable
from typing import cast

from streamlit import net_util
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.runtime_util import get_max_widget_state_size_bytes
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from ui.state.upload_limit import free_unlisted, limit_uploads

HANDLED_MESSAGES = frozenset(
    ("rerun_script", "stop_script", "app_heartbeat", "file_urls_request", "backend_operation_request")
)
"""Messages of a browser that the server handles. The others empty the caches of all visitors, tell the branch
and the untracked files of the repository, or are for developers of Streamlit."""

HANDLED_OPERATIONS = frozenset(("deferred_file",))
"""The same for operations. The others install files for coding agents, and page through tables of a kind that
the app does not have."""

MAX_VALUE_BYTES = 64 * 2**10
"""Size of the value of a widget or component; those of the app take less than a kilobyte."""

MAX_UPLOADER_BYTES = 8 * 2**20
"""Size of the list of files of an uploader, which takes about 400 bytes for each."""

MAX_RERUN_BYTES = 2 * 2**20
"""Size of all that a browser sends for a rerun, apart from the lists of uploaders."""

MAX_WIDGETS = 10_000
"""Values in a message; a page has some hundred."""

MAX_FILE_ADDRESSES = 20_000
"""Files for which a browser may request upload addresses at once; for a million the server would answer
nobody for some ten seconds."""

MAX_FRAGMENTS = 10_000
"""Parts in which a browser may send a message. Empty ones do not count towards the size of the message."""

_UPLOADER_VALUE = "file_uploader_state_value"

MAX_LOGGED = 2000
"""Characters of a log message; the rest of a longer one is left out."""


def harden() -> None:
    """Apply the patches. Call it on every page before anything else; repeated calls have no effect."""
    if AppSession.handle_backmsg is not _handle_message:
        setattr(AppSession, "handle_backmsg", _handle_message)  # noqa: B010
    if WebSocketsSansIOProtocol.handle_connect is not _handle_connect:
        setattr(WebSocketsSansIOProtocol, "handle_connect", _handle_connect)  # noqa: B010
        setattr(WebSocketsSansIOProtocol, "handle_cont", _handle_fragment)  # noqa: B010
    limit_uploads()
    # otherwise a request from another site makes the server ask an Amazon service for its own address
    net_util._external_ip = ""
    if logging.getLogRecordFactory() is not _log_record:
        logging.setLogRecordFactory(_log_record)


_LOGGER = logging.getLogger(__name__)
_HANDLE_MESSAGE: Callable[[AppSession, BackMsg], None] = AppSession.handle_backmsg
_HANDLE_CONNECT: Callable[[WebSocketsSansIOProtocol, Request], None] = WebSocketsSansIOProtocol.handle_connect
_HANDLE_FRAGMENT: Callable[[WebSocketsSansIOProtocol, Frame], None] = WebSocketsSansIOProtocol.handle_cont
_LOG_RECORD = logging.getLogRecordFactory()


def _handle_connect(protocol: WebSocketsSansIOProtocol, request: Request) -> None:
    """Let a browser send no larger messages than Streamlit handles: by default it may send as large ones as
    the server (`server.maxMessageSize`), which are refused when they have arrived."""
    protocol.conn.max_message_size = get_max_widget_state_size_bytes()
    _HANDLE_CONNECT(protocol, request)


def _handle_fragment(protocol: WebSocketsSansIOProtocol, fragment: Frame) -> None:
    """Close the connection of a browser that sends a message in very many parts."""
    if len(protocol.frames) < MAX_FRAGMENTS:
        _HANDLE_FRAGMENT(protocol, fragment)
    else:
        protocol.transport.abort()


def _handle_message(session: AppSession, message: BackMsg) -> None:
    """Handle a message of a browser if it is one that the app needs."""
    kind = message.WhichOneof("type")
    if kind == "backend_operation_request":
        if message.backend_operation_request.WhichOneof("payload") not in HANDLED_OPERATIONS:
            return
    elif kind not in HANDLED_MESSAGES:
        return
    if kind == "rerun_script":
        if not _limit_values(message.rerun_script):
            return
        manager = cast(MemoryUploadedFileManager, session._uploaded_file_mgr)
        free_unlisted(manager, session.id, _listed_files(message.rerun_script))
    if kind == "file_urls_request" and len(message.file_urls_request.file_names) > MAX_FILE_ADDRESSES:
        _LOGGER.warning("%d upload addresses were refused", len(message.file_urls_request.file_names))
        return
    _HANDLE_MESSAGE(session, message)


def _limit_values(state: ClientState) -> bool:
    """Remove the values that are too large or unreadable from what a browser sends for a rerun: Streamlit
    would keep them in the session, although no widget of the app sends any, and fail at each of its reruns.

    Returns:
        Whether the rest is small enough to be handled.
    """
    widgets = state.widget_states.widgets
    if len(widgets) > MAX_WIDGETS:
        _LOGGER.warning("A message of %d values was refused", len(widgets))
        return False
    uploaders = 0
    for number in range(len(widgets) - 1, -1, -1):
        size, is_uploader = widgets[number].ByteSize(), widgets[number].WhichOneof("value") == _UPLOADER_VALUE
        if size > (MAX_UPLOADER_BYTES if is_uploader else MAX_VALUE_BYTES):
            _LOGGER.warning("A value of %d bytes was refused: %.60s", size, widgets[number].id)
            del widgets[number]
        elif not _is_readable(widgets[number]):
            _LOGGER.warning("A value that is not a JSON object was refused: %.60s", widgets[number].id)
            del widgets[number]
        elif is_uploader:
            uploaders += size
    size = state.ByteSize() - uploaders
    if size > MAX_RERUN_BYTES:
        _LOGGER.warning("A message of %d bytes was refused", size)
    return size <= MAX_RERUN_BYTES


def _is_readable(widget: WidgetState) -> bool:
    """Return whether the JSON of a component, if the value is one, is an object; of triggers, also a list."""
    kind = widget.WhichOneof("value")
    if kind not in ("json_value", "json_trigger_value"):
        return True
    kinds = (dict, list) if kind == "json_trigger_value" else (dict,)
    try:
        return isinstance(json.loads(getattr(widget, kind)), kinds)
    except (ValueError, RecursionError):
        return False


def _listed_files(state: ClientState) -> set[str]:
    """Return the ids of the files in the uploaders of a page."""
    uploaders = (widget.file_uploader_state_value for widget in state.widget_states.widgets)
    return {file.file_id for uploader in uploaders for file in uploader.uploaded_file_info}


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
    cleaned = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[:MAX_LOGGED].strip())
    return cleaned + " …" * (len(text) > MAX_LOGGED)
