"""Shared fixtures: a small rendered dataset, random weights, and the app in a real server and browser."""

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from safetensors.torch import save

from seg.data import cityscapes, label_decoder, preprocess, scenes
from seg.models.fcn import FCN, VARIANTS
from seg.models.model_card import CARD_FORMAT, ModelCard, to_json
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, WEIGHTS_FILE
from tests.support.browsers import NONE, launched
from tests.support.preloaded import PreloadedProcess
from tests.support.visitor import start_preloaded_server

PATIENCE = 180_000
"""Milliseconds. A busy machine must not fail a test."""

# A shell starts background processes with SIGINT ignored, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stress",
        action="store_true",
        help="run the soak, fault and fuzz tests at full length, not a sample",
    )


def pytest_configure(config: pytest.Config) -> None:
    common = {
        "deadline": None,
        "derandomize": True,
        "database": None,
        "suppress_health_check": list(HealthCheck),
    }
    settings.register_profile("sample", max_examples=40, **common)
    settings.register_profile("stress", max_examples=300, **common)
    settings.load_profile("stress" if config.getoption("--stress") else "sample")


@pytest.fixture(scope="session")
def stress(pytestconfig: pytest.Config) -> bool:
    """Whether the soak, fault and fuzz tests run at full length."""
    return pytestconfig.getoption("--stress")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded data goes to a folder of this test session."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEG_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Fourteen rendered pairs for training and three for evaluation. Parallel test workers share them."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "pairs"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            scenes.write_pairs(folder, 14, 3, seed=1)
    return folder


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with random weights under the default name. The parameters are the same each time."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FCN(len(cityscapes.CLASSES), VARIANTS, "v1")
        for score in (model.score32, model.score16, model.score8):
            torch.nn.init.normal_(score.weight, std=0.02)
    content = save(
        {
            key: value.half() if value.is_floating_point() else value
            for key, value in model.state_dict().items()
        }
    )
    card = ModelCard(
        format=CARD_FORMAT,
        name=DEFAULT_WEIGHTS,
        architecture="fcn-resnet50",
        variants=list(VARIANTS),
        classes=list(cityscapes.NAMES),
        mean=list(preprocess.MEAN),
        std=list(preprocess.STD),
        working_height=96,
        resize_mode="cover",
        height_search={},
        encoder={"name": "none", "strides": "v1", "source": "random", "licence": "none"},
        init_from=None,
        command="",
        config={},
        hours=0.0,
        samples_seen=0,
        data={},
        decoder_version=label_decoder.DECODER_VERSION,
        metrics={},
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=sum(p.numel() for p in model.parameters()),
        licence="none",
    )
    (folder / card.name).mkdir()
    (folder / card.name / WEIGHTS_FILE).write_bytes(content)
    (folder / card.name / CARD_FILE).write_bytes(to_json(card))
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium or Chrome. Without one the browser tests are skipped, or fail if CI=true."""
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
    """Opens an address in a new browser context, in a window of this size, with a long timeout."""
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
    """Starts the app with the weights of a folder and further environment variables -> its address. The
    server stops at the end of the test file."""
    running: list[PreloadedProcess] = []

    def start(folder: Path, **more: str) -> str:
        process, address = start_preloaded_server({"SEG_WEIGHTS": str(folder), **more})
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
