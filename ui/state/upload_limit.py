"""A limit of the uploads in memory: Streamlit keeps every file that a browser sends until its session ends,
also if no uploader of a page lists it."""

import time
from collections.abc import Collection

import psutil
from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

MEMORY_SHARE = 0.3
"""Share of the machine's memory that the uploads of all sessions may take."""

MAX_BYTES = int(psutil.virtual_memory().total * MEMORY_SHARE)

UPLOADING_SECONDS = 600
"""Time after the last upload of a session in which it may still be sending files: an uploader lists files
when all of them have arrived."""

_ADD_FILE = MemoryUploadedFileManager.add_file
_last_uploads: dict[str, float] = {}
"""When a session uploaded a file last, by its id."""


def limit_uploads() -> None:
    """Let the server refuse uploads beyond the limit; repeated calls have no effect."""
    if MemoryUploadedFileManager.add_file is not _add_file:
        setattr(MemoryUploadedFileManager, "add_file", _add_file)  # noqa: B010


def free_unlisted(manager: MemoryUploadedFileManager, session_id: str, listed: Collection[str]) -> None:
    """Delete the files of a session that its page does not list: pages read those of their uploaders only.

    Args:
        manager: Keeps the files.
        session_id: Streamlit's id of the session.
        listed: Ids of the files in the uploaders of its page.
    """
    if time.monotonic() - _last_uploads.get(session_id, 0.0) > UPLOADING_SECONDS:
        for file_id in manager.file_storage.get(session_id, {}).keys() - listed:
            manager.remove_file(session_id, file_id)


def _add_file(manager: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
    """Keep an uploaded file if there is room; the browser otherwise shows that it was refused. A session
    leaves as much room to the others as it takes, so that a few sessions never take all of it."""
    with manager._lock:
        free = MAX_BYTES - manager._total_bytes - len(file.data)
        of_session = sum(len(kept.data) for kept in manager.file_storage.get(session_id, {}).values())
        for ended in _last_uploads.keys() - manager.file_storage.keys():
            del _last_uploads[ended]
    if of_session + len(file.data) > free:
        raise HTTPException(413, "The server has no room for more uploads of this session now.")
    _last_uploads[session_id] = time.monotonic()
    _ADD_FILE(manager, session_id, file)
