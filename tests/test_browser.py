"""The Compare page in a real browser on a real server, with the shipped weights."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from seg import masks, scenes, weights
from seg.predict import Predictor

SHIPPED = Path(__file__).parent.parent / "weights"
PATIENCE = 120_000  # milliseconds; a busy machine is no failure


@pytest.fixture(scope="module")
def address(serve: Callable[[Path], str]) -> str:
    return serve(SHIPPED)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.of(weights.DEFAULT, folder=SHIPPED)


@pytest.fixture
def visitor(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page as one more visitor."""
    contexts: list[BrowserContext] = []

    def arrive(width: int = 1440, height: int = 900) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        ready(page)
        return page

    yield arrive
    for context in contexts:
        context.close()


def ready(page: Page) -> None:
    """Wait until all but the samples' thumbnails is drawn."""
    expect(page.get_by_role("button", name="Everything as a zip")).to_be_visible(timeout=PATIENCE)


def street(seed: int, width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scenes.render(seed, width, height).photo).save(out, "PNG")
    return out.getvalue()


def upload(page: Page, **files: bytes) -> None:
    page.locator('input[type="file"]').set_input_files(
        [{"name": f"{name}.png", "mimeType": "image/png", "buffer": data} for name, data in files.items()]
    )


def shown(page: Page, kind: str, count: int) -> dict[str, bytes]:
    """The pictures of a kind on the page: variant -> the very bytes that the browser has."""
    images = page.locator(f'img[data-kind="{kind}"]')
    expect(images).to_have_count(count, timeout=PATIENCE)
    return {
        image.get_attribute("data-variant"): base64.b64decode(image.get_attribute("src").split(",", 1)[1])
        for image in images.all()
    }


def mask_alone(page: Page, name: str) -> None:
    """Wait for a photo of this name and look at masks alone."""
    expect(page.locator("figcaption").first).to_contain_text(name, timeout=PATIENCE)
    page.get_by_role("radio", name="Mask alone").click()


def test_the_masks_on_the_page_are_those_that_predict_writes(visitor, predictor):
    photo = street(101, 512, 256)
    truth = {variant: masks.png(mask) for variant, mask in predictor.predict(photo).masks.items()}
    page = visitor()
    upload(page, street=photo)
    mask_alone(page, "street.png")
    on_page = shown(page, "mask", 3)
    assert on_page.keys() == truth.keys() == {"32s", "16s", "8s"}
    for variant, data in on_page.items():
        np.testing.assert_array_equal(masks.read_png(data), masks.read_png(truth[variant]))
    assert on_page == truth  # the file too, byte for byte
    # what the browser makes of the file, at its own size, has the classes' colours and no other
    drawn = page.locator('img[data-kind="mask"][data-variant="8s"]').evaluate(
        """image => { const c = document.createElement("canvas"); c.width = image.naturalWidth; c.height = image.naturalHeight;
        const d = c.getContext("2d"); d.drawImage(image, 0, 0);
        return btoa(Array.from(d.getImageData(0, 0, c.width, c.height).data, v => String.fromCharCode(v)).join("")); }"""
    )
    pixels = np.frombuffer(base64.b64decode(drawn), np.uint8).reshape(256, 512, 4)[..., :3]
    np.testing.assert_array_equal(pixels, np.array(Image.open(io.BytesIO(truth["8s"])).convert("RGB")))
    with page.expect_download() as download:
        page.get_by_role("button", name="FCN-8s mask").click()
    assert download.value.suggested_filename == "street.8s.png"
    assert Path(download.value.path()).read_bytes() == truth["8s"]

    page.get_by_text("FCN-16s", exact=True).first.click()
    assert shown(page, "mask", 2) == {v: truth[v] for v in ("32s", "8s")}
    page.get_by_text("FCN-16s", exact=True).first.click()
    assert shown(page, "mask", 3) == truth
    page.get_by_role("radio", name="Overlay").click()
    assert shown(page, "overlay", 3) == truth  # small photos are shown at their own size, the mask over the photo
    page.get_by_role("slider").press("ArrowLeft")
    expect(page.locator('img[data-kind="overlay"]').first).to_have_css("opacity", "0.59")


def test_a_bad_file_is_named_and_the_good_one_stands(visitor):
    page = visitor()
    upload(page, broken=b"this is no picture", good=street(102, 256, 128))
    expect(page.get_by_role("alert").filter(has_text="broken.png")).to_contain_text("not a picture", timeout=PATIENCE)
    expect(page.locator("figcaption").first).to_contain_text("good.png", timeout=PATIENCE)
    ready(page)
    shown(page, "overlay", 3)
    assert "Traceback" not in page.inner_text("body")


def test_nothing_scrolls_sideways_on_a_phone(visitor):
    page = visitor(390, 844)
    inner = "[document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth - e.clientWidth)"
    assert page.evaluate(inner) == [0, 0]
    boxes = [figure.bounding_box() for figure in page.locator(".panes").first.locator("figure").all()]
    assert len(boxes) == 4 and len({round(box["x"]) for box in boxes}) == 1  # one below the other
    assert all(box["width"] > 300 for box in boxes)


def test_two_visitors_see_their_own_photos(visitor, predictor):
    photos = {"first": street(103, 320, 192), "second": street(104, 256, 192)}
    pages = {name: visitor() for name in photos}
    for name, photo in photos.items():
        upload(pages[name], **{name: photo})
    for name, page in pages.items():
        mask_alone(page, f"{name}.png")
    for name, page in pages.items():
        truth = {variant: masks.png(mask) for variant, mask in predictor.predict(photos[name]).masks.items()}
        assert shown(page, "mask", 3) == truth


def test_without_weights_the_page_says_what_to_do(browser, serve, tmp_path):
    page = browser.new_page()
    page.goto(serve(tmp_path))
    expect(page.get_by_text("python -m seg publish")).to_be_visible(timeout=PATIENCE)
    assert "Traceback" not in page.inner_text("body")
    page.close()
