"""The base class of the package's errors, and the text that a user reads for an operating-system error."""

import errno
import os
import re
from pathlib import Path


def printable(text: str) -> str:
    """Return a text in which bytes of file names that are not UTF-8 are written as ``\\xe4``.

    Python represents such bytes by characters that no output accepts.
    """
    return re.sub(
        "[\ud800-\udfff]",
        lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}" if "\udc80" <= match[0] <= "\udcff" else "\ufffd",
        text,
    )


class StreetFCNError(Exception):
    """Base class of all errors whose message is written for users; any other exception is a bug."""

    def __str__(self) -> str:
        return printable(super().__str__())  # a message may name a file whose name is not UTF-8


def user_message(error: BaseException) -> str:
    """Return the message that a user reads for an error.

    Args:
        error: any exception.

    Returns:
        For an OSError with an error number, a sentence on what was wrong and how to fix it; for any other
        exception its own text.
    """
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    has_path = isinstance(error.filename, str | bytes | os.PathLike)
    path = Path(printable(os.fsdecode(error.filename))) if has_path else None
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "The disk is full: free some space."
        case errno.EROFS if path:
            return (
                f"Nothing can be written in {path.parent}: it is read-only. Choose another folder, or make it"
                " writable."
            )
        case errno.EACCES | errno.EPERM if path:
            return f"Access to {path} was denied. Choose another path or change its permissions."
        case _:
            reason = error.strerror or error
            return f"Cannot access {path or 'a file'} ({reason}). Fix the problem or choose another path."
