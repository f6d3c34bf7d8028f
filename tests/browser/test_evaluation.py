"""The Evaluation page in a real browser: the table, an evaluation, the matrix, and verification of the
card."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from seg.data.datasets import load_split
from seg.evaluation import evaluate
from seg.inference.predictor import Predictor
from seg.models.model_card import to_json
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, read_card


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, pairs: Path, registry: Path) -> Path:
    """A dataset, weights that were evaluated on it, and weights that were not."""
    folder = tmp_path_factory.mktemp("scores")
    shutil.copytree(pairs, folder / "data" / "streets")
    split = load_split(pairs, "val")
    card = read_card(DEFAULT_WEIGHTS, registry)
    predictor = Predictor.from_pretrained(card.name, folder=registry, precision="fp32")  # as in evaluations
    tallies = evaluate.accumulate(predictor, split, card.variants, range(len(split)))
    reports = {variant: evaluate.report(tally) for variant, tally in tallies.items()}
    for old in reports.values():  # like older cards
        del old["calibration"], old["calibration_error"]
    metrics = {
        "version": evaluate.EVALUATION_VERSION,
        "split": "val",
        "images": len(split),
        "digest": split.digest,
        "variants": reports,
    }
    for name, new in ((card.name, {"metrics": metrics}), ("unscored", {})):
        shutil.copytree(registry / card.name, folder / "weights" / name)
        (folder / "weights" / name / CARD_FILE).write_bytes(
            to_json(dataclasses.replace(card, name=name, **new))
        )
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
    page = arrive("Confusion matrix")
    cells = page.locator(".confusion-matrix td button:not(:disabled)")
    expect(cells.first).to_be_visible()
    assert cells.count() > 10
    cell_label = cells.first.get_attribute("aria-label")
    pixels = int(re.search(r"([\d,]+) pixels", cell_label)[1].replace(",", ""))
    cells.first.click()
    see(page, "The model card contains the matrix but not the images")
    page.get_by_role("button", name=re.compile("^Evaluate ")).click()
    tiles = page.locator('[class*="st-key-grid-behind"] button')
    expect(tiles.first).to_be_visible()  # after the evaluation process has ended
    behind = [
        int(re.search(r"([\d,]+) pixels", label)[1].replace(",", "")) for label in tiles.all_inner_texts()
    ]
    assert sum(behind) == pixels and behind == sorted(behind, reverse=True)
    tiles.first.click()
    expect(page.locator('.viewer canvas[data-pane="truth"]')).to_be_visible()
    expect(page.locator('.viewer canvas[data-pane="8s"]')).to_be_visible()

    choose_view(page, "Worst images")
    tiles = page.locator('[class*="st-key-grid-worst"] button')
    expect(tiles).to_have_count(3)
    scores = [float(label.split("·")[1]) for label in tiles.all_inner_texts()]
    assert scores == sorted(scores)

    choose_view(page, "Two networks")
    see(page, "An interval needs at least 100 photos.")
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    if page.get_by_text("There is no such photo.").is_visible():
        page.get_by_role("radio", name="First is better").click()
    page.locator('[class*="st-key-grid-compared"] button').first.click()
    for pane in ("first", "second", "disagreement", "truth"):
        expect(page.locator(f'.viewer canvas[data-pane="{pane}"]')).to_be_visible()

    choose_view(page, "Calibration")
    expect(page.locator(".js-plotly-plot")).to_have_count(2)

    choose_view(page, "Model card")
    see(page, re.compile("Reproduced: all scores agree"))
    page.get_by_role("button", name="Verify the weights file").click()
    see(page, "its SHA-256 matches the model card")


def test_times_are_measured_and_drawn_with_cell_share_references(arrive):
    page = arrive("All weights")
    see(page, "Published without metrics: unscored")
    page.get_by_role("button", name="Measure times and cell-share references").click()
    see(page, re.compile("stride 32$"))
    assert "stride 8" in page.locator(".js-plotly-plot").first.inner_text()
    choose_view(page, "Per class and size")
    expect(page.locator(".js-plotly-plot")).to_have_count(2)


def test_weights_without_scores_say_what_to_do(arrive):
    page = arrive("Per class and size&weights=unscored")
    see(page, "unscored was published without metrics")
    expect(
        page.get_by_role("button", name=re.compile("^Evaluate unscored on the 3 images of streets"))
    ).to_be_visible()


def test_the_page_fits_a_phone(arrive):
    for view in ("All weights", "Two networks", "Confusion matrix", "Robustness", "Model card"):
        page = arrive(view, 390, 844)
        page.wait_for_timeout(3000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
