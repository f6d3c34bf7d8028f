"""The Dataset page in a real browser: the grid, a pair, its classes and decoding, and a rendered scene."""

import io
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from seg.data import scenes
from tests.support.image_sets import write_own_set


@pytest.fixture(scope="module")
def address(
    serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory, pairs: Path, registry: Path
) -> str:
    folder = tmp_path_factory.mktemp("sets")
    shutil.copytree(pairs, folder / "streets")
    (folder / "streets" / "val" / "3.jpg").write_bytes(b"no picture")
    return serve(registry, SEG_DATA=str(folder))


@pytest.fixture
def arrive(visit: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens the page with this query string."""
    return lambda query="", *size: visit(f"{address}/dataset?{query}", *size)


def see(page: Page, text: str | re.Pattern) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


def press(page: Page, name: str | re.Pattern) -> None:
    page.get_by_role("button", name=name).first.click()


def test_from_the_grid_to_a_pair_and_its_decoding(arrive):
    page = arrive()
    tiles = page.locator(".st-key-grid-pairs button")
    expect(tiles).to_have_count(14)
    tiles.nth(3).click()
    see(page, "train/4.jpg")
    expect(page.locator('.viewer canvas[data-pane="label"]')).to_be_visible()
    assert "number=4" in page.url
    page.get_by_role("button", name="Exact label", exact=True).click()
    expect(page.locator('.viewer canvas[data-pane="exact"]')).to_be_visible()
    press(page, "Next")
    see(page, "train/5.jpg")
    page.get_by_role("radio", name="Label decoding").click()  # the same pair
    see(page, "known for rendered scenes")
    assert page.locator(".halves img").count() == 6 and "number=5" in page.url
    see(page, re.compile("of the decoded pixels are correct"))
    page.reload()
    see(page, "5.jpg")


def test_the_split_is_decoded_and_its_classes_are_counted(arrive):
    page = arrive("with=bus")
    see(page, re.compile(r"^\d+ · \d+\.\d%$"))  # decoded in a separate process
    page = arrive("data_view=Class+frequencies")
    see(page, re.compile("^1 of the 3 pairs in .* is unusable"))  # val has a damaged pair
    page.get_by_role("radio", name="Browse").click()
    page.get_by_role("radio", name="val").click()
    see(page, "3 is unusable")
    page.get_by_text("Check the files").click()
    press(page, "Check every file of streets")
    see(page, "1 of 17 files are unusable: 1 damaged")


def test_a_scene_is_rendered_with_the_chosen_options(arrive):
    page = arrive("data_view=Render+a+scene&seed=2&wish_sky=evening&wish_people=15")
    expect(page.locator('.viewer canvas[data-pane="label"]')).to_be_visible()
    see(page, re.compile(r"Rendered in \d"))
    with page.expect_download() as photo:
        press(page, "Photo as PNG")
    scene = scenes.render_scene(2, options=scenes.SceneOptions(sky="evening", people=15))
    with Image.open(io.BytesIO(Path(photo.value.path()).read_bytes())) as picture:
        np.testing.assert_array_equal(np.asarray(picture), scene.photo)
    see(page, re.compile("--sky"))


@pytest.mark.parametrize(
    "query", ["", "number=2", "data_view=Decoding&number=2", "data_view=Render+a+scene&wish_fog=0.03"]
)
def test_the_page_fits_a_phone(arrive, query):
    page = arrive(query, 390, 844)
    expect(page.locator(".viewer canvas, .halves img, .st-key-grid-pairs button").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_zip_becomes_a_data_set_of_its_own_classes(arrive, tmp_path):
    # the last test of this file: it adds a data set, which comes first
    source, content = write_own_set(tmp_path, train=2, val=1), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in source.rglob("*.*"):
            archive.write(file, f"own/{file.relative_to(source)}")
    page = arrive()
    page.get_by_text("Get more data").click()
    upload = {"name": "own streets.zip", "mimeType": "application/zip", "buffer": content.getvalue()}
    page.locator(".st-key-dataset_zip input").set_input_files(upload)
    expect(page.get_by_label("Name", exact=True)).to_have_value("own-streets")
    press(page, "Import")
    see(page, re.compile("train has 2 photos with a label"))
    expect(page.locator(".st-key-grid-samples button")).to_have_count(2)
    expect(page.locator('.viewer canvas[data-pane="truth"]')).to_be_visible()
    see(page, "building")
