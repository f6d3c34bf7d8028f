"""The Train page in a real browser: a training is started, watched, stopped, resumed, published and
compared."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from seg.training import run_status
from seg.training.run import Run
from tests.support.preloaded import PreloadedProcess


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, pairs: Path, registry: Path) -> Iterator[Path]:
    """Project folders with one small dataset and one set of weights."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(pairs, folder / "data" / "streets")
    shutil.copytree(registry, folder / "weights")
    yield folder
    for run in run_status.find_runs(folder / "runs"):  # runs that a failed test left running
        if Run(run).alive():
            run_status.stop(run)


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


def choose(page: Page, label: str, option: str) -> None:
    box = page.get_by_role("combobox", name=label)
    box.fill(option)
    # pressing Enter before the list has followed the text keeps the former choice
    page.get_by_role("option", name=option).click()
    expect(box).to_have_value(option)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).last.click()


def test_a_training_from_the_form_to_published_weights(arrive, place):
    for folder in ("runs", "weights"):  # of a first try that failed
        shutil.rmtree(place / folder / "mine", ignore_errors=True)
    page = arrive("train")
    see(page, "Get more data")  # everything is drawn
    choose(page, "Encoder weights", "none (random initialization)")
    expect(page.get_by_test_id("stCode")).to_contain_text("--encoder-weights none")
    for label, value in (
        ("Name of the run", "mine"),
        ("Epochs", "6"),
        ("Batch size", "1"),
        ("Crop height", "32"),
    ):
        type_into(page, label, value)
    page.get_by_text("All other settings").click()
    for label, value in (
        ("Validation (hold-out) samples", "4"),
        ("Epochs between evaluations", "1"),
        ("Steps between checkpoints", "25"),
    ):
        type_into(page, label, value)
    see(page, "60 steps")
    press(page, "Start training")
    run = Run(place / "runs" / "mine")

    # the progress updates without user actions
    see(page, re.compile(r"step [1-9]\d* of 60"))
    expect(page.locator(".strip img").first).to_be_visible()
    assert run.alive() and run.read_heartbeat()["pid"] != os.getpid()
    press(page, "Stop")
    see(page, "stopped")
    assert not run.alive() and run.read_heartbeat()["status"] == "stopped"
    at = run.state()["step"]
    assert 0 < at < 60 and at == run.read_heartbeat()["step"]

    # another browser finds and resumes the run; both show its progress, also after a refresh
    second_page = arrive("train?run=mine")
    see(second_page, "stopped")
    press(second_page, "Resume")
    see(second_page, re.compile(r"step \d+ of 60"))
    page.reload()
    see(page, re.compile(r"step \d+ of 60"))
    expect(page.locator(".js-plotly-plot").nth(1)).to_be_visible()
    see(second_page, "finished")
    see(page, "finished")
    assert json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 60
    assert f"training from step {at}" in (run.folder / "log.txt").read_text()

    second_page.get_by_role("button", name=re.compile("Publish")).first.click()
    second_page.locator('[data-testid="stPopoverBody"]').get_by_role("button", name="Publish").click()
    see(second_page, "Published as")
    second_page.get_by_text("Open in Compare").click()
    expect(second_page.locator(".viewer .chip").first).to_be_visible()
    assert "weights=mine" in second_page.url
    expect(second_page.locator('.viewer canvas[data-pane$="8s"]')).to_be_visible()


def test_input_during_a_page_run_is_kept(arrive):
    sent: list[Callable[[], None]] = []  # messages that the server has not received yet

    def slow(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda message: sent.append(lambda: server.send(message)))

    def deliver_until(shown: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not shown():
            assert time.monotonic() < end
            if sent:
                sent.pop(0)()
            page.wait_for_timeout(1000)  # for the answer

    def command_has(option: str) -> bool:
        return option in (page.get_by_test_id("stCode").text_content() or "")

    page = arrive("train?view=New+training")
    page.route_web_socket(re.compile("_stcore/stream"), slow)
    page.reload()
    deliver_until(page.get_by_text("Get more data").is_visible)
    deliver_until(lambda: not sent)
    type_into(page, "Epochs", "6")
    type_into(page, "Batch size", "3")
    deliver_until(lambda: command_has("--epochs 6"))  # the first answer arrives after the second entry
    type_into(page, "Crop height", "64")
    deliver_until(lambda: command_has("--height 64"))
    assert command_has("--batch-size 3")


def test_terminal_runs_are_found_and_killed_runs_marked_crashed(arrive, place):
    options = "--encoder-weights none --epochs 100 --batch-size 1 --height 32 --holdout 4 --device cpu"
    options += " --evaluate-every 1"
    arguments = f"train --data {place / 'data' / 'streets'} --out {place / 'runs' / 'terminal'} {options}"
    process = PreloadedProcess("seg", *arguments.split())
    run = Run(place / "runs" / "terminal")
    try:
        while not run.read_heartbeat().get("steps"):
            assert process.poll() is None, process.output
            time.sleep(0.05)
        page = arrive("train?run=terminal")
        see(page, re.compile(r"step \d+ of 1,000"))
        # a second run waits and names the run before it
        form = arrive("train?view=New+training")
        see(form, "Get more data")
        type_into(form, "Name of the run", "second")
        form.get_by_text("All other settings").click()
        type_into(form, "Validation (hold-out) samples", "4")
        choose(form, "Encoder weights", "none (random initialization)")
        expect(form.get_by_test_id("stCode")).to_contain_text("--encoder-weights none")
        press(form, "Start training")
        see(form, re.compile("Waiting for .*terminal"))
    finally:
        process.kill()
    see(page, "crashed")
    see(page, re.compile("The process was killed"))
    see(form, re.compile(r"step \d+ of|finished"))  # its turn has come
    if Run(place / "runs" / "second").alive():
        press(form, "Stop")
        see(form, re.compile("stopped|finished"))


def test_the_page_fits_a_phone(arrive, place):
    for view in ("Runs", "New+training"):
        page = arrive(f"train?view={view}", 390, 844)
        page.wait_for_timeout(3000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        pictures = [picture.bounding_box() for picture in page.locator(".strip img").all()]
        for previous, following in zip(pictures, pictures[1:], strict=False):
            assert (
                previous["x"] + previous["width"] <= following["x"]
                or previous["y"] + previous["height"] <= following["y"]
            )
