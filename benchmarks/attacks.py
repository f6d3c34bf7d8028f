"""Hostile visitors of a live server, beside an ordinary one whose answers are timed and compared.

``python -m benchmarks.attacks 60`` runs each attack for a minute and prints a table: the slowest answer of
the ordinary visitor, the peak memory of the server with its processes, and the lines in its log.
"""

import io
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import WebSocketException

from seg import paths
from seg.data import scenes
from seg.data.cityscapes import colorize
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.costly_files import jpeg_with_scans, slow_jpeg, tiff_with_tiles, with_comment
from tests.support.visitor import Visitor, jpeg, start_server

ATTACKERS = {"JPEGs near the limits": 6}
"""Hostile visitors at the same time, by attack; others have two."""

PAUSE = 0.5
"""Seconds after some dozen messages. A flood of messages is the affair of the proxy."""

SIZE = (640, 320)
"""Of the ordinary visitor's photos, in pixels."""


@dataclass(frozen=True)
class Outcome:
    """What an attack did to the ordinary visitor and to the server."""

    answers: int
    wrong: int
    slowest: float  # seconds
    attacks: int
    peak_mb: int
    log_lines: int
    log_tracebacks: int


def large_label(visitor: Visitor) -> None:
    """Upload a label picture of 16 megapixels for a small photo."""
    visitor.upload({"street.jpg": jpeg(7, (512, 512))})
    visitor.settle()
    label = Image.fromarray(colorize(np.resize(scenes.render_scene(3, 512, 256).label, (4096, 4096))))
    out = io.BytesIO()
    label.save(out, "PNG", compress_level=1)
    visitor.upload({"label.png": out.getvalue()}, uploader=1)
    visitor.settle()


def many_scans(visitor: Visitor) -> None:
    """Upload a JPEG of 2,500 scans, and one of as many as are allowed."""
    for scans in (2500, 180):
        visitor.upload({f"{scans}.jpg": jpeg_with_scans(scans, 8000, 8000)})
        visitor.settle()


def jpegs_near_the_limits(visitor: Visitor) -> None:
    """Upload two JPEGs with almost as many scans and pixels as are allowed; no two uploads are equal."""
    slow = slow_jpeg(190, 7900)
    visitor.upload({f"{name}.jpg": with_comment(slow, uuid.uuid4().bytes) for name in ("first", "second")})
    visitor.settle()


def many_tiles(visitor: Visitor) -> None:
    """Upload a TIFF of a million tiles."""
    visitor.upload({"tiles.tif": tiff_with_tiles(1000)})
    visitor.settle()


def page_visits(visitor: Visitor) -> None:
    """Look at the Dataset and the Train page again and again."""
    for page in ("dataset", "train") * 4:
        visitor.open(page)
    visitor.open()


def component_values(visitor: Visitor) -> None:
    """Send a list of zeros in place of the column of a pixel."""
    for component in visitor.of("bidi_component"):
        visitor.chosen[component.id] = {"json_value": '{"point": {"x": [' + "0," * 60_000 + '0], "y": 1}}'}
    visitor.rerun()
    visitor.settle()
    visitor.chosen.clear()


def messages_for_developers(visitor: Visitor) -> None:
    """Ask for the state of the git repository, and for empty caches."""
    for _ in range(60):
        for name in ("load_git_info", "clear_cache"):
            message = BackMsg()
            setattr(message, name, True)
            visitor.send(message)
    time.sleep(PAUSE)


def forged_downloads(visitor: Visitor) -> None:
    """Ask for downloads that do not exist, with names that forge lines of the log."""
    for number in range(20):
        message = BackMsg()
        request = message.backend_operation_request
        request.request_id, request.session_id = f"{number}\n2026-01-01 forged\x1b[31m", visitor.session
        request.deferred_file.file_id = f"{number}\n2026-01-01 forged\x1b[31m"
        visitor.send(message)
    time.sleep(PAUSE)


def parallel_downloads(visitor: Visitor) -> None:
    """Ask for all files of a photo six times at once."""
    visitor.upload({"large.jpg": jpeg(9, (3000, 1500))})
    visitor.settle()
    visitor.press("Export full-resolution masks")
    zips = [button for button in visitor.of("download_button") if button.label.startswith("All files")]
    for number in range(6):
        message = BackMsg()
        request = message.backend_operation_request
        request.request_id, request.session_id = f"zip {number}", visitor.session
        request.deferred_file.file_id = zips[0].deferred_file_id
        visitor.send(message)
    answered = 0
    for received in visitor.messages():
        answered += received.HasField("backend_operation_response")
        if answered == 6:
            return


