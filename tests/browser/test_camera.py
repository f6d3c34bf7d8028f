"""The camera on the Compare page, in a browser with a fake one."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], registry: Path) -> str:
    return serve(registry)


def test_a_camera_photo_is_compared_and_asked_for_first(visit, address):
    page = visit(address)
    chips = page.locator(".viewer .chip")
    expect(chips.first).to_be_visible()
    expect(page.get_by_test_id("stCameraInput")).to_have_count(0)  # which would ask for the camera
    page.get_by_text("Or take a photo with the camera").click()
    page.wait_for_function("document.querySelector('[data-testid=stCameraInput] video')?.readyState > 1")
    page.get_by_role("button", name="Take Photo").click()
    expect(page).to_have_url(re.compile("photo=own"))
    expect(page.get_by_role("button", name=re.compile("^camera-input"))).to_be_visible()
    expect(chips.first).to_be_visible()
    page.get_by_role("button", name="Clear photo").click()
    expect(page).not_to_have_url(re.compile("photo=own"))
