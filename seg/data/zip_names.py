"""Names of files in zips, whose coding a zip often does not state.

macOS and Linux write UTF-8 without the flag that says so. Windows writes the code page of the system.
"""

import unicodedata
import zipfile
from contextlib import suppress

_UTF8_FLAG = 0x800
_WESTERN = ("cp437", "cp850", "cp1252")
"""Code pages of DOS, of Western Europe in DOS, and of Western Europe in Windows."""

_JAPANESE = "cp932"


def member_name(info: zipfile.ZipInfo) -> str:
    """Return the name of a file in a zip, with / between folders and in composed characters (NFC).

    A name without the flag of UTF-8 is read in the first of UTF-8, the Western code pages and Shift-JIS in
    which its letters form plausible words. `zipfile` itself always assumes code page 437.
    """
    name = info.filename if info.flag_bits & _UTF8_FLAG else _decode(info.filename)
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _decode(name: str) -> str:
    try:
        raw = name.encode("cp437")
    except UnicodeError:
        return name
    with suppress(UnicodeError):
        return raw.decode()
    # the second byte of a Japanese character may be that of a backslash, which would end a folder's name
    pairs = zip(raw, raw[1:], strict=False)
    ends_in_backslash = any(first >= 0x80 and second == ord("\\") for first, second in pairs)
    codings = [_JAPANESE, *_WESTERN] if ends_in_backslash else [*_WESTERN, _JAPANESE]
    for coding in codings:
        with suppress(UnicodeError):
            decoded = raw.decode(coding)
            if coding == _JAPANESE or _is_western(decoded):
                return decoded
    return name


def _is_western(name: str) -> bool:
    """Return whether the characters beyond ASCII are Latin letters in the usual place for their case."""
    for before, character in zip(f" {name}", name, strict=False):
        if character.isascii():
            continue
        if not unicodedata.name(character, "").startswith("LATIN") or (
            character.isupper() and before.islower()
        ):
            return False
    return True
