"""Recognition of files by their first bytes: pictures, videos, and what people upload by mistake.

The name of a file is never used.
"""

from typing import Literal, NamedTuple

HEAD_BYTES = 1024
"""Number of bytes from the beginning of a file that the functions need."""

VideoContainer = Literal["mov", "matroska", "avi"]
"""Supported containers of videos, by FFmpeg's names: MP4 and MOV, WebM and MKV, AVI."""

PictureFormat = Literal["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF"]

READABLE_FORMATS = "JPEG, PNG, WebP, HEIC, AVIF, BMP, TIFF or GIF"
"""The supported formats, for messages and help texts."""

_SIGNATURES: dict[PictureFormat, tuple[bytes, ...]] = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "GIF": (b"GIF87a", b"GIF89a"),
}

_HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AV1_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"mif1", b"mif2", b"mif3", b"msf1", b"1pic", b"miaf"}
_HEIF_BRANDS |= {b"MiHB", b"MiHE", b"MiHA", b"MiAB", b"MiAC", b"MiPr"}
"""Brands of HEIF files that do not name the compression (ISO 23008-12, annexes B and D; ISO 23000-22)."""

_OTHER_HEIF_BRANDS = {
    b"vvic",
    b"vvis",
    b"evbi",
    b"evbs",
    b"avci",
    b"avcs",
    b"jpeg",
    b"jpgs",
    b"j2ki",
    b"j2is",
}
"""Brands of HEIF files whose compression is not supported."""


class FileType(NamedTuple):
    """A type of file that cannot be read."""

    description: str
    """With its article, such as "a video"."""
    remedy: str = "convert it to JPEG or PNG and try again"
    is_picture: bool = False
    """Whether it is a picture in a folder of photos, too; not if the first bytes may occur by chance."""


def _picture(description: str) -> FileType:
    return FileType(description, is_picture=True)


_FRAME_REMEDY = "save single frames of it as JPEG or PNG and choose these"
_VIDEO = FileType("a video", _FRAME_REMEDY)
_SOUND = FileType("a sound file", "choose a picture")
_VIDEO_OR_SOUND = FileType("a video or sound file", _FRAME_REMEDY)
_RAW = FileType("a camera's raw file", "develop it to JPEG and try again", is_picture=True)
_ARCHIVE = FileType("an archive", "unpack it and choose the pictures in it")
_JPEG_XL = _picture("a JPEG XL picture")
_JPEG_2000 = _picture("a JPEG 2000 picture")
_NETPBM = FileType("a Netpbm picture")
_POSTSCRIPT = FileType("a PostScript document")

_OTHER_SIGNATURES: tuple[tuple[int, bytes, FileType], ...] = (
    # pictures and documents
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"\0\0\0\x0cJXL ", _JPEG_XL),
    (0, b"\0\0\0\x0cjP  ", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (0, b"II\xbc\x01", _picture("a JPEG XR picture")),
    (0, b"8BPS", _picture("a Photoshop document")),
    (0, b"gimp xcf", _picture("a GIMP document")),
    (0, b"\x76\x2f\x31\x01", _picture("an OpenEXR picture")),
    (0, b"#?RADIANCE", _picture("a Radiance HDR picture")),
    (0, b"#?RGBE", _picture("a Radiance HDR picture")),
    (0, b"\0\0\1\0", FileType("an icon")),
    (0, b"qoif", _picture("a QOI picture")),
    (0, b"DDS ", _picture("a DDS texture")),
    (0, b"BPG\xfb", _picture("a BPG picture")),
    (0, b"%!PS", _POSTSCRIPT),
    (0, b"\xc5\xd0\xd3\xc6", _POSTSCRIPT),
    (128, b"DICM", _picture("a DICOM picture")),
    # raw files of cameras; most others are TIFF or ISO media files
    (8, b"CR\x02", _RAW),
    (6, b"HEAPCCDR", _RAW),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"MMOR", _RAW),
    (0, b"IIU\0", _RAW),
    (0, b"FOVb", _RAW),
    (0, b"\0MRM", _RAW),
    # videos and sound
    (8, b"WAVE", _SOUND),
    (8, b"AIFF", _SOUND),
    (8, b"AVI", _VIDEO),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO_OR_SOUND),  # ASF: WMV and WMA
    (0, b"\xb7\xd8\x00\x20\x37\x49\xda\x11", _VIDEO),  # WTV
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", _VIDEO),  # MXF
    (0, b".RMF", _VIDEO_OR_SOUND),
    (0, b"YUV4MPEG2", _VIDEO),
    (0, b"DKIF", _VIDEO),
    (0, b"\x1f\x07\x00", _VIDEO),  # DV
    (0, b"OggS", _VIDEO_OR_SOUND),
    (0, b"ID3", _SOUND),
    (0, b"fLaC", _SOUND),
    (0, b"#!AMR", _SOUND),
    # archives
    (0, b"PK\x03\x04", FileType("a ZIP archive or an office document", _ARCHIVE.remedy)),
    (0, b"\x1f\x8b", FileType("a compressed file", _ARCHIVE.remedy)),
    (0, b"BZh", FileType("a compressed file", _ARCHIVE.remedy)),
    (0, b"\xfd7zXZ\0", FileType("a compressed file", _ARCHIVE.remedy)),
    (0, b"\x28\xb5\x2f\xfd", FileType("a compressed file", _ARCHIVE.remedy)),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (0, b"Rar!\x1a\x07", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
)
"""(offset, bytes there, type) of unsupported files."""

_MIN_CERTAIN = 4
"""Bytes of a signature that hardly occur by chance."""

_MPEG_AUDIO = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9")
"""Sync words of MP3 and AAC files."""

