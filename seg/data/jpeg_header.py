"""The structure of a JPEG file: whether the decoder supports it, and how much memory and time it needs."""

import re
import struct
from typing import IO, NamedTuple

_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Second bytes of the markers that begin a frame: SOF0 to SOF15, and SOF55 of JPEG-LS (ITU-T T.81, table B.1;
T.87, annex C)."""

_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_KINDS = {
    0xC3: "a lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    0xCB: "a lossless JPEG",
    0xF7: "a JPEG-LS picture",
}

MAX_SCANS = 200
"""Encoders write one to about twenty; embedded previews and further pictures of the file count, too."""

_SCAN_MARKER, _BLOCK = re.compile(rb"\xff\xda"), 2**20

_MAX_SEGMENTS, _MAX_JUNK = 10_000, 65_536
"""Segments, and bytes between two of them, after which the headers count as damaged."""


class JpegFrame(NamedTuple):
    """The frame header, and the part of the first scan header that matters to the decoder."""

    marker: int
    """Second byte of the frame marker."""
    precision: int
    """Bits of a sample."""
    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]
    """Horizontal and vertical sampling factor of each component."""
    scan_components: int
    """Number of components in the first scan."""

    @property
    def unsupported(self) -> str:
        """What makes this kind of JPEG unreadable, such as "a lossless JPEG"; empty if it is readable."""
        if kind := _KINDS.get(self.marker):
            return kind
        if self.precision != 8:
            return f"a JPEG with {self.precision} bits per channel"
        if len(self.sampling) not in (1, 3, 4):
            return f"a JPEG with {len(self.sampling)} channels"
        return "" if self.height else "a JPEG that states its height after its pixels"

    @property
    def coefficient_bytes(self) -> int:
        """Memory for all coefficients, which the decoder keeps if the picture has several scans.

        Reducing the picture while it is decoded does not reduce this.
        """
        if self.marker not in _PROGRESSIVE and self.scan_components == len(self.sampling):
            return 0
        widest, highest = (max(factors) for factors in zip(*self.sampling, strict=True))
        relative = sum(h * v for h, v in self.sampling) / (widest * highest)
        return round(2 * self.width * self.height * relative)


def read_frame(file: IO[bytes]) -> JpegFrame | None:
    """Read the headers of a JPEG file up to its first scan.

    Args:
        file: the file, at its beginning.

    Returns:
        The frame; None if the headers are incomplete or damaged.
    """
    file.seek(2)
    frame = None
    for _ in range(_MAX_SEGMENTS):
        marker = _next_marker(file)
        if marker is None:
            return None
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(file.read(2), "big")
        body = file.read(length - 2) if length > 2 else b""
        if marker == 0xDA:
            return frame._replace(scan_components=body[0]) if frame and body else None
        if marker in _FRAME_MARKERS:
            frame = _parse_frame(marker, body)
    return None


def has_many_scans(file: IO[bytes]) -> bool:
    """Return whether a JPEG has more than `MAX_SCANS` scans.

    The decoder passes over the whole picture for each, so a small file could occupy it for hours.

    Args:
        file: the file.
    """
    file.seek(0)
    scans, last = 0, b""
    # bytes 0xff within a scan are followed by zero, so that they are no markers
    while block := file.read(_BLOCK):
        scans += len(_SCAN_MARKER.findall(last + block))
        if scans > MAX_SCANS:
            return True
        last = block[-1:] if block.endswith(b"\xff") else b""
    return False


def _next_marker(file: IO[bytes]) -> int | None:
    """Return the second byte of the next marker, past the fill bytes and junk that decoders tolerate."""
    previous = b""
    for _ in range(_MAX_JUNK):
        byte = file.read(1)
        if previous == b"\xff" and byte not in (b"", b"\0", b"\xff"):
            return byte[0]
        previous = byte
    return None


def _parse_frame(marker: int, body: bytes) -> JpegFrame | None:
    try:
        precision, height, width, count = struct.unpack_from(">BHHB", body)
        factors = [struct.unpack_from("B", body, 7 + 3 * number)[0] for number in range(count)]
    except struct.error:
        return None
    sampling = tuple((factor >> 4 or 1, factor & 15 or 1) for factor in factors)
    return JpegFrame(marker, precision, width, height, sampling, len(sampling)) if sampling else None
