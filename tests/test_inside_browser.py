"""The Inside page in a real browser: the drawing, the skips, the toy, receptive fields and reasons."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from seg import scenes


@pytest.fixture(scope="module")
def address(serve: Callable[[Path], str], registry: Path) -> str:
    return serve(registry)


@pytest.fixture
def arrive(visit: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens a view of the page."""
    return lambda view, *size: visit(f"{address}/inside?inside_view={view.replace(' ', '+')}", *size)


def choose_view(page: Page, view: str) -> None:
    page.get_by_role("radio", name=view, exact=True).click()


def test_the_path_is_walked_and_a_click_moves_the_point_of_all_views(arrive):
    page = arrive("The path")
    nodes = page.locator(".diagram .node")
    expect(nodes).to_have_count(16)
    assert "19 × 3 × 6" in page.locator('[data-node="score32"]').inner_text()
    assert "2048 × 3 × 6" in page.locator('[data-node="stage32"]').inner_text()
    assert "19 × 96 × 192" in page.locator('[data-node="upscore8"]').inner_text()
    # step by step: FCN-32s needs nothing of the skips
    page.get_by_role("button", name="FCN-32s", exact=True).first.click()
    expect(page.locator('[data-node="score16"]')).to_have_class(re.compile("dim"))
    expect(page.locator(".diagram .large h4")).to_contain_text("FCN-32s")
    page.get_by_role("button", name=re.compile("skip 8")).click()
    expect(page.locator(".diagram .dim")).to_have_count(2)  # the masks of the other two
    # a node is seen large, with its value under the pointer, of the class that is asked for
    page.locator('[data-node="fuse16"]').click()
    expect(page.locator(".diagram .large h4")).to_contain_text("Sum, stride 16")
    page.get_by_role("combobox", name=re.compile("The nodes of scores show")).click()
    page.keyboard.type("sky")
    page.keyboard.press("Enter")
    expect(page.locator(".diagram .said")).to_contain_text(re.compile(r"cell 6, 3: -?\d+\.\d\d"))
    box = page.locator(".diagram .large canvas").bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.move(5, 5)
    expect(page.locator(".diagram .said")).to_contain_text(re.compile(r"cell 10, 1: "))

    choose_view(page, "Why this class")
    spot = page.locator(".pictures .spot")
    expect(spot).to_have_count(3)
    assert abs(float(spot.first.evaluate("e => parseFloat(e.style.left)")) - 90) < 1.5
    for table in page.locator("table.legend").all():
        cells = [[float(cell) for cell in row.locator("td").all_inner_texts()] for row in table.locator("tbody tr").all()]
        for column in zip(*cells, strict=True):
            assert abs(sum(column[:-1]) - column[-1]) < 0.021  # each is rounded to two digits
    expect(page.locator(".js-plotly-plot")).to_have_count(3)

    choose_view(page, "Receptive field")
    expect(page.locator(".pictures .box")).to_have_count(3)
    expect(page.locator(".pictures figcaption").first).to_contain_text(
        re.compile(r"could see 515 × 515 pixels; 95 % lies within")
    )
    before = page.locator(".pictures img").first.get_attribute("src")
    page.locator(".pictures .frame").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".pictures img").first).not_to_have_attribute("src", before)


def test_the_skips_are_turned_off_and_back(arrive):
    page = arrive("Touch the skips")
    changed = page.locator(".viewer figcaption").filter(has_text="What changed")
    expect(changed).to_contain_text("0.0% of the pixels")
    for name in ("Skip at stride 16, times", "Skip at stride 8, times"):
        page.get_by_role("slider", name=name).focus()
        page.keyboard.press("Home")
    expect(changed).not_to_contain_text(re.compile(r"\D0\.0% of the pixels"))
    page.get_by_role("radiogroup", name="→ full size").get_by_text("nearest").click()
    expect(page.get_by_text(re.compile(r"Made anew from the kept scores in \d+ ms"))).to_be_visible()
    page.get_by_role("button", name="As trained", exact=True).click()
    expect(changed).to_contain_text("0.0% of the pixels")
    page.get_by_role("radio", name="FCN-32s", exact=True).click()
    expect(page.get_by_role("slider", name=re.compile("^Skip"))).to_have_count(0)


def test_a_transposed_convolution_by_hand(arrive):
    page = arrive("Transposed convolution")
    verdict = page.locator(".toy .verdict")
    expect(verdict).to_contain_text("every output is reached by 4 inputs")
    page.get_by_role("button", name=re.compile("^Checkerboard")).click()
    expect(verdict).to_contain_text("reached by 1 to 4 inputs. Equal inputs give unequal outputs: a checkerboard")
    page.get_by_role("button", name=re.compile("^Gaps")).click()
    expect(verdict).to_contain_text("reached by no input at all")
    page.get_by_role("button", name=re.compile("^As FCN")).click()
    page.locator(".toy canvas").last.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator(".toy .told")).to_contain_text(re.compile(r"Output \(2, 1\) = .*input \(0, 0\).* \+ .*input \(1, 1\)"))
    expect(page.locator(".kernels figure")).to_have_count(20)


def test_a_photo_given_on_one_page_is_there_on_the_next(visit, address):
    page = visit(address)
    photo = io.BytesIO()
    Image.fromarray(scenes.render(5, 160, 80).photo).save(photo, "PNG")
    for name in ("one", "other"):
        page.locator('input[type="file"]').first.set_input_files(
            {"name": f"{name}.png", "mimeType": "image/png", "buffer": photo.getvalue()}
        )
        expect(page.locator(".viewer figcaption").first).to_contain_text(f"{name}.png")
    page.get_by_role("link", name="Inside").first.click()
    strip = page.locator(".st-key-strip button")
    expect(strip).to_have_count(2)
    expect(page.locator('[data-node="photo"]')).to_contain_text("3 × 96 × 192")
    page.get_by_role("link", name="Compare").first.click()
    expect(page.locator(".viewer figcaption").first).to_contain_text("other.png")  # still the chosen one
    page.get_by_role("button", name="Forget the photos given before").click()
    expect(strip).to_have_count(0)
    expect(page.locator(".viewer figcaption").first).to_contain_text("rendered")


def test_on_a_phone_nothing_sticks_out(arrive):
    for view in ("The path", "Touch the skips", "Transposed convolution", "Why this class"):
        page = arrive(view, 390, 844)
        page.wait_for_timeout(3000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
