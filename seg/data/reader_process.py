"""The process in which `isolated_reading` reads untrusted pictures: ``python -m seg.data.reader_process``.

It answers requests on its standard input. A message is one line of JSON and the bytes whose number it states.
"""

import json
import os
import sys
from contextlib import suppress
from typing import IO, Any

from seg.data import image_io, label_import
from seg.data.classes import ClassSet
from seg.errors import StreetFCNError
from seg.system.resource_limits import limit_memory, processor_time_limit


def send(stream: IO[bytes], message: dict[str, Any], data: bytes) -> None:
    """Write a message and its bytes."""
    stream.write(json.dumps(message | {"bytes": len(data)}).encode() + b"\n")
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a message and its bytes.

    Raises:
        EOFError: if the other side has closed the stream.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message = json.loads(line)
    data = stream.read(message["bytes"])
    if len(data) < message["bytes"]:
        raise EOFError
    return message, data


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Read a photo or a label, or check the header of a photo.

    Args:
        request: ``what`` is "photo", "header" or "label"; a label has ``size``, ``coding`` and
            ``classes``.
        data: the file.

    Returns:
        The message and the pixels, of which a header has none; or a message with ``error``.
    """
    try:
        with processor_time_limit(request["seconds"]):
            if request["what"] == "header":
                image_io.check_header(data)
                return {}, b""
            if request["what"] == "photo":
                photo = image_io.read_photo(data)
                return {"size": photo.size, "info": photo.info}, photo.tobytes()
            classes = ClassSet.of(*zip(*request["classes"], strict=True))
            label = label_import.read_label(data, tuple(request["size"]), request["coding"], classes)
            codings = {"coding": label.coding, "other_coding": label.other_coding}
            return {"size": label.label.shape[::-1], **codings}, label.label.tobytes()
    except StreetFCNError as error:
        return {"error": str(error)}, b""
    except MemoryError:
        return {"error": image_io.TOO_MUCH_MEMORY}, b""


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until the other side closes the stream."""
    with suppress(EOFError):
        while True:
            send(answers, *answer(*receive(requests)))  # no variable keeps a photo until the next one


def main() -> None:
    """Serve standard input and output. What libraries print would get into the answers, or fill the terminal
    of the server with lines that a file causes."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    limit_memory(int(sys.argv[1]))
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
