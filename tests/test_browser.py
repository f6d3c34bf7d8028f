"""The Compare page in a real browser on a real server, with the shipped weights."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from seg import dataset, labels, masks, scenes, weights
from seg.predict import Predictor

SHIPPED = Path(__file__).parent.parent / "weights"


@pytest.fixture(scope="module")
def address(serve: Callable[[Path], str]) -> str:
    return serve(SHIPPED)


@pytest.fixture(scope="module")
def with_two(serve: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The app on the shipped weights under two names."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("one", "two"):
        shutil.copytree(SHIPPED / weights.DEFAULT, folder / name)
        card = json.loads((folder / name / "card.json").read_text())
        (folder / name / "card.json").write_text(json.dumps(card | {"name": name}))
    return serve(folder)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.of(weights.DEFAULT, folder=SHIPPED)


@pytest.fixture
def visitor(visit: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens the page as one more visitor."""

    def arrive(query: str = "", *size: int, **options: object) -> Page:
        page = visit(address + query, *size, **options)
        ready(page)
        return page

    return arrive


def ready(page: Page) -> None:
    """Wait until all but the samples' thumbnails is drawn."""
    expect(page.get_by_role("button", name="Make the files")).to_be_visible()
    expect(page.locator(".viewer .chip").first).to_be_visible()


def street(seed: int, width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scenes.render(seed, width, height).photo).save(out, "PNG")
    return out.getvalue()


def upload(page: Page, **files: bytes) -> None:
    page.locator('input[type="file"]').set_input_files(
        [{"name": f"{name}.png", "mimeType": "image/png", "buffer": data} for name, data in files.items()]
    )


def settled(page: Page) -> str:
    """The page's address with all in it that was done before: the viewer's own timer is older than this one, and shorter."""
    return page.evaluate("new Promise((done) => setTimeout(() => done(location.href), 400))")


LOOK = """async ({pane, points}) => {
  // Points at places of a pane's canvas (0-1 across and down): what the probe says there, and the colour that is painted.
  const canvas = document.querySelector(`.viewer canvas[data-pane="${pane}"]`), box = canvas.getBoundingClientRect();
  const frame = () => new Promise(requestAnimationFrame), found = [];
  for (const [x, y] of points) {
    const column = Math.floor(x * canvas.width), row = Math.floor(y * canvas.height);
    const clientX = box.left + ((column + 0.5) * box.width) / canvas.width;
    const clientY = box.top + ((row + 0.5) * box.height) / canvas.height;
    canvas.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, pointerType: "mouse", bubbles: true }));
    await frame(); await frame();
    const color = canvas.getContext("2d").getImageData(column, row, 1, 1).data;
    const said = document.querySelector(".viewer .probe"), answers = {};
    for (const one of said.querySelectorAll(".answer")) answers[one.dataset.pane] = one.innerText.replace(/\\s+/g, " ").trim();
    found.push({ where: said.querySelector(".where")?.innerText ?? "", color: [...color], answers });
  }
  return found;
}"""


def look(page: Page, pane: str, count: int = 24, seed: int = 0) -> list[dict]:
    """What is said and painted at random places of a pane, with the photo's pixel (x, y) as the probe names it."""
    points = np.random.default_rng(seed).uniform(0.02, 0.98, (count, 2)).tolist()
    found = page.evaluate(LOOK, {"pane": pane, "points": points})
    for one in found:
        one["x"], one["y"] = (int(part.split()[1]) for part in one["where"].split(", "))
    return found


def press(page: Page, *keys: str) -> None:
    """Keys for the viewer."""
    page.locator(".viewer .group").focus()
    for key in keys:
        page.keyboard.press(key)