_MOVIE_BOXES = {b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx", b"styp", b"udta"}
"""First boxes of ISO media and QuickTime files without ``ftyp``, and of their fragments."""

_TYPE_OF_BRAND = {brand: _picture("a HEIF picture with a rare compression") for brand in _OTHER_HEIF_BRANDS}
_TYPE_OF_BRAND |= {b"crx": _RAW, b"jxl": _JPEG_XL, b"jp2": _JPEG_2000, b"jpx": _JPEG_2000, b"jph": _JPEG_2000}
_TYPE_OF_BRAND |= {b"m4a": _SOUND, b"m4b": _SOUND, b"m4p": _SOUND}
"""Types of ISO media files that are not videos, by major brand in lowercase."""

_PACKET_LAYOUTS = ((0, 188), (4, 192), (0, 192), (0, 204))
"""(offset of the first sync byte, packet length) of MPEG transport streams; dash cams write the first two."""

_H264_UNITS, _H265_UNITS = {1, 5, 6, 7, 8, 9}, {32, 33, 34, 35, 39}
"""Types of the NAL units with which H.264 and H.265 streams begin (ITU-T H.264, table 7-1; H.265, 7-1)."""


def picture_format(head: bytes) -> PictureFormat | None:
    """Return the supported format that a file appears to have.

    Args:
        head: the first `HEAD_BYTES` bytes of the file.

    Returns:
        The format by Pillow's name; None if the file has no supported format.
    """
    if head[4:8] == b"ftyp":
        return _iso_media_format(head)
    if head.startswith(b"RIFF"):
        return "WEBP" if head[8:12] in (b"WEBP", b"") else None
    for name, signatures in _SIGNATURES.items():
        if head.startswith(signatures):
            return None if name == "TIFF" and head[8:11] == b"CR\x02" else name
    return None


def unsupported_type(head: bytes) -> FileType | None:
    """Return the apparent type of a file that has no supported format.

    Args:
        head: the first `HEAD_BYTES` bytes of the file.

    Returns:
        The type; None if it is not recognized.
    """
    if head[4:8] == b"ftyp":
        return _iso_media_type(head)
    for offset, signature, file_type in _OTHER_SIGNATURES:
        if head[offset:].startswith(signature):
            return file_type
    if b"%PDF-" in head:  # its signature may follow other bytes
        return FileType("a PDF document")
    if head.startswith((b"RIFF", b"RIFX")):
        return _VIDEO_OR_SOUND
    if head[4:8] in _MOVIE_BOXES or _is_transport_stream(head) or _is_elementary_stream(head):
        return _VIDEO
    if head.startswith(_MPEG_AUDIO):
        return _SOUND
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3].isspace():
        return _NETPBM
    return _markup_type(head)


def video_container(head: bytes) -> VideoContainer | None:
    """Return the supported container that a video appears to have.

    Args:
        head: the first `HEAD_BYTES` bytes of the file.

    Returns:
        The container; None if the file is no video, or one in another container.
    """
    if head[4:8] == b"ftyp":
        return "mov" if picture_format(head) is None and _iso_media_type(head) is _VIDEO else None
    if head[4:8] in _MOVIE_BOXES:
        return "mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    return "avi" if head.startswith(b"RIFF") and head[8:11] == b"AVI" else None


def is_unsupported_picture(head: bytes) -> bool:
    """Return whether a file is certainly a picture of a format that is not supported.

    Args:
        head: the first `HEAD_BYTES` bytes of the file.
    """
    if head[4:8] == b"ftyp":
        return _iso_media_type(head).is_picture
    return any(
        head[offset:].startswith(signature)
        for offset, signature, file_type in _OTHER_SIGNATURES
        if file_type.is_picture and len(signature) >= _MIN_CERTAIN
    )


def _brands(head: bytes) -> tuple[bytes, set[bytes]]:
    """Return the major brand and all brands of an ISO media file (ISO 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = {head[at : at + 4] for at in range(16, end - 3, 4)}
    return head[8:12], {head[8:12], *compatible}


def _iso_media_format(head: bytes) -> PictureFormat | None:
    major, brands = _brands(head)
    if major in _OTHER_HEIF_BRANDS or not brands & (_HEVC_BRANDS | _AV1_BRANDS | _HEIF_BRANDS):
        return None
    if major in _HEVC_BRANDS or (brands & _HEVC_BRANDS and major not in _AV1_BRANDS):
        return "HEIF"
    return "AVIF" if brands & _AV1_BRANDS else "HEIF"


def _iso_media_type(head: bytes) -> FileType:
    major, _ = _brands(head)
    return _TYPE_OF_BRAND.get(major.strip().lower(), _VIDEO)


def _is_transport_stream(head: bytes) -> bool:
    for first, length in _PACKET_LAYOUTS:
        syncs = head[first::length]
        if len(syncs) >= 2 and set(syncs) == {0x47}:
            return True
    return False


def _is_elementary_stream(head: bytes) -> bool:
    """Return whether a file is an MPEG program or elementary stream: a start code and a plausible unit."""
    code_length = 4 if head.startswith(b"\0\0\0\1") else 3 if head.startswith(b"\0\0\1") else 0
    if not code_length or len(head) <= code_length:
        return False
    unit = head[code_length]
    if unit >= 0xB0:  # MPEG-1, -2 and -4: sequence, pack and system headers
        return code_length == 3
    return unit < 0x80 and (unit & 31 in _H264_UNITS or unit >> 1 in _H265_UNITS)


def _markup_type(head: bytes) -> FileType | None:
    # zeros and FF FE occur in UTF-16
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if text.startswith(b"<"):
        if b"<svg" in text and b"<html" not in text:
            return FileType("an SVG drawing")
        if b"<html" in text or b"<!doctype html" in text:
            return FileType("a web page", "save the picture itself and choose that file")
    return None
