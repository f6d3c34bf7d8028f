"""The Inside page in a real browser: network diagram, skips, transposed convolution, receptive field and
attribution."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from seg.data import scenes
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from tests.support.random_weights import write_weights


@pytest.fixture(scope="module")
def address(serve: Callable[[Path], str], registry: Path) -> str:
    return serve(registry)


@pytest.fixture
def arrive(visit: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens a view of the page."""
    return lambda view, *size: visit(f"{address}/inside?inside_view={view.replace(' ', '+')}", *size)


def choose_view(page: Page, view: str) -> None:
    page.get_by_role("radio", name=view, exact=True).click()


def test_the_diagram_responds_and_moves_the_shared_point(arrive):
    page = arrive("Network")
    nodes = page.locator(".network-diagram .node")
    expect(nodes).to_have_count(16)
    assert "19 × 3 × 6" in page.locator('[data-node="score32"]').inner_text()
    assert "2048 × 3 × 6" in page.locator('[data-node="stage32"]').inner_text()
    assert "19 × 96 × 192" in page.locator('[data-node="upscore8"]').inner_text()
    # step by step: FCN-32s uses no skips
    page.get_by_role("button", name="FCN-32s", exact=True).first.click()
    expect(page.locator('[data-node="score16"]')).to_have_class(re.compile("dim"))
    expect(page.locator(".network-diagram .large h4")).to_contain_text("FCN-32s")
    page.get_by_role("button", name=re.compile("skip 8")).click()
    expect(page.locator(".network-diagram .dim")).to_have_count(2)  # the masks of the other two
    # a selected node is enlarged and shows the value of the chosen class under the pointer
    page.locator('[data-node="fuse16"]').click()
    expect(page.locator(".network-diagram .large h4")).to_contain_text("Sum, stride 16")
    page.get_by_role("combobox", name=re.compile("Score nodes show")).click()
    page.keyboard.type("sky")
    page.keyboard.press("Enter")
    expect(page.locator(".network-diagram .readout")).to_contain_text(re.compile(r"cell 6, 3: -?\d+\.\d\d"))
    box = page.locator(".network-diagram .large canvas").bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.move(5, 5)
    expect(page.locator(".network-diagram .readout")).to_contain_text(re.compile(r"cell 10, 1: "))

    choose_view(page, "Logit attribution")
    spot = page.locator(".linked-images .spot")
    expect(spot).to_have_count(3)
    assert abs(float(spot.first.evaluate("e => parseFloat(e.style.left)")) - 90) < 1.5
    for table in page.locator("table.legend").all():
        cells = [
            [float(cell) for cell in row.locator("td").all_inner_texts()]
            for row in table.locator("tbody tr").all()
        ]
        for column in zip(*cells, strict=True):
            assert abs(sum(column[:-1]) - column[-1]) < 0.021  # each is rounded to two digits
    expect(page.locator(".js-plotly-plot")).to_have_count(3)

    choose_view(page, "Receptive field")
    expect(page.locator(".linked-images .box")).to_have_count(3)
    expect(page.locator(".linked-images figcaption").first).to_contain_text(
        re.compile(r"theoretical 515 × 515 pixels; 95 % of the gradient within")
    )
    before = page.locator(".linked-images img").first.get_attribute("src")
    page.locator(".linked-images .frame").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".linked-images img").first).not_to_have_attribute("src", before)


def test_skips_are_switched_off_and_reset(arrive):
    page = arrive("Edit skip connections")
    changed = page.locator(".viewer figcaption").filter(has_text="Changed pixels")
    expect(changed).to_contain_text("0.0% of the pixels")
    for name in ("Weight of the skip at stride 16", "Weight of the skip at stride 8"):
        page.get_by_role("slider", name=name).focus()
        page.keyboard.press("Home")
    expect(changed).not_to_contain_text(re.compile(r"\D0\.0% of the pixels"))
    page.get_by_role("radiogroup", name="Upsampling to full resolution").get_by_text("nearest").click()
    expect(page.get_by_text(re.compile(r"Computed from cached scores in \d+ ms"))).to_be_visible()
    page.get_by_role("button", name="Reset", exact=True).click()
    expect(changed).to_contain_text("0.0% of the pixels")
    page.get_by_role("radio", name="FCN-32s", exact=True).click()
    expect(page.get_by_role("slider", name=re.compile("^Weight"))).to_have_count(0)


def test_a_unet_is_drawn_and_its_skips_are_left_out(visit, serve, registry, tmp_path):
    write_weights(tmp_path, "unet", "unet-resnet50", read_card(DEFAULT_WEIGHTS, registry))
    page = visit(f"{serve(tmp_path)}/inside")
    nodes = page.locator(".network-diagram .node")
    expect(nodes).to_have_count(12)
    assert "16 × 96 × 192" in page.locator('[data-node="decoder1"]').inner_text()
    page.locator('[data-node="decoder8"]').click()
    expect(page.locator(".network-diagram .large h4")).to_contain_text("Decoder, stride 8")
    boxes = [node.bounding_box() for node in nodes.all()] + [page.locator(".large").bounding_box()]
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            apart_x = one["x"] >= other["x"] + other["width"] or other["x"] >= one["x"] + one["width"]
            apart_y = one["y"] >= other["y"] + other["height"] or other["y"] >= one["y"] + one["height"]
            assert apart_x or apart_y
    choose_view(page, "Edit skip connections")
    changed = page.locator(".viewer figcaption").filter(has_text="Changed pixels")
    expect(changed).not_to_contain_text(re.compile(r"\D0\.0% of the pixels"))
    choose_view(page, "Receptive field")
    expect(page.locator(".linked-images .box")).to_have_count(1)
    choose_view(page, "Logit attribution")
    expect(page.get_by_text("U-Net has no exact attribution")).to_be_visible()


def test_a_transposed_convolution_by_hand(arrive):
    page = arrive("Transposed convolution")
    verdict = page.locator(".transposed-conv-demo .verdict")
    expect(verdict).to_contain_text("every output receives 4 inputs")
    page.get_by_role("button", name=re.compile("^Checkerboard")).click()
    expect(verdict).to_contain_text(
        "receive 1 to 4 inputs. Equal inputs give unequal outputs: a checkerboard"
    )
    page.get_by_role("button", name=re.compile("^Gaps")).click()
    expect(verdict).to_contain_text("some outputs receive no input")
    page.get_by_role("button", name=re.compile("^FCN init")).click()
    page.locator(".transposed-conv-demo canvas").last.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    terms = re.compile(r"Output \(2, 1\) = .*input \(0, 0\).* \+ .*input \(1, 1\)")
    expect(page.locator(".transposed-conv-demo .explanation")).to_contain_text(terms)
    expect(page.locator(".kernels figure")).to_have_count(20)


def test_an_uploaded_photo_stays_across_pages(visit, address):
    page = visit(address)
    photo = io.BytesIO()
    Image.fromarray(scenes.render_scene(5, 160, 80).photo).save(photo, "PNG")
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
    page.get_by_role("button", name="Delete earlier uploads").click()
    expect(strip).to_have_count(0)
    expect(page.locator(".viewer figcaption").first).to_contain_text("rendered")


def test_the_page_fits_a_phone(arrive):
    for view in ("Network", "Edit skip connections", "Transposed convolution", "Logit attribution"):
        page = arrive(view, 390, 844)
        page.wait_for_timeout(3000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
