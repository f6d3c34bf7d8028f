"""A soak: several browsers use the app as people do, and as people should not, and every mask that comes is compared.

``python tests/soak.py 30`` does so for thirty minutes and prints what became of it.
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

ROOT = Path(__file__).parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from browsers import NONE, launched  # noqa: E402
from hostile import corpus  # noqa: E402
from visitor import PATIENCE, jpeg, start_server, unpacked  # noqa: E402

from pages.parts.photos import SAMPLES  # noqa: E402
from seg import scenes, weights  # noqa: E402
from seg.predict import Predictor  # noqa: E402

SIZES = ((1024, 512), (900, 675), (640, 960), (3000, 2000))
"""Of the photos, in pixels: the last is shown smaller than it is."""
NAMES = ("{}.png", "../../{}.jpg", "C:\\{}.gif", "🚲 <b>{}</b>.webp", "a\nb{}.tif", "{}" + "n" * 240)
"""Of the bad files."""
PAGES = ("inside", "batch", "scores", "dataset", "train")


class Truth:
    """What the network says of a photo when it is asked here, once for each photo and size."""

    def __init__(self, predictor: Predictor, photos: Mapping[str, bytes]) -> None:
        streets = {seed: scenes.render(seed) for seed in SAMPLES}
        self._samples = {_key(street.label): Image.fromarray(street.photo) for street in streets.values()}
        self._photos, self._predictor, self._known = photos, predictor, {}
        self._heights = [round(predictor.working_height * factor) for factor in (1.0, 0.75, 1.5)]

    def agrees(self, blob: Mapping) -> bool:
        """Whether the masks that a viewer was sent are those."""
        shape = blob["height"], blob["width"]
        panes = {pane["id"]: pane for pane in blob["panes"]}
        masks = {id: pane for id, pane in panes.items() if pane["kind"] == "mask"}
        name = _key(panes["truth"]["ids"].reshape(shape)) if "truth" in panes else panes["photo"]["note"]
        asked = name, shape, tuple(next(iter(masks.values()))["work"])
        if asked not in self._known:
            self._known[asked] = self._predict(*asked)
        wanted = self._known[asked]
        return masks.keys() == wanted.keys() and all(_key(pane["ids"]) == wanted[id] for id, pane in masks.items())

    def _predict(self, name: str, shape: tuple[int, int], work: tuple[int, int]) -> dict[str, str]:
        photo = self._samples.get(name) or self._photos[name]
        for height in self._heights:
            found = self._predictor.predict(photo, working_height=height, seen_at=shape)
            if found.working_size == work[::-1]:
                return {id: _key(mask) for id, mask in found.masks.items()}
        raise AssertionError(f"no detail of the page brings {name} to {work}")


@dataclass
class Log:
    """What became of it all."""

    done: Counter = field(default_factory=Counter)  # what was done, by kind
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    seen: list[tuple[float, float, int, int]] = field(default_factory=list)  # seconds, MB, handles, threads

    @property
    def slope(self) -> float:
        """Megabytes a minute, after the first third."""
        seconds, memory, *_ = np.array(self.seen[len(self.seen) // 3 :]).T
        return 60 * float(np.polyfit(seconds, memory, 1)[0])


class Guest:
    """One browser window: its socket is listened to, so that what it is sent can be compared."""

    def __init__(self, browser: Browser, url: str, truth: Truth, log: Log, chance: random.Random) -> None:
        self.browser, self.url, self.truth, self.log, self.chance = browser, url, truth, log, chance
        self.arrive()

    def arrive(self) -> None:
        size = self.chance.choice(({"width": 1440, "height": 900}, {"width": 390, "height": 844}))
        self.context = self.browser.new_context(viewport=size)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.on("websocket", self._listen)
        self.left, self.awaited, self.compare = self.chance.randint(6, 14), "", True
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
            if note == self.awaited:
                self.awaited = ""

    def act(self, photos: Mapping[str, bytes], bad: list[bytes]) -> None:
        """Does something; `settle` waits until it is done."""
        if self.left == 0:
            self.log.done["window closed, another opened"] += 1
            self.context.close()
            self.arrive()
            return
        self.left -= 1
        if not self.compare:
            self.log.done["back to Compare"] += 1
            self.compare = True
            self.page.goto(self.url)
            return
        what, does = self.chance.choice(
            (
                ("photo uploaded", self._upload),
                ("bad file uploaded", self._upload_bad),
                ("sample chosen", self._sample),
                ("detail chosen", self._detail),
                ("viewer's buttons pressed", self._toggle),
                ("other page opened", self._leave),
            )
        )
        self.log.done[what] += 1
        does(photos, bad)

    def _upload(self, photos: Mapping[str, bytes], _: list[bytes]) -> None:
        self.awaited = self.chance.choice(list(photos))
        self._give(self.awaited, photos[self.awaited])

    def _upload_bad(self, _: Mapping[str, bytes], bad: list[bytes]) -> None:
        self._give(self.chance.choice(NAMES).format(self.left), self.chance.choice(bad))
        self.page.get_by_test_id("stAlert").first.wait_for()

    def _give(self, name: str, data: bytes) -> None:
        self.page.locator('input[type="file"]').first.set_input_files([{"name": name, "mimeType": "image/jpeg", "buffer": data}])

    def _sample(self, *_) -> None:
        self.page.locator(f".st-key-sample-{self.chance.choice(list(SAMPLES))} button").click()

    def _detail(self, *_) -> None:
        # the sidebar is closed on a phone
        choice = self.page.get_by_role("radio", name=self.chance.choice(("Fast", "Default", "Fine")), exact=True)
        choice.dispatch_event("click")

    def _toggle(self, *_) -> None:
        for _ in range(3):
            buttons = self.page.locator(".viewer .layers [role=radio], .viewer .panes button, .viewer button.chip").all()
            if buttons:
                self.chance.choice(buttons).dispatch_event("click")

    def _leave(self, *_) -> None:
        self.compare = False
        self.page.goto(f"{self.url}/{self.chance.choice(PAGES)}")

    def settle(self) -> None:
        """Waits until the page has run to its end, and what was uploaded has come to it."""
        end = time.monotonic() + PATIENCE
        self.page.wait_for_timeout(200)
        while self.awaited and time.monotonic() < end:  # a file may still be on its way to the server
            self.page.wait_for_timeout(200)
        self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
        if self.page.get_by_test_id("stException").count():
            self.log.wrong.append(f"an exception on {self.page.url}")
        if self.awaited:
            self.log.wrong.append(f"no masks of {self.awaited}")
            self.awaited = ""


def soak(
    browser: Browser,
    folder: Path,
    minutes: float,
    browsers: int = 3,
    kept: int = 120,
    told: Callable[[str], None] = lambda _: None,
) -> Log:
    """Runs the app on the weights of a folder, and as many browsers, for so many minutes.

    A session is kept for `kept` seconds after its window was closed, and all that it holds: the last look is after that.
    """
    log, chance = Log(), random.Random(0)
    photos = {f"street {n}.jpg": jpeg(200 + n, size) for n, size in enumerate(SIZES)}
    bad = [case.data for case in islice(corpus(), 0, None, 7) if case.fate == "refused" and len(case.data) < 10**6]
    truth = Truth(Predictor.of(weights.DEFAULT, folder=folder), photos)
    with tempfile.TemporaryFile("w+") as said:
        environment = {"SEG_WEIGHTS": str(folder), "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": str(kept)}
        server, url = start_server(environment, stderr=said)
        try:
            process, began = psutil.Process(server.pid), time.monotonic()

            def look() -> None:
                log.seen.append(
                    (time.monotonic() - began, process.memory_info().rss / 1e6, process.num_fds(), process.num_threads())
                )

            guests = [Guest(browser, url, truth, log, chance) for _ in range(browsers)]
            for guest in guests:
                guest.settle()
            while time.monotonic() < began + 60 * minutes:
                look()
                for guest in guests:
                    guest.act(photos, bad)
                for guest in guests:
                    guest.settle()
                seconds, memory, *_ = log.seen[-1]
                told(f"{seconds / 60:.1f} minutes, {log.compared} compared, {len(log.wrong)} wrong, {memory:.0f} MB")
            for guest in guests:
                guest.context.close()
            end = time.monotonic() + kept + 30
            while process.num_fds() > log.seen[0][2] and time.monotonic() < end:
                time.sleep(0.5)
            look()
        finally:
            server.terminate()
            server.wait(30)
        said.seek(0)
        log.wrong += [f"the server said: {line}" for line in said if re.search("Traceback|Error", line)]
    return log


def _key(mask: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(mask).tobytes()).hexdigest()


def report(minutes: float) -> bool:
    """Prints what became of a soak of the shipped weights -> whether nothing was wrong."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        if browser is None:
            raise SystemExit(NONE)
        log = soak(browser, weights.FOLDER, minutes, told=lambda line: print(line, file=sys.stderr))
        browser.close()
    print(f"\n## {minutes:g} minutes of three browsers\n\n| done | times |\n|---|---|")
    for what, times in log.done.most_common():
        print(f"| {what} | {times} |")
    _, memory, handles, threads = zip(*log.seen, strict=True)
    warm = len(log.seen) // 3
    print(f"\nAnswers compared with the ones predicted here: {log.compared}. Wrong: {len(log.wrong)}.\n")
    print("| | after a third | at the end |\n|---|---|---|")
    print(f"| memory, MB | {memory[warm]:.0f} | {memory[-1]:.0f} |")
    print(f"| open handles | {handles[warm]} | {handles[-1]} |\n| threads | {threads[warm]} | {threads[-1]} |")
    print(f"\nFrom then on memory changed by {log.slope:+.2f} MB a minute.")
    for wrong in log.wrong:
        print(f"- {wrong}")
    return not log.wrong


if __name__ == "__main__":
    sys.exit(not report(float(sys.argv[1]) if len(sys.argv) > 1 else 30))
