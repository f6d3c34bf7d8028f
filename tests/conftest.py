"""What several tests need: a small rendered data set, throw-away weights, and the app in a real server and browser."""

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from browsers import NONE, launched
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from safetensors.torch import save
from visitor import start_server

from seg import dataset, labels, preprocess, scenes, weights
from seg.fcn import FCN, VARIANTS

PATIENCE = 180_000
"""Milliseconds: a busy machine is no failure."""

QUICK = {
    *("archive", "augment", "batch", "ceiling", "checkpoint", "crew", "dataset", "encoder", "fcn", "feed", "files", "limits"),
    *("line", "masks", "metrics", "photo", "preprocess", "recipe", "runs", "scoring", "structure", "truth", "trust", "turn"),
    *("viewer", "weights"),
}
"""The modules of `make check`: what tests them takes seconds."""

# what a script starts in the background ignores it, and so would all in it
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.removeprefix("test_") not in QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded data goes to a folder of this test session."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "CACHE", folder)
        patch.setenv("SEG_CACHE", str(folder))  # for the processes that tests start
        yield folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen rendered pairs to train on, three to score on."""
    folder = tmp_path_factory.mktemp("data") / "pairs"
    scenes.write_pairs(folder, 14, 3, seed=1)
    return folder


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with weights of the default name that know nothing: their parameters are random, the same each time."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FCN(len(labels.CLASSES), VARIANTS, "v1")
        for score in (model.score32, model.score16, model.score8):
            torch.nn.init.normal_(score.weight, std=0.02)
    content = save({key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()})
    card = weights.Card(
        format=weights.FORMAT,
        name=weights.DEFAULT,
        architecture="fcn-resnet50",
        variants=list(VARIANTS),
        classes=list(labels.NAMES),
        mean=list(preprocess.MEAN),
        std=list(preprocess.STD),
        working_height=96,
        working_rule="cover",
        heights_tried={},
        encoder={"name": "none", "strides": "v1", "source": "random", "licence": "none"},
        parent=None,
        command="",
        config={},
        hours=0.0,
        photos=0,
        data={},
        decoder_version=labels.DECODER_VERSION,
        metrics={},
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=sum(p.numel() for p in model.parameters()),
        licence="none",
    )
    (folder / card.name).mkdir()
    (folder / card.name / weights.FILE).write_bytes(content)
    (folder / card.name / weights.CARD).write_bytes(weights.to_json(card))
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium or Chrome. Without one the browser tests are skipped, except where CI=true."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = launched(playwright)
        if running is None:
            if os.environ.get("CI") == "true":
                pytest.fail(NONE)
            pytest.skip(NONE)
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address as a visitor of one's own, in a window of this size; a busy machine is waited for."""
    contexts: list[BrowserContext] = []

    def arrive(address: str, width: int = 1440, height: int = 900, **options: object) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        return page

    yield arrive
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """Start the app on weights of a folder, with more of its environment by name -> its address; it ends with its file."""
    running: list[subprocess.Popen] = []

    def start(folder: Path, **more: str) -> str:
        process, address = start_server({"SEG_WEIGHTS": str(folder), **more})
        running.append(process)
        return address

    yield start
    for process in running:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
