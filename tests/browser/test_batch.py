"""The Batch page in a real browser: uploading, cancelling, resuming, viewing and downloading."""

import csv
import io
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from seg.inference import mask_io
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.video_files import decode, write_video
from ui.batch.results import PAGE_SIZE


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the server stores batches."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], registry: Path, temporary: Path) -> str:
    return serve(registry, TMPDIR=str(temporary))


@pytest.fixture
def arrive(visit: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens the page in a new browser context."""
    return partial(visit, f"{address}/batch")


def png(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((120, 60), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def give(page: Page, files: dict[str, bytes]) -> None:
    page.locator('input[type="file"]').first.set_input_files(
        [
            {"name": name, "mimeType": "application/octet-stream", "buffer": data}
            for name, data in files.items()
        ]
    )
    page.get_by_role("button", name=re.compile(rf"Segment {len(files)} file")).click()


def done(page: Page) -> None:
    expect(page.get_by_role("button", name="New batch")).to_be_visible()


def test_photos_and_a_zip_become_masks(arrive, address, registry):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("trip/one.png", png(3))
        opened.writestr("../escaped.png", png(4))
    page = arrive()
    expect(page.get_by_text("Choose photos, a folder or a zip")).to_be_visible()
    give(
        page,
        {
            "📷 first.png": png(1),
            "second.png": png(2),
            "trip.zip": packed.getvalue(),
            "bad.png": b"no picture",
        },
    )
    done(page)
    expect(page.get_by_text("3 of 5 segmented with FCN-8s")).to_be_visible()
    failed = page.locator(".failed")
    expect(failed).to_contain_text("bad.png")
    expect(failed).to_contain_text("leads out of the zip")
    expect(page.locator(".st-key-grid button")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="Class shares as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert [row["name"] for row in rows] == [
        "📷 first.png",
        "second.png",
        "trip/one.png",
        "../escaped.png",
        "bad.png",
    ]
    page.get_by_role("button", name="Create a zip of the masks").click()
    link = page.get_by_role("link", name=re.compile("Masks as a zip"))
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "masks.zip"
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=registry)
    with zipfile.ZipFile(download.value.path()) as opened:
        for seed, row in enumerate(rows[:3], 1):
            expected = predictor.predict(png(seed), ["8s"]).masks["8s"]
            assert (mask_io.read_png(opened.read(row["mask"])) == expected).mean() > 0.99
    # a download is accessible only by its exact name
    served = f"{address}/{link.get_attribute('href')}"
    assert page.request.get(served).status == 200
    folder = served.rsplit("/", 1)[0]
    for closed in (folder, f"{folder}/", f"{address}/app/static/", f"{address}/app/static/..%2fapp.py"):
        assert page.request.get(closed).status in (400, 404)
    page.locator(".st-key-grid button").first.click()
    expect(page.get_by_role("dialog").locator('canvas[data-pane="8s"]')).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="New batch").click()
    expect(page.get_by_text("Choose photos, a folder or a zip")).to_be_visible()
    assert page.request.get(served).status == 404


def test_a_batch_is_cancelled_and_resumed_beside_another_visitor(arrive, temporary):
    page, second_page = arrive(), arrive()
    give(page, {f"{i}.png": png(i) for i in range(48)})
    expect(page.get_by_text(re.compile(r"\d+ of 48 · about"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    done(page)
    expect(page.get_by_text(re.compile("pending"))).to_be_visible()
    count = int(re.search(r"(\d+) of 48", page.inner_text("body"))[1])
    assert 0 < count < 48
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.get_by_role("link", name="Train").click()
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    give(second_page, {"theirs.png": png(99)})
    done(second_page)
    expect(second_page.get_by_text("1 of 1 segmented")).to_be_visible()
    page.get_by_role("link", name="Batch").click()
    done(page)
    expect(page.get_by_text("48 of 48 segmented")).to_be_visible()
    expect(page.locator(".st-key-grid button")).to_have_count(PAGE_SIZE)
    assert "theirs" not in page.inner_text("body")
    assert 48 in [len(list(folder.glob("masks/*.png"))) for folder in temporary.glob("street-fcn-*")]


def test_a_folder_upload_fits_a_phone(arrive, tmp_path):
    for name in ("a.png", "deep/b.png", "deep/.hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(len(name)))
    page = arrive(390, 844)
    page.locator('input[type="file"]').nth(1).set_input_files(tmp_path)
    page.get_by_role("button", name=re.compile(r"Segment \d files")).click()
    done(page)
    expect(page.get_by_text("2 of 2 segmented")).to_be_visible()
    expect(page.locator(".st-key-grid button")).to_have_count(2)
    expect(page.locator(".st-key-grid")).to_contain_text("deep/b.png")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert "Traceback" not in page.inner_text("body")


def test_a_video_is_segmented_and_its_plot_seeks_the_player(arrive, tmp_path):
    write_video(tmp_path / "drive.mp4", 60)
    page = arrive()
    give(page, {"drive.mp4": (tmp_path / "drive.mp4").read_bytes()})
    done(page)
    expect(page.get_by_text("1 of 1 segmented with FCN-8s")).to_be_visible()
    player = page.locator(".st-key-batch-player video")
    if page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.640028\"')"):
        page.wait_for_function("document.querySelector('video').readyState > 0")
        assert player.evaluate("video => [video.duration, video.videoWidth]") == [6, 192]
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    page.wait_for_function("[3, 4].includes(Math.floor(document.querySelector('video').currentTime))")
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^Video")).click()
    assert download.value.suggested_filename == "drive.video.mp4"
    assert len(decode(Path(download.value.path()).read_bytes())) == 30
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollWidth <= 390")
