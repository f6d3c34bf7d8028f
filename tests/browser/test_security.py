"""Text from files, names and cards is displayed as text and never executed in the browser, on any page."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS
from tests.support.visitor import jpeg

HARM = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
LINK = "[here](javascript:window.harmed=1) **bold** :material/home: $x$"


@pytest.fixture(scope="module")
def url(serve, registry, pairs, tmp_path_factory) -> str:
    """A server with malicious names and descriptions of weights and datasets."""
    folder = tmp_path_factory.mktemp("harm")
    shutil.copytree(registry, folder / "weights")
    card = folder / "weights" / DEFAULT_WEIGHTS / CARD_FILE
    card_json = json.loads(card.read_text())
    card_json |= {"licence": HARM, "command": HARM + LINK, "data": {HARM.replace("/", "") + LINK: "0" * 64}}
    card_json["encoder"] |= {"source": HARM + LINK, "licence": LINK}
    card.write_text(json.dumps(card_json))
    shutil.copytree(pairs, folder / "data" / (HARM.replace("/", "") + LINK).replace("/", ""))
    return serve(folder / "weights", SEG_DATA=str(folder / "data"))


@pytest.mark.parametrize("path", ["", "scores?scores_view=Card", "dataset", "train", "inside", "batch"])
def test_no_page_executes_text_from_names_or_cards(url, visit, path):
    page = visit(f"{url}/{path}")
    request_urls = []
    page.on("request", lambda request: request_urls.append(request.url))
    expect(page.get_by_test_id("stSidebar")).to_contain_text(
        "onerror" if path not in ("dataset", "train") else "Dataset"
    )
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    assert page.evaluate("window.harmed") is None
    assert page.locator('img[src="x"], a[href^="javascript"], script:has-text("harmed")').count() == 0
    assert not [
        address
        for address in request_urls
        if not address.startswith((url, "data:", "blob:", url.replace("http", "ws")))
    ]


def test_names_of_photos_are_text(url, visit):
    page = visit(url)
    name = HARM.replace("/", "") + LINK.replace("/", "") + ".jpg"
    page.locator('input[type="file"]').first.set_input_files(
        [{"name": name, "mimeType": "image/jpeg", "buffer": jpeg(4, (320, 160))}]
    )
    expect(page.locator(".viewer figcaption").first).to_contain_text("<img src=x")
    expect(page.locator('.viewer canvas[data-pane="8s"]')).to_be_visible()
    living = "www.evil.example http:evil.example :material_home: a@b.example -> -- "
    bad = {"name": living + name, "mimeType": "image/jpeg", "buffer": b"no picture"}
    page.locator('input[type="file"]').first.set_input_files([bad])
    alert = page.get_by_test_id("stAlert").first
    expect(alert).to_contain_text("<img src=x")
    assert living.strip() in alert.inner_text().replace("\u2060", "") and alert.locator("a").count() == 0
    assert page.evaluate("window.harmed") is None
    assert page.locator('img[src="x"], a[href^="javascript"]').count() == 0
