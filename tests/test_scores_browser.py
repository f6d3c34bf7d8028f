"""The Scores page in a real browser: a table, an evaluation from start to photos, the card verified and compared."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from seg import evaluate, weights
from seg.dataset import load
from seg.predict import Predictor


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, pairs: Path, registry: Path, cache: Path) -> Path:
    """A data set, weights that were scored on it, and weights that were not."""
    folder = tmp_path_factory.mktemp("scores")
    shutil.copytree(pairs, folder / "data" / "streets")
    split = load(pairs, "val")
    card = weights.read_card(weights.DEFAULT, registry)
    predictor = Predictor.of(card.name, folder=registry)
    (folder / "cache").mkdir()
    for known in cache.glob("bf16.json"):  # the page computes in the same precision
        shutil.copy(known, folder / "cache")
    found = evaluate.tally(predictor, split, card.variants, range(len(split)))
    told = {variant: evaluate.report(tally) for variant, tally in found.items()}
    for old in told.values():  # as cards were before
        del old["calibration"], old["calibration_error"]
    metrics = {"split": "val", "images": len(split), "digest": split.digest, "variants": told}
    for name, new in ((card.name, {"metrics": metrics}), ("unscored", {})):
        shutil.copytree(registry / card.name, folder / "weights" / name)
        (folder / "weights" / name / weights.CARD).write_bytes(weights.to_json(dataclasses.replace(card, name=name, **new)))
    return folder


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], place: Path) -> str:
    return serve(place / "weights", SEG_DATA=str(place / "data"), SEG_CACHE=str(place / "cache"))


@pytest.fixture
def arrive(visit: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens a view of the page."""
    return lambda view, *size: visit(f"{address}/scores?scores_view={view.replace(' ', '+')}", *size)


def choose_view(page: Page, view: str) -> None:
    page.get_by_role("radio", name=view, exact=True).click()


def see(page: Page, text: str | re.Pattern) -> None:
    expect(page.get_by_text(text).first).to_be_visible()


def test_from_the_matrix_to_the_photos_behind_a_cell(arrive):
    page = arrive("Confusion")
    cells = page.locator(".confusion td button:not(:disabled)")
    expect(cells.first).to_be_visible()
    assert cells.count() > 10
    said = cells.first.get_attribute("aria-label")
    pixels = int(re.search(r"([\d,]+) pixels", said)[1].replace(",", ""))
    cells.first.click()
    see(page, "The card has the matrix, not the photos behind it")
    page.get_by_role("button", name=re.compile("^Score ")).click()
    tiles = page.locator('[class*="st-key-grid-behind"] button')
    expect(tiles.first).to_be_visible()  # once the evaluation, a process of its own, has ended
    behind = [int(re.search(r"([\d,]+) pixels", words)[1].replace(",", "")) for words in tiles.all_inner_texts()]
    assert sum(behind) == pixels and behind == sorted(behind, reverse=True)
    tiles.first.click()
    expect(page.locator('.viewer canvas[data-pane="truth"]')).to_be_visible()
    expect(page.locator('.viewer canvas[data-pane="8s"]')).to_be_visible()

    choose_view(page, "Worst photos")
    tiles = page.locator('[class*="st-key-grid-worst"] button')
    expect(tiles).to_have_count(3)
    scores = [float(words.split("·")[1]) for words in tiles.all_inner_texts()]
    assert scores == sorted(scores)

    choose_view(page, "Calibration")
    expect(page.locator(".js-plotly-plot")).to_have_count(2)

    choose_view(page, "Card")
    see(page, re.compile("The same as the card says"))
    page.get_by_role("button", name="Verify the file").click()
    see(page, "the sha256 is right")


def test_times_are_measured_and_drawn_with_the_ceilings(arrive):
    page = arrive("All weights")
    see(page, "Published without scores: unscored")
    page.get_by_role("button", name="Measure times and ceilings here").click()
    see(page, "ceiling of stride 32")
    assert "ceiling of stride 8" in page.locator(".js-plotly-plot").first.inner_text()
    choose_view(page, "Classes and sizes")
    expect(page.locator(".js-plotly-plot")).to_have_count(2)


def test_weights_without_scores_say_what_to_do(arrive):
    page = arrive("Classes and sizes&weights=unscored")
    see(page, "unscored was published without scores")
    expect(page.get_by_role("button", name=re.compile("^Score unscored on the 3 photos of streets"))).to_be_visible()


def test_on_a_phone_nothing_sticks_out(arrive):
    for view in ("All weights", "Confusion", "Card"):
        page = arrive(view, 390, 844)
        page.wait_for_timeout(3000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
