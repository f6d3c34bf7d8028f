"""A training started, watched, stopped, gone on with, published and compared, all in a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from seg import runs
from seg.checkpoint import Run

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, pairs: Path, registry: Path) -> Iterator[Path]:
    """The folders of a project with one small data set and one set of weights."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(pairs, folder / "data" / "streets")
    shutil.copytree(registry, folder / "weights")
    yield folder
    for run in runs.find(folder / "runs"):  # what a failed test left at work
        if Run(run).alive():
            runs.stop(run)


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], place: Path) -> str:
    return serve(place / "weights", SEG_RUNS=str(place / "runs"), SEG_DATA=str(place / "data"))


@pytest.fixture
def arrive(visit: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens a page of the app."""

    def open_page(path: str, *size: int) -> Page:
        page = visit(f"{address}/{path}", *size)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        return page

    return open_page


def see(page: Page, text: str | re.Pattern) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


def type_into(page: Page, label: str, value: str) -> None:
    box = page.get_by_label(label, exact=True).first
    box.fill(value)
    box.press("Enter")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).last.click()


def test_from_the_form_to_new_weights_on_the_compare_page(arrive, place):
    page = arrive("train")
    see(page, "Get more data")  # all is drawn: what is typed before may be overwritten by what a field begins with
    box = page.get_by_role("combobox", name="Encoder starts from")
    box.click()
    page.keyboard.type("untrained")
    page.keyboard.press("Enter")
    for label, value in (("Name of the run", "mine"), ("Epochs", "6"), ("Batch size", "1"), ("Height of the views", "32")):
        type_into(page, label, value)
    page.get_by_text("All other settings").click()
    for label, value in (("Pairs held out", "4"), ("Steps between checkpoints", "25")):
        type_into(page, label, value)
    see(page, "60 steps")
    press(page, "Start training")
    run = Run(place / "runs" / "mine")

    # it moves, without anything being pressed
    see(page, re.compile(r"step [1-9]\d* of 60"))
    expect(page.locator(".strip img").first).to_be_visible()
    assert run.alive() and run.heartbeat()["pid"] != os.getpid()
    press(page, "Stop")
    see(page, "stopped")
    assert not run.alive() and run.heartbeat()["status"] == "stopped"
    at = run.state()["step"]
    assert 0 < at < 60 and at == run.heartbeat()["step"]

    # another browser finds it, and goes on; both watch it, after a refresh too
    other = arrive("train?run=mine")
    see(other, "stopped")
    press(other, "Go on")
    see(other, re.compile(r"step \d+ of 60"))
    page.reload()
    see(page, re.compile(r"step \d+ of 60"))
    expect(page.locator(".js-plotly-plot").nth(1)).to_be_visible()
    see(other, "finished")
    see(page, "finished")
    assert json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 60
    assert f"training from step {at}" in (run.folder / "log.txt").read_text()

    other.get_by_role("button", name=re.compile("Publish")).first.click()
    other.locator('[data-testid="stPopoverBody"]').get_by_role("button", name="Publish").click()
    see(other, "Published as")
    other.get_by_text("Compare photos with it").click()
    expect(other.locator(".viewer .chip").first).to_be_visible()
    assert "weights=mine" in other.url
    expect(other.locator('.viewer canvas[data-pane$="8s"]')).to_be_visible()


def test_what_is_typed_while_the_page_is_still_at_work_stays(arrive):
    sent: list[Callable[[], None]] = []  # what the page has said and the server has not heard yet

    def slow(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda message: sent.append(lambda: server.send(message)))

    def hear() -> None:
        end = time.monotonic() + 60
        while not sent:
            assert time.monotonic() < end
            page.wait_for_timeout(20)
        sent.pop(0)()

    page = arrive("train?view=New+training")
    page.route_web_socket(re.compile("_stcore/stream"), slow)
    page.reload()
    hear()
    see(page, "Get more data")
    while sent:
        hear()
    page.wait_for_timeout(1000)
    type_into(page, "Epochs", "6")
    type_into(page, "Batch size", "3")
    hear()
    command = page.get_by_test_id("stCode")
    expect(command).to_contain_text("--epochs 6")  # the answer to the first comes after the second was typed
    type_into(page, "Height of the views", "64")
    hear()
    hear()
    expect(command).to_contain_text("--height 64")
    expect(command).to_contain_text("--batch-size 3")


def test_a_run_started_in_a_terminal_is_found_and_a_killed_one_told_from_a_stopped(arrive, place):
    options = "--encoder-weights none --epochs 100 --batch-size 1 --height 32 --holdout 4 --device cpu"
    words = f"train --data {place / 'data' / 'streets'} --out {place / 'runs' / 'terminal'} {options}"
    with subprocess.Popen([sys.executable, "-m", "seg", *words.split()], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        run = Run(place / "runs" / "terminal")
        page = None
        try:
            while not run.heartbeat().get("steps"):
                assert process.poll() is None
            page = arrive("train?run=terminal")
            see(page, re.compile(r"step \d+ of 1,000"))
            # a second one waits for its turn, and says for whom
            form = arrive("train?view=New+training")
            see(form, "Get more data")
            type_into(form, "Name of the run", "second")
            form.get_by_text("All other settings").click()
            type_into(form, "Pairs held out", "4")
            form.get_by_role("combobox", name="Encoder starts from").click()
            form.keyboard.type("untrained")
            form.keyboard.press("Enter")
            form.wait_for_timeout(1000)
            press(form, "Start training")
            see(form, re.compile("Waiting for .*terminal"))
        finally:
            process.kill()
    see(page, "ended without a word")
    see(page, re.compile("Its process was killed"))
    see(form, re.compile(r"step \d+ of|finished"))  # its turn has come
    if Run(place / "runs" / "second").alive():
        press(form, "Stop")
        see(form, re.compile("stopped|finished"))


def test_on_a_phone_nothing_sticks_out(arrive, place):
    for view in ("Runs", "New+training"):
        page = arrive(f"train?view={view}", 390, 844)
        page.wait_for_timeout(3000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        pictures = [picture.bounding_box() for picture in page.locator(".strip img").all()]
        for one, next_ in zip(pictures, pictures[1:], strict=False):
            assert one["x"] + one["width"] <= next_["x"] or one["y"] + one["height"] <= next_["y"]
