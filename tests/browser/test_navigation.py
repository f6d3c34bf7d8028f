"""From page to page, back and forward, and after a reload: the photo, the weights and the view stay."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.visitor import jpeg, start_preloaded_server


@pytest.fixture(scope="module")
def two_weights(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for name in (DEFAULT_WEIGHTS, "other"):
        shutil.copytree(registry / DEFAULT_WEIGHTS, folder / name)
    card = folder / "other" / "card.json"
    card.write_text(card.read_text().replace(f'"name": "{DEFAULT_WEIGHTS}"', '"name": "other"'))
    return folder


@pytest.fixture(scope="module")
def address(serve: Callable[[Path], str], two_weights: Path) -> str:
    return serve(two_weights)


def settle(page: Page) -> None:
    page.wait_for_timeout(600)
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def place(page: Page) -> tuple[str, dict[str, str]]:
    """The page and its choices, after the script has run."""
    settle(page)
    parts = urlsplit(page.url)
    return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}


def follow(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebar").get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(f"**/{'' if name == 'Compare' else name.lower()}?*")


def upload(page: Page, *names: str) -> None:
    page.locator('input[type="file"]').first.set_input_files(
        [
            {"name": name, "mimeType": "image/jpeg", "buffer": jpeg(seed, (320, 160))}
            for seed, name in enumerate(names)
        ]
    )
    expect(page.locator(".st-key-strip button")).to_have_count(len(names))


def test_back_and_forward_restore_photo_weights_and_view(visit, address):
    page = visit(f"{address}/?photo=11")
    settle(page)
    follow(page, "Inside")
    assert place(page) == ("/inside", {"photo": "11"})
    page.get_by_role("radio", name="Transposed convolution", exact=True).click()
    assert place(page) == ("/inside", {"photo": "11", "inside_view": "Transposed convolution"})
    page.get_by_role("combobox", name="Weights").click()
    page.get_by_role("option", name="other").click()
    chosen = {"photo": "11", "inside_view": "Transposed convolution", "weights": "other"}
    assert place(page) == ("/inside", chosen)
    follow(page, "Compare")
    assert place(page) == ("/", {"photo": "11", "weights": "other"})
    page.locator(".st-key-sample-34 button").click()
    assert place(page) == ("/", {"photo": "34", "weights": "other"})
    page.go_back()
    assert place(page) == ("/", {"photo": "11", "weights": "other"})
    page.go_back()
    assert place(page) == ("/inside", chosen)
    expect(page.get_by_role("radio", name="Transposed convolution", exact=True)).to_be_checked()
    page.go_back()
    assert place(page) == ("/inside", {"photo": "11", "inside_view": "Transposed convolution"})
    assert page.get_by_role("combobox", name="Weights").input_value() == DEFAULT_WEIGHTS
    for _ in range(3):
        page.go_forward()
        settle(page)
    assert place(page) == ("/", {"photo": "34", "weights": "other"})


def test_back_restores_an_uploaded_photo(visit, address):
    page = visit(address)
    upload(page, "a.jpg", "b.jpg")
    assert place(page)[1]["photo"] == "own"
    page.locator(".st-key-strip-1 button").click()
    assert place(page)[1]["photo"] == "own-2"
    page.locator(".st-key-sample-7 button").click()
    assert place(page)[1]["photo"] == "7"
    page.go_back()
    assert place(page)[1]["photo"] == "own-2"
    expect(page.locator(".viewer")).to_contain_text("b.jpg")
    page.go_back()
    settle(page)
    expect(page.locator(".viewer")).to_contain_text("a.jpg")


def test_a_reload_keeps_uploads_and_a_copied_link_does_not(visit, address):
    page = visit(address)
    upload(page, "a.jpg", "b.jpg")
    page.locator(".st-key-strip-1 button").click()
    settle(page)
    page.reload()
    expect(page.locator(".st-key-strip button")).to_have_count(2)
    settle(page)
    expect(page.locator(".viewer")).to_contain_text("b.jpg")
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    stranger = visit(page.url)
    expect(stranger.get_by_text("created for an uploaded photo")).to_be_visible()
    expect(stranger.locator(".st-key-strip button")).to_have_count(0)


def test_a_copied_tab_names_the_tab_with_the_photos(visit, address):
    page = visit(address)
    upload(page, "a.jpg")
    settle(page)
    with page.context.expect_page() as opened:
        page.evaluate("void window.open(location.href)")  # copies the storage of the tab, as duplicating does
    copy = opened.value
    expect(copy.get_by_text("This tab is a copy of another one")).to_be_visible()
    page.reload()
    expect(page.locator(".st-key-strip button")).to_have_count(1)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


def test_a_reload_during_a_batch_keeps_it(visit, address):
    page = visit(f"{address}/batch")
    page.locator('input[type="file"]').first.set_input_files(
        [
            {"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": jpeg(number, (320, 160))}
            for number in range(6)
        ]
    )
    page.get_by_role("button", name="Segment 6 files").click()
    expect(page.get_by_text("of 6", exact=False).first).to_be_visible()
    page.reload()
    expect(page.get_by_text("6 of 6 segmented")).to_be_visible()


def test_after_a_restart_the_page_says_that_uploads_are_gone(visit, two_weights):
    process, address = start_preloaded_server({"SEG_WEIGHTS": str(two_weights)})
    try:
        page = visit(address)
        upload(page, "a.jpg")
        settle(page)
        process.terminate()
        process.wait(30)
        process, _ = start_preloaded_server(
            {"SEG_WEIGHTS": str(two_weights)}, port=int(address.rpartition(":")[2])
        )
        page.wait_for_function("document.querySelector('[data-test-connection-state=CONNECTED]')")
        page.wait_for_timeout(3000)
        page.get_by_role("radio", name="Fast", exact=True).click()  # the page runs anew only then
        expect(page.get_by_text("no longer on the server")).to_be_visible(timeout=60_000)
        expect(page.get_by_test_id("stFileUploaderFile")).to_have_count(0)
        upload(page, "c.jpg")
        settle(page)
        expect(page.locator(".viewer")).to_contain_text("c.jpg")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
