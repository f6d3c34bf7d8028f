"""A limit of the uploads in memory: Streamlit keeps every file that a browser sends until its session ends,
also if no uploader of a page lists it."""

import psutil
from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

MEMORY_SHARE = 0.3
"""Share of the machine's memory that the uploads of all sessions may take; a session may take half of it."""

MAX_BYTES = int(psutil.virtual_memory().total * MEMORY_SHARE)

_ADD_FILE = MemoryUploadedFileManager.add_file


def limit_uploads() -> None:
    """Let the server refuse uploads beyond the limit; repeated calls have no effect."""
    if MemoryUploadedFileManager.add_file is not _add_file:
        setattr(MemoryUploadedFileManager, "add_file", _add_file)  # noqa: B010


def _add_file(manager: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
    """Keep an uploaded file if there is room; the browser otherwise shows that it was refused."""
    with manager._lock:
        all_bytes = manager._total_bytes
        of_session = sum(len(kept.data) for kept in manager.file_storage.get(session_id, {}).values())
    if all_bytes + len(file.data) > MAX_BYTES or of_session + len(file.data) > MAX_BYTES // 2:
        raise HTTPException(413, "The server has no room for more uploads of this session now.")
    _ADD_FILE(manager, session_id, file)
