"""What a browser can send to the server, and what of it reaches the log."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest, BackMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from ui.state import streamlit_patches
from ui.state.streamlit_patches import (
    HANDLED_MESSAGES,
    HANDLED_OPERATIONS,
    MAX_FILE_ADDRESSES,
    MAX_VALUE_BYTES,
    MAX_WIDGETS,
)

IGNORED_MESSAGES = {
    "clear_cache",
    "set_run_on_save",
    "load_git_info",
    "debug_disconnect_websocket",
    "debug_shutdown_runtime",
}
SESSION: Any = SimpleNamespace(id="ann", _uploaded_file_mgr=MemoryUploadedFileManager("/upload"))
IGNORED_OPERATIONS = {"install_skills", "dismiss_skills_nudge", "dataframe_chunk"}


@pytest.fixture
def handled(monkeypatch) -> list[BackMsg]:
    """Messages that Streamlit would handle."""
    messages: list[BackMsg] = []
    monkeypatch.setattr(AppSession, "handle_backmsg", AppSession.handle_backmsg)
    monkeypatch.setattr(
        streamlit_patches, "_HANDLE_MESSAGE", lambda session, message: messages.append(message)
    )
    streamlit_patches.harden()
    return messages


def test_every_message_of_streamlit_was_reviewed():
    """A new version of Streamlit with another message fails here: decide whether the app needs it."""
    messages = {field.name for field in BackMsg.DESCRIPTOR.oneofs_by_name["type"].fields}
    assert messages == HANDLED_MESSAGES | IGNORED_MESSAGES
    assert {field.name for field in BackMsg.DESCRIPTOR.fields} == messages
    operations = {field.name for field in BackendOperationRequest.DESCRIPTOR.oneofs_by_name["payload"].fields}
    assert operations == HANDLED_OPERATIONS | IGNORED_OPERATIONS


@pytest.mark.parametrize("name", sorted(HANDLED_MESSAGES | IGNORED_MESSAGES))
def test_only_messages_that_the_app_needs_are_handled(handled, name):
    message = BackMsg()
    if isinstance(getattr(message, name), bool):
        setattr(message, name, True)
    else:
        getattr(message, name).SetInParent()
    if name == "backend_operation_request":
        message.backend_operation_request.deferred_file.SetInParent()
    AppSession.handle_backmsg(SESSION, message)
    assert handled == [message] * (name in HANDLED_MESSAGES)


@pytest.mark.parametrize("name", sorted(HANDLED_OPERATIONS | IGNORED_OPERATIONS))
def test_only_operations_that_the_app_needs_are_handled(handled, name):
    message = BackMsg()
    getattr(message.backend_operation_request, name).SetInParent()
    AppSession.handle_backmsg(SESSION, message)
    assert handled == [message] * (name in HANDLED_OPERATIONS)


def rerun(**values: str) -> BackMsg:
    message = BackMsg()
    for name, value in values.items():
        widget = message.rerun_script.widget_states.widgets.add()
        widget.id, widget.json_value = name, value
    return message


def test_large_values_are_removed_before_the_session_keeps_them(handled):
    large, fitting = "x" * 20 * 2**20, '{"a": "' + "x" * (MAX_VALUE_BYTES - 100) + '"}'
    for name in ("json_value", "json_trigger_value", "string_value", "bytes_value"):
        message = rerun(small="{}", large="", fitting=fitting)
        value = large.encode() if name == "bytes_value" else large
        setattr(message.rerun_script.widget_states.widgets[1], name, value)
        AppSession.handle_backmsg(SESSION, message)
        widgets = handled.pop().rerun_script.widget_states.widgets
        assert [widget.id for widget in widgets] == ["small", "fitting"]
    message = rerun(**{f"value {number}": fitting for number in range(100)})
    AppSession.handle_backmsg(SESSION, message)
    message = rerun()
    message.rerun_script.query_string = large
    AppSession.handle_backmsg(SESSION, message)
    assert not handled


@pytest.mark.parametrize(
    "value", ["no JSON", "", "7", "[1]", "null", "[" * 60_000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_values_that_pages_cannot_read_are_removed(handled, value):
    message = rerun(wrong=value, right='{"a": [1]}')
    message.rerun_script.widget_states.widgets.add(id="trigger", json_trigger_value=value)
    right = '[{"event": "former", "value": {}}]'
    message.rerun_script.widget_states.widgets.add(id="right trigger", json_trigger_value=right)
    AppSession.handle_backmsg(SESSION, message)
    read = [widget.id for widget in handled.pop().rerun_script.widget_states.widgets]
    assert read == ["right", *(["trigger"] if value == "[1]" else []), "right trigger"]


def test_an_uploader_may_list_many_files(handled):
    message = rerun(small="{}")
    for number in range(5000):
        info = message.rerun_script.widget_states.widgets[
            0
        ].file_uploader_state_value.uploaded_file_info.add()
        info.file_id, info.name = f"{number:036}", f"DCIM/folder/IMG_{number}.JPG"
        info.file_urls.upload_url = info.file_urls.delete_url = "/_stcore/upload_file/" + "0" * 80
    AppSession.handle_backmsg(SESSION, message)
    assert len(handled.pop().rerun_script.widget_states.widgets) == 1


def test_messages_of_many_small_parts_are_refused(handled):
    for parts, is_handled in ((MAX_WIDGETS, True), (MAX_WIDGETS + 1, False)):
        message = BackMsg()
        for _ in range(parts):
            message.rerun_script.widget_states.widgets.add()
        AppSession.handle_backmsg(SESSION, message)
        assert handled == [message] * is_handled
        handled.clear()
    for files, is_handled in ((MAX_FILE_ADDRESSES, True), (MAX_FILE_ADDRESSES + 1, False)):
        message = BackMsg()
        message.file_urls_request.file_names.extend([""] * files)
        AppSession.handle_backmsg(SESSION, message)
        assert handled == [message] * is_handled
        handled.clear()


@pytest.mark.parametrize("logger", ["streamlit.runtime.app_session", "uvicorn.error", "any"])
def test_a_log_message_is_one_line_without_control_characters(caplog, monkeypatch, logger):
    monkeypatch.setattr(streamlit_patches, "MAX_LOGGED", 60)
    streamlit_patches.harden()
    log = logging.getLogger(logger)
    log.warning("No file %s", "a\n2026-01-01 forged\x1b[31m\x85\u202e\u2028\u2029x")
    log.warning("%d photos of %s", 3, "b")
    log.warning("100%% of {} %", "wrong")
    log.warning("x" * 100)
    try:
        raise ValueError("first\nsecond\x1b[2J")
    except ValueError:
        log.exception("Error of\x07 a message")
    assert list(dict.fromkeys(record.getMessage() for record in caplog.records)) == [
        "No file a 2026-01-01 forged [31m    x",
        "3 photos of b",
        "100%% of {} %",
        "x" * 60 + " …",
        "Error of  a message (ValueError('first\\nsecond\\x1b[2J'))",
    ]
    assert not [record for record in caplog.records if record.exc_info]
