"""A soak test: several browsers use the app, correctly and incorrectly, and every mask is compared with a
prediction.

``python -m benchmarks.soak 30`` runs it for thirty minutes and prints the results.
"""

import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Browser, Page, WebSocket, sync_playwright
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from seg import paths
from seg.data import scenes
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.browsers import NONE, launched
from tests.support.hostile_files import corpus
from tests.support.visitor import PATIENCE, jpeg, start_server, unpacked
from ui.shared.photo_picker import SAMPLES

ROOT = Path(__file__).parents[1]

SIZES = ((1024, 512), (900, 675), (640, 960), (3000, 2000))
"""Sizes of the photos in pixels. The app displays the last one at a reduced size."""
NAMES = ("{}.png", "../../{}.jpg", "C:\\{}.gif", "🚲 <b>{}</b>.webp", "a\nb{}.tif", "{}" + "n" * 240)
"""Names of the bad files."""
PAGES = ("inside", "batch", "scores", "dataset", "train")


class Truth:
    """The masks that a local network predicts, computed once for each photo and size."""

    def __init__(self, predictor: Predictor, photos: Mapping[str, bytes]) -> None:
        streets = {seed: scenes.render_scene(seed) for seed in SAMPLES}
        self._samples = {_key(street.label): Image.fromarray(street.photo) for street in streets.values()}
        self._photos, self._predictor, self._cache = photos, predictor, {}
        self._heights = [round(predictor.working_height * factor) for factor in (1.0, 0.75, 1.5)]

    def agrees(self, blob: Mapping) -> bool:
        """Whether the masks sent to a viewer are the predicted ones."""
        shape = blob["height"], blob["width"]
        panes = {pane["id"]: pane for pane in blob["panes"]}
        masks = {id: pane for id, pane in panes.items() if pane["kind"] == "mask"}
        name = _key(panes["truth"]["ids"].reshape(shape)) if "truth" in panes else panes["photo"]["note"]
        key = name, shape, tuple(next(iter(masks.values()))["working_size"])
        if key not in self._cache:
            self._cache[key] = self._predict(*key)
        expected = self._cache[key]
        return masks.keys() == expected.keys() and all(
            _key(pane["ids"]) == expected[id] for id, pane in masks.items()
        )

    def _predict(self, name: str, shape: tuple[int, int], work: tuple[int, int]) -> dict[str, str]:
        photo = self._samples.get(name) or self._photos[name]
        for height in self._heights:
            prediction = self._predictor.predict(photo, working_height=height, output_size=shape)
            if prediction.working_size == work[::-1]:
                return {id: _key(mask) for id, mask in prediction.masks.items()}
        raise AssertionError(f"no detail of the page brings {name} to {work}")