def junk_in_a_zip(visitor: Visitor) -> None:
    """Upload a zip of files that only begin like pictures to the Batch page."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            noise = np.random.default_rng(number).bytes(20_000)
            archive.writestr(f"{number}.jpg", b"\xff\xd8\xff\xe0" + noise + bytes(2_000_000))
    visitor.open("batch")
    visitor.upload({"junk.zip": out.getvalue()})
    visitor.settle()
    visitor.press("Segment 1 file")
    visitor.press("New batch")
    visitor.open()


ATTACKS: dict[str, Callable[[Visitor], None]] = {
    "none": lambda visitor: time.sleep(1),
    "label of 16 megapixels": large_label,
    "JPEG of many scans": many_scans,
    "JPEGs near the limits": jpegs_near_the_limits,
    "TIFF of many tiles": many_tiles,
    "visits of Dataset and Train": page_visits,
    "list in place of a pixel": component_values,
    "messages for developers": messages_for_developers,
    "forged downloads": forged_downloads,
    "six equal downloads": parallel_downloads,
    "junk in a zip": junk_in_a_zip,
}
"""Attacks by name."""


def run(weights: Path, name: str, seconds: float) -> Outcome:
    """Start a server, attack it, and use it meanwhile.

    Args:
        weights: folder of the published weights.
        name: of the attack, which every hostile visitor repeats.
        seconds: duration.
    """
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=weights)
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory() as folder:
        environment = {"SEG_WEIGHTS": str(weights), "SEG_RUNS": folder, "SEG_LOOKS_A_MINUTE": "100000"}
        process, url = start_server(environment, log)
        try:
            with Visitor(url) as first:
                first.open()
            peak, attacks, ended = [0.0], [0], threading.Event()
            threads = [threading.Thread(target=_watch, args=(process.pid, peak, ended))]
            for _ in range(ATTACKERS.get(name, 2)):
                threads.append(threading.Thread(target=_attack, args=(url, ATTACKS[name], attacks, ended)))
            for thread in threads:
                thread.start()
            try:
                answers = _use(url, predictor, time.monotonic() + seconds)
            finally:
                ended.set()
                for thread in threads:
                    thread.join()
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        lines = log.read().splitlines()
    return Outcome(
        answers=len(answers),
        wrong=sum(not right for _, right in answers),
        slowest=max(taken for taken, _ in answers),
        attacks=attacks[0],
        peak_mb=round(peak[0] / 1e6),
        log_lines=len(lines),
        log_tracebacks=sum("Traceback" in line or line.startswith("2026-01-01") for line in lines),
    )


def _use(url: str, predictor: Predictor, end: float) -> list[tuple[float, bool]]:
    """Upload one photo after another; return the seconds of each answer and whether its masks are right."""
    answers: list[tuple[float, bool]] = []
    with Visitor(url) as visitor:
        visitor.open()
        while time.monotonic() < end:
            name, data = f"{len(answers)}.jpg", jpeg(len(answers), SIZE)
            start = time.monotonic()
            visitor.upload({name: data})
            masks = visitor.masks(name)
            taken = time.monotonic() - start
            visitor.settle()
            expected = predictor.predict(data, output_size=SIZE[::-1]).masks
            right = all(np.array_equal(masks[variant], mask) for variant, mask in expected.items())
            answers.append((taken, right))
    return answers


def _attack(url: str, attack: Callable[[Visitor], None], attacks: list[int], ended: threading.Event) -> None:
    while not ended.is_set():
        with suppress(OSError, EOFError, WebSocketException), Visitor(url) as visitor:
            visitor.open()
            while not ended.is_set():
                attack(visitor)
                attacks[0] += 1


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    """Measure the peak memory of a process with its children."""
    while not ended.wait(0.1):
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(pid)
            used = sum(process.memory_info().rss for process in [server, *server.children(recursive=True)])
            peak[0] = max(peak[0], used)


def main() -> None:
    """Run every attack for the seconds of the first argument and print a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    print("| attack | attacks | answers | wrong | slowest | peak memory | lines in the log | tracebacks |")
    print("|---" * 8 + "|")
    for name in ATTACKS:
        outcome = run(paths.weights(), name, seconds)
        print(
            f"| {name} | {outcome.attacks} | {outcome.answers} | {outcome.wrong} | {outcome.slowest:.1f} s"
            f" | {outcome.peak_mb} MB | {outcome.log_lines} | {outcome.log_tracebacks} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
