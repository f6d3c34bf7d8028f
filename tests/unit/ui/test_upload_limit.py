"""Uploads that no page lists stay in memory, too, so that the server limits them."""

from types import SimpleNamespace

import pytest
from starlette.exceptions import HTTPException
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from ui.state import streamlit_patches, upload_limit


@pytest.fixture
def manager(monkeypatch) -> MemoryUploadedFileManager:
    monkeypatch.setattr(upload_limit, "MAX_BYTES", 100)
    monkeypatch.setattr(upload_limit, "_last_uploads", {})
    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", MemoryUploadedFileManager.add_file)
    streamlit_patches.harden()
    return MemoryUploadedFileManager("/upload")


def add(manager: MemoryUploadedFileManager, session: str, size: int) -> bool:
    file = UploadedFileRec(f"{session}-{size}", "a.jpg", "image/jpeg", bytes(size))
    try:
        manager.add_file(session, file)
    except HTTPException as refusal:
        assert refusal.status_code == 413
        return False
    return True


def test_uploads_in_memory_are_limited_per_session_and_together(manager):
    assert add(manager, "ann", 30) and not add(manager, "ann", 21) and add(manager, "ann", 20)
    assert not add(manager, "bob", 26) and add(manager, "bob", 25)
    assert not add(manager, "cid", 13) and add(manager, "cid", 12)  # two sessions never take all
    manager.remove_session_files("ann")
    assert add(manager, "cid", 19)
    assert [len(manager.get_files("ann", ["ann-30"])), len(manager.get_files("bob", ["bob-25"]))] == [0, 1]


def test_files_that_no_uploader_lists_are_freed(manager, monkeypatch):
    monkeypatch.setattr(streamlit_patches, "_HANDLE_MESSAGE", lambda session, message: None)
    session = SimpleNamespace(id="ann", _uploaded_file_mgr=manager)
    message = BackMsg()
    state = message.rerun_script.widget_states.widgets.add(id="uploader").file_uploader_state_value
    for size in (1, 2, 3):
        assert add(manager, "ann", size)
    assert add(manager, "bob", 4)
    state.uploaded_file_info.add(file_id="ann-2")
    AppSession.handle_backmsg(session, message)  # files of a running upload are not listed yet
    assert manager._total_bytes == 10
    upload_limit._last_uploads["ann"] -= upload_limit.UPLOADING_SECONDS + 1
    AppSession.handle_backmsg(session, message)
    assert list(manager.file_storage["ann"]) == ["ann-2"] and manager._total_bytes == 6


def test_ended_sessions_are_forgotten(manager):
    for number in range(100):
        assert add(manager, f"{number}", 1)
        manager.remove_session_files(f"{number}")
    assert len(upload_limit._last_uploads) == 1