def layer(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()


def showing(page: Page, name: str) -> None:
    """Wait for the masks of a photo of this name."""
    expect(page.locator(".viewer figcaption").first).to_contain_text(name)
    expect(page.locator('.viewer canvas[data-pane="8s"]')).to_be_visible()


def panes(page: Page) -> list[str]:
    return [canvas.get_attribute("data-pane") for canvas in page.locator(".viewer canvas").all()]


def test_what_is_painted_and_said_is_what_predict_writes(visitor, predictor):
    photo = street(101, 512, 256)
    found = predictor.predict(photo, with_certainty=True)
    page = visitor()
    upload(page, street=photo)
    showing(page, "street.png")
    assert panes(page) == ["photo", "32s", "16s", "8s"]
    layer(page, "Mask")
    for zooms in range(3):  # the whole photo, then closer, then so close that single pixels are seen
        for variant in found.masks:
            mask, (sure, second) = found.masks[variant], found.certainties[variant]
            for one in look(page, variant, seed=zooms):
                x, y = one["x"], one["y"]
                id = mask[y, x]
                assert one["color"] == [*labels.PALETTE[id], 255], (variant, zooms, one)
                j, i = y * sure.shape[0] // 256, x * sure.shape[1] // 512
                said = f"{labels.NAMES[id]} {int(sure[j, i] / 2.55 + 0.5)}%"
                said += f"then {labels.NAMES[second[j, i]]}" if second[j, i] != id else ""
                assert one["answers"][variant].endswith(said), (variant, zooms, one, said)
        press(page, "+", "+", "+", "+")
    page.get_by_role("button", name="Make the files").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Mask", exact=True).last.click()
    assert download.value.suggested_filename == "street.8s.png"
    assert Path(download.value.path()).read_bytes() == masks.png(found.masks["8s"])


def test_who_waits_sees_it_without_scrolling(visitor):
    page = visitor("?photo=7", 390, 844)
    page.get_by_role("button", name="Open sidebar").or_(page.get_by_test_id("stExpandSidebarButton")).first.click()
    page.get_by_role("radio", name="Best").click()
    expect(page.locator(".st-key-looking")).to_be_in_viewport(ratio=1)
    expect(page.locator(".st-key-looking")).to_contain_text("three sizes, each also mirrored")


def test_classes_are_hidden_alone_and_lit_up(visitor):
    page = visitor("?layer=mask")
    road = [*labels.PALETTE[labels.TRAIN_ID["road"]].tolist(), 255]
    count = """async ([r, g, b]) => { const c = document.querySelector('.viewer canvas[data-pane="8s"]');
        for (let frames = 0; frames < 3; frames++) await new Promise(requestAnimationFrame);
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0;
        for (let i = 0; i < d.length; i += 4) n += d[i] === r && d[i + 1] === g && d[i + 2] === b && d[i + 3] === 255;
        return n; }"""

    def roads() -> int:
        return page.evaluate(count, road[:3])

    whole = roads()
    assert whole > 1000
    chip = page.locator('.viewer [data-class="road"]')
    chip.click()
    page.mouse.move(1, 1)
    expect(chip).to_have_attribute("aria-pressed", "false")
    assert roads() == 0
    chip.click()
    page.mouse.move(1, 1)
    assert roads() == whole
    only = page.locator('.viewer [title="Only sky"]')
    only.click()
    page.mouse.move(1, 1)
    assert roads() == 0
    assert "only=sky" in settled(page)
    only.click()
    page.mouse.move(1, 1)
    assert roads() == whole


def test_panes_swipe_and_zoom_in_step(visitor, predictor):
    page = visitor("?photo=11&layer=mask&pair=32s,8s")
    press(page, "+", "+", "ArrowRight")
    before = {pane: look(page, pane, 6) for pane in ("32s", "8s")}
    assert [one["where"] for one in before["32s"]] == [one["where"] for one in before["8s"]]
    place = settled(page).split("at=")[1].split("&")[0].split("%2C")
    press(page, "s")
    assert panes(page) == ["32s|8s"]
    found = predictor.predict(Image.fromarray(scenes.render(11).photo)).masks
    for one, place_across in zip(look(page, "32s|8s"), np.random.default_rng(0).uniform(0.02, 0.98, (24, 2))[:, 0], strict=True):
        side = "32s" if place_across < 0.5 else "8s"
        if abs(place_across - 0.5) > 0.03:  # the divider and its handle
            assert one["color"] == [*labels.PALETTE[found[side][one["y"], one["x"]]], 255], (side, one)
    again = settled(page).split("at=")[1].split("&")[0].split("%2C")
    assert again[:2] == place[:2]  # the point in the middle
    press(page, "0", "ArrowRight", "ArrowRight")
    assert "swipe=52" in settled(page)
    canvas = page.locator(".viewer canvas").bounding_box()
    page.mouse.move(canvas["x"] + 0.52 * canvas["width"], canvas["y"] + 100)
    page.mouse.down()
    page.mouse.move(canvas["x"] + 0.25 * canvas["width"], canvas["y"] + 100, steps=4)
    page.mouse.up()
    assert "swipe=25" in settled(page)


def test_a_link_restores_the_view(visitor):
    page = visitor("?photo=7")
    layer(page, "Outlines")
    press(page, "p", "g", "+", "+")
    page.locator('.viewer [data-class="sky"]').click()
    page.locator('.viewer button[data-pane="16s"]').click()
    address = settled(page)
    other = visitor(address.removeprefix(address.split("?")[0]))
    expect(other.locator(".viewer canvas")).to_have_count(3)
    assert settled(other) == address
    assert panes(other) == ["photo", "32s", "8s"]
    expect(other.get_by_role("radio", name="Outlines")).to_have_attribute("aria-checked", "true")
    expect(other.locator('.viewer [data-class="sky"]')).to_have_attribute("aria-pressed", "false")
    for mine, theirs in zip(look(page, "8s"), look(other, "8s"), strict=True):
        assert mine["where"] == theirs["where"] and mine["answers"] == theirs["answers"]
        np.testing.assert_allclose(mine["color"], theirs["color"], atol=2)  # the photo is smoothed
    other.reload()
    ready(other)
    expect(other.locator(".viewer canvas")).to_have_count(3)
    assert settled(other) == address
    own = visitor("?photo=own")
    expect(own.get_by_text("stayed on its owner")).to_be_visible()
    wild = visitor("?layer=x&opacity=9e9&hide=a,b&panes=&pair=1&at=1,2&swipe=-1&only=%3Cb%3E&photo=%00")
    assert panes(wild) and wild.locator(".viewer .chip").count() > 3


def test_a_link_stays_whole_while_its_masks_are_awaited(visit, with_two):
    wanted = {
        "beside": "two",
        "panes": "8s,two-8s",
        "pair": "8s,two-8s",
        "layer": "disagreement",
        "only": "car",
        "at": "512,256,300",
    }
    page = visit("about:blank")
    page.add_init_script("""window.said = [];
        for (const kind of ["pushState", "replaceState"]) {
          const change = history[kind].bind(history);
          history[kind] = (state, title, url) => { if (url) said.push(String(url)); return change(state, title, url); };
        }""")
    page.goto(f"{with_two}?{urlencode({'weights': 'one', 'photo': '7', 'detail': 'Best'} | wanted)}")
    expect(page.locator('.viewer canvas[data-pane="photo"]')).to_be_visible()  # chosen is what is on its way
    page.locator(".viewer").get_by_role("button", name="Safe colours").click()
    ready(page)
    expect(page.locator(".viewer canvas")).to_have_count(2)
    last = settled(page)
    said = [dict(parse_qsl(urlsplit(url).query)) for url in [*page.evaluate("said"), last]]
    assert "safe" in said[-1] and all(one.items() >= wanted.items() for one in said), said
    assert panes(page) == ["8s", "two-8s"]


def test_weights_chosen_later_come_beside_the_panes_that_were_chosen(visit, with_two):
    page = visit(f"{with_two}?weights=one&photo=7")
    ready(page)
    page.locator('.viewer button[data-pane="16s"]').click()
    page.get_by_test_id("stMultiSelect").locator("input").click()
    page.get_by_role("option", name="two").click()
    page.keyboard.press("Escape")
    expect(page.locator(".viewer canvas")).to_have_count(4)
    assert panes(page) == ["photo", "32s", "8s", "two-8s"]


def test_the_keyboard_reaches_everything(visitor):
    page = visitor()
    press(page, "c", "ArrowRight", "Shift+ArrowDown")
    expect(page.locator(".viewer .where")).to_have_text("x 513, y 266")
    page.keyboard.press("Enter")
    expect(page.get_by_text("At x 513, y 266")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("At x 513, y 266")).to_have_count(0)
    expect(page.locator(".viewer .hint")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("zoom in, out")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press(page, "l")
    expect(page.get_by_role("radio", name="Mask", exact=True)).to_have_attribute("aria-checked", "true")
    wanted = page.locator(".viewer :is(button, input, select):visible").count()
    page.locator(".viewer .tools button").first.focus()
    reached = set()
    for _ in range(wanted + 2):
        label = page.evaluate("e => { e = document.activeElement; return e.closest('.viewer') ? e.outerHTML : null; }")
        reached.add(label)
        page.keyboard.press("Tab")
    reached -= {None}
    assert len([one for one in reached if not one.startswith("<div")]) == wanted
    page.locator('.viewer [data-class="car"]').focus()
    page.keyboard.press("Space")
    expect(page.locator('.viewer [data-class="car"]')).to_have_attribute("aria-pressed", "false")
    expect(page.locator('.viewer [data-class="car"]')).to_be_focused()


def test_disagreement_is_counted_and_lit_up(visitor, predictor):
    page = visitor("?photo=34&layer=disagreement&pair=32s,8s")
    found = predictor.predict(Image.fromarray(scenes.render(34).photo)).masks
    matrix = masks.disagreement_matrix(found["32s"], found["8s"])
    np.fill_diagonal(matrix, 0)
    expect(page.locator(".viewer .matrix p")).to_contain_text(f"{100 * matrix.sum():.1f}%")
    a, b = np.unravel_index(matrix.argmax(), matrix.shape)
    cell = page.locator(f'.viewer .matrix [data-cell="{a},{b}"]')
    assert cell.inner_text() == f"{100 * matrix[a, b]:.1f}%"
    cell.click()
    expect(cell).to_have_attribute("aria-pressed", "true")
    for one in look(page, "16s", 40):
        lit = found["32s"][one["y"], one["x"]] == a and found["8s"][one["y"], one["x"]] == b
        assert (one["color"][:3] == [255, 196, 0]) == lit


def test_a_pair_file_brings_its_truth(visitor, pairs):
    page = visitor()
    file = dataset.find(pairs, "val")[0]
    page.locator('input[type="file"]').first.set_input_files(file)
    showing(page, file.name)
    expect(page.locator('.viewer canvas[data-pane="truth"]')).to_be_visible()
    layer(page, "Mask")
    exact = labels.decode(dataset.read_pair(file)[1])
    for one in look(page, "truth"):
        id = exact[one["y"], one["x"] // 2]
        assert one["color"] == [*labels.colorize(np.array([[id]], np.uint8))[0, 0], 255]
    expect(page.get_by_text("Against the truth")).to_be_visible()
    layer(page, "Errors")
    expect(page.get_by_text("wrong; dark: the truth has no class")).to_be_visible()


def test_a_redraw_is_quick_and_does_not_grow_with_the_photo(visitor):
    took = {}
    for name, size in {"small": (512, 256), "large": (4096, 2048)}.items():
        page = visitor()
        photo = io.BytesIO()
        Image.fromarray(scenes.render(105).photo).resize(size).save(photo, "PNG", compress_level=1)
        upload(page, **{name: photo.getvalue()})
        showing(page, f"{name}.png")
        page.evaluate("performance.clearMeasures('viewer redraw')")
        look(page, "8s", 30)
        took[name] = median(page.evaluate("performance.getEntriesByName('viewer redraw').map(entry => entry.duration)"))
    assert took["large"] < 40  # milliseconds; a busy machine is given some
    assert took["large"] < 3 * took["small"] + 10


def test_a_bad_file_is_named_and_the_good_one_stands(visitor):
    page = visitor()
    upload(page, broken=b"this is no picture", good=street(102, 256, 128))
    expect(page.get_by_role("alert").filter(has_text="broken.png")).to_contain_text("not a picture")
    showing(page, "good.png")
    ready(page)
    assert panes(page) == ["photo", "32s", "16s", "8s"]
    assert "Traceback" not in page.inner_text("body")


def test_a_tall_picture_is_seen_whole_and_the_probe_stays_in_sight(visitor):
    page = visitor()
    upload(page, tall=street(106, 64, 1920))
    showing(page, "tall.png")
    assert all(canvas.bounding_box()["height"] < 700 for canvas in page.locator(".viewer canvas").all())
    found = page.evaluate(LOOK, {"pane": "8s", "points": [[0.5, 0.05], [0.5, 0.5], [0.5, 0.95]]})
    top, middle, bottom = (int(one["where"].split("y ")[1]) for one in found)
    assert top < 200 and 900 < middle < 1020 and bottom > 1700
    answer = page.locator(".viewer .probe").bounding_box()
    assert answer["y"] + answer["height"] <= 900


def test_a_double_click_zooms_and_leaves_the_pin(visitor):
    page = visitor()
    canvas = page.locator('.viewer canvas[data-pane="8s"]')
    canvas.click(position={"x": 100, "y": 60})
    pinned = page.get_by_role("table").filter(has_text="At x")
    expect(pinned).to_be_visible()
    said = pinned.inner_text()
    page.wait_for_timeout(500)
    canvas.dblclick(position={"x": 200, "y": 100})
    page.wait_for_timeout(1500)  # a second pin would be told to Python meanwhile
    assert "at=" in settled(page) and pinned.inner_text() == said
    page.keyboard.press("Escape")
    canvas.click(position={"x": 200, "y": 100})
    expect(pinned).not_to_contain_text(said.split()[2])


def test_nothing_scrolls_sideways_on_a_phone(visitor):
    page = visitor(width=390, height=844, has_touch=True)
    inner = "[document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth - e.clientWidth)"
    for name in ("Overlay", "Disagreement"):
        layer(page, name)
        assert page.evaluate(inner) == [0, 0]
    boxes = [canvas.bounding_box() for canvas in page.locator(".viewer canvas").all()]
    assert len(boxes) == 4 and len({round(box["x"]) for box in boxes}) == 1  # one below the other
    assert all(box["width"] > 300 for box in boxes)
    page.locator(".viewer canvas").nth(3).tap(position={"x": 100, "y": 90})
    expect(page.get_by_role("table").filter(has_text="At x")).to_be_visible()


def test_two_visitors_see_their_own_photos(visitor, predictor):
    photos = {"first": street(103, 320, 192), "second": street(104, 256, 192)}
    pages = {name: visitor("?layer=mask") for name in photos}
    for name, photo in photos.items():
        upload(pages[name], **{name: photo})
    for name, page in pages.items():
        showing(page, f"{name}.png")
    for name, page in pages.items():
        mask = predictor.predict(photos[name]).masks["8s"]
        for one in look(page, "8s"):
            assert one["color"] == [*labels.PALETTE[mask[one["y"], one["x"]]], 255]


def test_without_weights_the_page_says_what_to_do(browser, serve, tmp_path):
    page = browser.new_page()
    page.goto(serve(tmp_path))
    expect(page.get_by_text("python -m seg publish")).to_be_visible()
    assert "Traceback" not in page.inner_text("body")
    page.close()