@dataclass
class Log:
    """Results of a soak."""

    actions: Counter = field(default_factory=Counter)  # count by kind
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    measurements: list[tuple[float, float, int, int]] = field(
        default_factory=list
    )  # seconds, MB, handles, threads

    @property
    def slope(self) -> float:
        """Megabytes a minute, after the first third."""
        seconds, memory, *_ = np.array(self.measurements[len(self.measurements) // 3 :]).T
        return 60 * float(np.polyfit(seconds, memory, 1)[0])


class Guest:
    """One browser window. It listens to its websocket so that the masks it receives can be compared."""

    def __init__(self, browser: Browser, url: str, truth: Truth, log: Log, chance: random.Random) -> None:
        self.browser, self.url, self.truth, self.log, self.chance = browser, url, truth, log, chance
        self.arrive()

    def arrive(self) -> None:
        size = self.chance.choice(({"width": 1440, "height": 900}, {"width": 390, "height": 844}))
        self.context = self.browser.new_context(viewport=size)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.on("websocket", self._listen)
        self.actions_left, self.pending_photo, self.compare = self.chance.randint(6, 14), "", True
        self.page.goto(self.url)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._hear)

    def _hear(self, payload: str | bytes) -> None:
        if isinstance(payload, str):
            return
        message = ForwardMsg.FromString(payload)
        if message.HasField("delta") and message.delta.new_element.HasField("bidi_component"):
            component = message.delta.new_element.bidi_component
            if component.component_name.endswith("street_viewer"):
                self._look(unpacked(component.bytes))

    def _look(self, blob: Mapping) -> None:
        note = blob["panes"][0]["note"]
        if any(pane["kind"] == "mask" for pane in blob["panes"]) and (blob["own"] or note == "rendered"):
            self.log.compared += 1
            if not self.truth.agrees(blob):
                self.log.wrong.append(f"other masks of {note}")
            if note == self.pending_photo:
                self.pending_photo = ""

    def act(self, photos: Mapping[str, bytes], bad: list[bytes]) -> None:
        """Performs a random action; `settle` waits until it is finished."""
        if self.actions_left == 0:
            self.log.actions["window closed, another opened"] += 1
            self.context.close()
            self.arrive()
            return
        self.actions_left -= 1
        if not self.compare:
            self.log.actions["back to Compare"] += 1
            self.compare = True
            self.page.goto(self.url)
            return
        action, perform = self.chance.choice(
            (
                ("photo uploaded", self._upload),
                ("bad file uploaded", self._upload_bad),
                ("sample chosen", self._sample),
                ("detail chosen", self._detail),
                ("viewer's buttons pressed", self._toggle),
                ("other page opened", self._leave),
            )
        )
        self.log.actions[action] += 1
        perform(photos, bad)

    def _upload(self, photos: Mapping[str, bytes], _: list[bytes]) -> None:
        self.pending_photo = self.chance.choice(list(photos))
        self._give(self.pending_photo, photos[self.pending_photo])

    def _upload_bad(self, _: Mapping[str, bytes], bad: list[bytes]) -> None:
        self._give(self.chance.choice(NAMES).format(self.actions_left), self.chance.choice(bad))
        self.page.get_by_test_id("stAlert").first.wait_for()

    def _give(self, name: str, data: bytes) -> None:
        self.page.locator('input[type="file"]').first.set_input_files(
            [{"name": name, "mimeType": "image/jpeg", "buffer": data}]
        )

    def _sample(self, *_) -> None:
        self.page.locator(f".st-key-sample-{self.chance.choice(list(SAMPLES))} button").click()

    def _detail(self, *_) -> None:
        # the sidebar is closed on a phone
        choice = self.page.get_by_role(
            "radio", name=self.chance.choice(("Fast", "Default", "Fine")), exact=True
        )
        choice.dispatch_event("click")

    def _toggle(self, *_) -> None:
        for _ in range(3):
            buttons = self.page.locator(
                ".viewer .layers [role=radio], .viewer .panes button, .viewer button.chip"
            ).all()
            if buttons:
                self.chance.choice(buttons).dispatch_event("click")

    def _leave(self, *_) -> None:
        self.compare = False
        self.page.goto(f"{self.url}/{self.chance.choice(PAGES)}")

    def settle(self) -> None:
        """Waits until the page has run to its end and the masks of the uploaded photo have arrived."""
        end = time.monotonic() + PATIENCE
        self.page.wait_for_timeout(200)
        while self.pending_photo and time.monotonic() < end:  # a file may still be on its way to the server
            self.page.wait_for_timeout(200)
        self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
        if self.page.get_by_test_id("stException").count():
            self.log.wrong.append(f"an exception on {self.page.url}")
        if self.pending_photo:
            self.log.wrong.append(f"no masks of {self.pending_photo}")
            self.pending_photo = ""


def bad_files() -> list[bytes]:
    """Some hostile files that the app refuses."""
    cases = islice(corpus(), 0, None, 7)
    return [case.data for case in cases if case.fate == "refused" and len(case.data) < 10**6]


def soak(
    browser: Browser,
    folder: Path,
    minutes: float,
    browsers: int = 3,
    session_seconds: int = 120,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Log:
    """Runs the app with the weights of a folder, and several browsers, for some minutes.

    The server keeps a session and its data for `session_seconds` after its window closes. The last
    measurement is taken after that.
    """
    log, chance, bad = Log(), random.Random(0), bad_files()
    photos = {f"street {n}.jpg": jpeg(200 + n, size) for n, size in enumerate(SIZES)}
    truth = Truth(Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=folder), photos)
    with tempfile.TemporaryFile("w+") as server_log:
        environment = {
            "SEG_WEIGHTS": str(folder),
            "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": str(session_seconds),
        }
        server, url = start_server(environment, stderr=server_log)
        try:
            process = psutil.Process(server.pid)

            def measure() -> None:
                memory = process.memory_info().rss / 1e6
                handles, threads = process.num_fds(), process.num_threads()
                log.measurements.append((time.monotonic() - began, memory, handles, threads))

            guests = [Guest(browser, url, truth, log, chance) for _ in range(browsers)]
            for guest in guests:
                guest.settle()
            began = time.monotonic()  # only now: a busy machine may take long to open the windows
            while time.monotonic() < began + 60 * minutes:
                measure()
                for guest in guests:
                    guest.act(photos, bad)
                for guest in guests:
                    guest.settle()
                seconds, memory, *_ = log.measurements[-1]
                on_progress(
                    f"{seconds / 60:.1f} minutes, {log.compared} compared, {len(log.wrong)} wrong,"
                    f" {memory:.0f} MB"
                )
            for guest in guests:
                guest.context.close()
            end = time.monotonic() + session_seconds + 30
            while process.num_fds() > log.measurements[0][2] and time.monotonic() < end:
                time.sleep(0.5)
            measure()
        finally:
            server.terminate()
            server.wait(30)
        server_log.seek(0)
        log.wrong += [f"server log: {line}" for line in server_log if re.search("Traceback|Error", line)]
    return log


def _key(mask: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(mask).tobytes()).hexdigest()


def report(minutes: float) -> bool:
    """Prints the results of a soak of the shipped weights -> whether there was no error."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        if browser is None:
            raise SystemExit(NONE)
        log = soak(browser, paths.weights(), minutes, on_progress=lambda line: print(line, file=sys.stderr))
        browser.close()
    print(f"\n## {minutes:g} minutes of three browsers\n\n| done | times |\n|---|---|")
    for action, times in log.actions.most_common():
        print(f"| {action} | {times} |")
    _, memory, handles, threads = zip(*log.measurements, strict=True)
    warm = len(log.measurements) // 3
    print(f"\nAnswers compared with the ones predicted here: {log.compared}. Wrong: {len(log.wrong)}.\n")
    print("| | after a third | at the end |\n|---|---|---|")
    print(f"| memory, MB | {memory[warm]:.0f} | {memory[-1]:.0f} |")
    print(
        f"| open handles | {handles[warm]} | {handles[-1]} |\n| threads | {threads[warm]} | {threads[-1]} |"
    )
    print(f"\nFrom then on memory changed by {log.slope:+.2f} MB a minute.")
    for wrong in log.wrong:
        print(f"- {wrong}")
    return not log.wrong


if __name__ == "__main__":
    sys.exit(not report(float(sys.argv[1]) if len(sys.argv) > 1 else 30))
