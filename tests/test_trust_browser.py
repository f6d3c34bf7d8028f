"""What files, names and cards say is shown as text: nothing of it runs in the browser, on any page."""

import json
import shutil

import pytest
from playwright.sync_api import expect
from visitor import jpeg

from seg import weights

HARM = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
LINK = "[here](javascript:window.harmed=1) **bold** :material/home: $x$"


@pytest.fixture(scope="module")
def url(serve, registry, pairs, tmp_path_factory) -> str:
    """A server whose weights and data set were named and described by somebody who means harm."""
    folder = tmp_path_factory.mktemp("harm")
    shutil.copytree(registry, folder / "weights")
    card = folder / "weights" / weights.DEFAULT / weights.CARD
    said = json.loads(card.read_text())
    said |= {"licence": HARM, "command": HARM + LINK, "data": {HARM.replace("/", "") + LINK: "0" * 64}}
    said["encoder"] |= {"source": HARM + LINK, "licence": LINK}
    card.write_text(json.dumps(said))
    shutil.copytree(pairs, folder / "data" / (HARM.replace("/", "") + LINK).replace("/", ""))
    return serve(folder / "weights", SEG_DATA=str(folder / "data"))


@pytest.mark.parametrize("path", ["", "scores?scores_view=Card", "dataset", "train", "inside", "batch"])
def test_no_page_runs_what_it_is_told_about(url, visit, path):
    page = visit(f"{url}/{path}")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.get_by_test_id("stSidebar")).to_contain_text("onerror" if path not in ("dataset", "train") else "Dataset")
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    assert page.evaluate("window.harmed") is None
    assert page.locator('img[src="x"], a[href^="javascript"], script:has-text("harmed")').count() == 0
    assert not [one for one in asked if not one.startswith((url, "data:", "blob:", url.replace("http", "ws")))]


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
