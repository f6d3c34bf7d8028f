"""The app under a path of a site, as a reverse proxy may serve it."""

import re
import zipfile

from playwright.sync_api import expect

from tests.support.visitor import jpeg

PHOTO = {"name": "street.jpg", "mimeType": "image/jpeg", "buffer": jpeg(3, (320, 160))}


def test_pages_uploads_and_downloads_work_under_a_base_path(serve, registry, visit):
    address = serve(registry, STREAMLIT_SERVER_BASE_URL_PATH="tools/street")
    page = visit(address)
    expect(page.locator(".viewer .chip").first).to_be_visible()
    page.get_by_role("link", name="Batch").click()
    expect(page).to_have_url(f"{address}/batch")
    page.locator('input[type="file"]').first.set_input_files([PHOTO])
    page.get_by_role("button", name="Segment 1 file").click()
    page.get_by_role("button", name="Create a zip of the masks").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("zip")).first.click()
    assert "shares.csv" in zipfile.ZipFile(download.value.path()).namelist()
