"""Uploads that no page lists stay in memory, too, so that the server limits them."""

from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from ui.state import streamlit_patches, upload_limit


def test_uploads_in_memory_are_limited_per_session_and_together(monkeypatch):
    monkeypatch.setattr(upload_limit, "MAX_BYTES", 100)
    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", MemoryUploadedFileManager.add_file)
    streamlit_patches.harden()
    manager = MemoryUploadedFileManager("/upload")

    def add(session: str, size: int) -> bool:
        file = UploadedFileRec(f"{session}-{size}", "a.jpg", "image/jpeg", bytes(size))
        try:
            manager.add_file(session, file)
        except HTTPException as refusal:
            assert refusal.status_code == 413
            return False
        return True

    assert add("ann", 30) and not add("ann", 21) and add("ann", 20)
    assert add("bob", 40) and not add("cid", 11) and add("cid", 10)
    manager.remove_session_files("ann")
    assert add("cid", 11)
    assert [len(manager.get_files("ann", ["ann-30"])), len(manager.get_files("bob", ["bob-40"]))] == [0, 1]
