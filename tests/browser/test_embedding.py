"""The app inside a frame of another site, where browsers withhold the cookie that protects uploads."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.support.visitor import jpeg


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], registry: Path) -> str:
    return serve(registry)


@pytest.fixture
def embed(visit: Callable[..., Page], tmp_path: Path) -> Iterator[Callable[[str], FrameLocator]]:
    """Opens an address in a frame of another site: 127.0.0.1 is another one than localhost."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path))
    threading.Thread(target=site.serve_forever).start()

    def open_frame(address: str) -> FrameLocator:
        frame = f'<iframe src="{address}" style="width: 100%; height: 850px"></iframe>'
        (tmp_path / "index.html").write_text(frame)
        return visit(f"http://127.0.0.1:{site.server_port}/").frame_locator("iframe")

    yield open_frame
    site.shutdown()
    site.server_close()


def upload(frame: FrameLocator) -> None:
    photo = {"name": "street.jpg", "mimeType": "image/jpeg", "buffer": jpeg(3, (320, 160))}
    frame.locator('input[type="file"]').first.set_input_files([photo])


@pytest.mark.parametrize("path", ["", "inside", "batch"])
def test_refused_uploads_are_explained_before_they_are_tried(address, embed, path):
    frame = embed(f"{address}/{path}")
    expect(frame.get_by_text("Uploads do not work here")).to_be_visible()
    link = frame.get_by_role("link", name="Open the app in a tab of its own")
    assert link.get_attribute("href").startswith(address) and link.get_attribute("target") == "_blank"
    upload(frame)
    expect(frame.get_by_text("403")).to_be_visible()  # so the warning is true


def test_without_xsrf_protection_uploads_work(serve, registry, embed):
    frame = embed(serve(registry, STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION="false"))
    expect(frame.locator(".viewer .chip").first).to_be_visible()
    upload(frame)
    expect(frame.locator(".viewer figcaption").first).to_contain_text("street.jpg")
    assert frame.get_by_text("Uploads do not work here").count() == 0
