"""The Compare page without a browser: what is on it, and what it says when something is amiss."""

import csv
import io
import json
import re
import shutil
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from streamlit.testing.v1 import AppTest
from visitor import unpacked

from pages.parts import cached, charts, downloads, limits
from pages.parts.frame import PAGES, plain
from seg import dataset, labels, masks, scenes, weights
from seg.predict import Predictor

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves the app as ``__main__``, and the processes that later tests start would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def page(monkeypatch: pytest.MonkeyPatch, folder: Path, **query: str) -> AppTest:
    monkeypatch.setattr(weights, "FOLDER", folder)
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60)
    for key, value in query.items():
        at.query_params[key] = value
    return at.run()


def html(at: AppTest) -> str:
    return "".join(element.proto.body for element in at.get("html"))


def seen(at: AppTest) -> dict:
    """What the viewer was sent."""
    return unpacked(at.get("bidi_component")[0].proto.bytes)


def panes(at: AppTest) -> dict[str, dict]:
    return {pane["id"]: pane for pane in seen(at)["panes"]}


def picture_file(width: int = 120, height: int = 80, seed: int = 1) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scenes.render(seed, width, height).photo).save(out, "PNG")
    return out.getvalue()


def test_an_empty_registry_says_what_to_do(monkeypatch, tmp_path):
    at = page(monkeypatch, tmp_path)
    assert not at.exception
    assert "python -m seg publish" in at.info[0].value and str(tmp_path) in at.info[0].value


def test_a_damaged_card_is_named(monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / weights.CARD).write_text("{}")
    at = page(monkeypatch, tmp_path)
    assert not at.exception
    assert "mine" in at.warning[0].value


def test_damaged_weights_are_a_sentence(monkeypatch, tmp_path, registry):
    (tmp_path / weights.DEFAULT).mkdir()
    card = (registry / weights.DEFAULT / weights.CARD).read_bytes().replace(b'"hours": 0.0', b'"hours": 1.0')
    (tmp_path / weights.DEFAULT / weights.CARD).write_bytes(card)
    (tmp_path / weights.DEFAULT / weights.FILE).write_bytes(b"no weights")
    at = page(monkeypatch, tmp_path)
    assert not at.exception
    assert "hash" in at.error[0].value


def test_the_first_look_shows_a_sample_with_its_truth(monkeypatch, registry):
    at = page(monkeypatch, registry)
    assert not at.exception and not at.error
    found = panes(at)
    assert list(found) == ["photo", "32s", "16s", "8s", "truth"]
    assert [pane["shown"] for pane in found.values()] == [True, True, True, True, False]
    sample = cached.sample(6, "Truck and bus")
    np.testing.assert_array_equal(found["truth"]["ids"].reshape(sample.height, sample.width), masks.read_png(sample.truth))
    width, height = found["8s"]["work"]
    assert (width, height) == (192, 96) and len(found["8s"]["sure"]) == len(found["8s"]["second"]) == width * height
    assert found["8s"]["note"].startswith("mean IoU 0.")
    shown = html(at)
    assert "Against the truth" in [one.value for one in at.subheader] and "FCN-16s, FCN-8s" in shown and "ceiling" in shown
    first = seen(at)["photo_digest"]
    at.button(key="sample-7").click().run()
    assert not at.exception and seen(at)["photo_digest"] != first
    assert at.query_params["photo"] == "7"


def test_a_link_names_the_sample(monkeypatch, registry):
    first, third, own, wrong = (page(monkeypatch, registry, photo=photo) for photo in ("6", "3", "own", "<b>"))
    assert not any(at.exception for at in (first, third, own, wrong))
    assert seen(third)["photo_digest"] != seen(first)["photo_digest"]
    assert "stayed on its owner" in own.info[0].value and "a rendered street that there is not" in wrong.info[0].value
    wrong.button(key="sample-3").click().run()
    assert not wrong.info
    assert seen(own)["photo_digest"] == seen(first)["photo_digest"] and seen(wrong)["photo_digest"] == seen(third)["photo_digest"]


def test_a_link_to_weights_that_are_not_here_says_so(monkeypatch, registry):
    at = page(monkeypatch, registry, weights="<b>*gone*")
    assert not at.exception and len(at.sidebar.info) == 1
    assert r"\<b\>\*gone\*, which are not here" in at.sidebar.info[0].value
    assert not page(monkeypatch, registry, weights=weights.DEFAULT).sidebar.info
    other = page(monkeypatch, registry, beside="gone")
    assert other.sidebar.info[0].value.endswith("names the weights gone, which are not here.")


def test_other_weights_become_panes(monkeypatch, registry, tmp_path):
    for name in (weights.DEFAULT, "other"):
        shutil.copytree(registry / weights.DEFAULT, tmp_path / name)
    card = json.loads((tmp_path / "other" / weights.CARD).read_bytes()) | {"name": "other"}
    (tmp_path / "other" / weights.CARD).write_text(json.dumps(card))
    at = page(monkeypatch, tmp_path)
    assert list(panes(at)) == ["photo", "32s", "16s", "8s", "truth"]
    at.multiselect(key="beside").set_value(["other"]).run()
    assert not at.exception
    found = panes(at)
    assert list(found) == ["photo", "32s", "16s", "8s", "other-32s", "other-16s", "other-8s", "truth"]
    assert [pane["shown"] for pane in found.values()] == [True, True, True, True, False, False, True, False]
    np.testing.assert_array_equal(found["other-8s"]["ids"], found["8s"]["ids"])  # the same parameters
    differ = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td></tr>', html(at))
    shares = dict(one for one in differ if "," in one[0])
    assert shares["FCN-8s, FCN-8s of other"] == "–"
    assert shares["FCN-32s of other, FCN-8s of other"] == shares["FCN-32s, FCN-8s"]


def test_the_detail_changes_the_working_resolution(monkeypatch, registry):
    at = page(monkeypatch, registry)
    assert "192 × 96 pixels" in html(at)
    at.button_group(key="detail").set_value("Fine").run()
    assert not at.exception and "288 × 144 pixels" in html(at)
    at.button_group(key="detail").set_value("Best").run()
    assert not at.exception and "192 × 96 pixels" in html(at) and "averaging sizes" in html(at)


def test_a_bad_file_is_named_and_a_good_one_stands(monkeypatch, registry):
    at = page(monkeypatch, registry)
    name = "<b>street</b> *1*.png"
    at.file_uploader(key="uploads-compare").set_value(
        [("notes.txt", b"no picture", "text/plain"), (name, picture_file(), "image/png")]
    ).run()
    assert not at.exception
    assert len(at.error) == 1 and "notes" in at.error[0].value and "not a picture" in at.error[0].value
    assert "<b>street" not in html(at)
    assert list(panes(at)) == ["photo", "32s", "16s", "8s"] and panes(at)["photo"]["note"] == name
    assert seen(at)["own"] is True and at.query_params["photo"] == "own"
    at.button(key="sample-6").click().run()
    assert "truth" in panes(at)
    at.button(key="strip-0").click().run()
    assert panes(at)["photo"]["note"] == name
    at.file_uploader(key="uploads-compare").set_value(None).run()
    assert not at.exception and not at.error and not at.info and "truth" in panes(at)
    assert "photo" not in at.query_params or at.query_params["photo"] != "own"


def test_a_truth_is_taken_for_a_photo(monkeypatch, registry):
    at = page(monkeypatch, registry)
    photo, label = picture_file(), scenes.render(1, 120, 80).label
    at.file_uploader(key="uploads-compare").set_value([("a.png", photo, "image/png")]).run()
    key = f"truth-{cached.key(photo)[:16]}"
    at.file_uploader(key=key).set_value([("b.png", photo, "image/png")]).run()
    assert not at.exception and "no label picture" in at.error[0].value and "truth" not in panes(at)
    at.file_uploader(key=key).set_value([("b.png", masks.png(label), "image/png")]).run()
    assert not at.exception and not at.error
    np.testing.assert_array_equal(panes(at)["truth"]["ids"], label.ravel())
    assert panes(at)["truth"]["shown"] and panes(at)["8s"]["note"].startswith("mean IoU 0.")
    at.button(key="sample-6").click().run()
    at.button(key="strip-0").click().run()
    assert "truth" in panes(at)  # kept while another photo was looked at
    at.button(key="untruth").click().run()
    assert not at.exception and "truth" not in panes(at)


def test_a_pair_file_is_taken_apart(monkeypatch, registry, pairs):
    at = page(monkeypatch, registry)
    file = dataset.find(pairs, "val")[0]
    at.file_uploader(key="uploads-compare").set_value([(file.name, file.read_bytes(), "image/jpeg")]).run()
    assert not at.exception and seen(at)["photo_size"] == [512, 256]
    exact = labels.decode(dataset.read_pair(file)[1]).repeat(2, 1)
    np.testing.assert_array_equal(panes(at)["truth"]["ids"], exact.ravel())


def test_every_page_is_in_the_list():
    files = {"app.py", *(f"pages/{file.name}" for file in (ROOT / "pages").glob("*.py"))}
    assert files == {file for file, _, _ in PAGES}


def test_names_of_files_are_harmless():
    assert downloads.safe_stem("../../etc/pass*wd.tar.png") == "pass_wd.tar"
    assert downloads.safe_stem("C:\\photos\\Straße 1.JPG") == "Straße 1"
    assert downloads.safe_stem("...") == downloads.safe_stem("") == "photo"
    assert len(downloads.safe_stem("a" * 500 + ".png")) == 80
    assert plain("a_b*c.png") == r"a\_b\*c\.png"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_every_file_holds_exactly_what_it_says(tmp_path):
    scene = scenes.render(2, 96, 64)
    mask = scene.label
    confidence = np.random.default_rng(0).uniform(1 / 19, 1, mask.shape).astype(np.float16)
    record = {"photo": "a.png"}
    found = {"8s": (masks.png(mask), masks.confidence_png(confidence))}
    data = downloads.bundle("a.png", picture_file(96, 64, seed=2), found, {"8s": masks.shares(mask)}, record)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = ["a.8s.png", "a.8s.colours.png", "a.8s.overlay.png", "a.8s.confidence.png", "a.8s.coco.json"]
        assert archive.namelist() == [*names, "a.shares.csv", "a.json"]
        files = {name.split(".", 1)[1]: archive.read(name) for name in archive.namelist()}
    np.testing.assert_array_equal(masks.read_png(files["8s.png"]), mask)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(files["8s.colours.png"]))), labels.colorize(mask))
    laid = masks.overlay(scene.photo, mask, downloads.OPACITY)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(files["8s.overlay.png"]))), laid)
    sure = np.asarray(Image.open(io.BytesIO(files["8s.confidence.png"]))) / 65535
    np.testing.assert_array_equal(sure.astype(np.float16), confidence)
    (tmp_path / "coco.json").write_bytes(files["8s.coco.json"])
    coco = COCO(tmp_path / "coco.json")
    back = np.full(mask.shape, labels.IGNORE, np.uint8)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        back[coco.annToMask(annotation) == 1] = annotation["category_id"]
    np.testing.assert_array_equal(back, mask)
    rows = list(csv.DictReader(io.StringIO(files["shares.csv"].decode())))
    assert {row["class"]: float(row["8s"]) for row in rows} == pytest.approx(masks.shares(mask), abs=1e-6)
    assert json.loads(files["json"]) == record


def test_legend_and_bars_name_every_class_present():
    shares = {"FCN-32s": {"road": 0.9, "car": 0.0999, "pole": 0.0001}, "FCN-8s": {"road": 1.0}}
    table = charts.legend(shares)
    assert [table.index(name) for name in ("road", "car", "pole")] == sorted(table.index(n) for n in ("road", "car", "pole"))
    assert "90.0%" in table and "&lt; 0.1%" in table and "–" in table
    bars = charts.share_bars(shares)
    assert [bar.name for bar in bars.data] == ["road", "car", "pole"]
    assert bars.data[1].x == (9.99, 0.0)


def test_who_asks_too_much_or_comes_when_too_many_wait_is_told_so_and_loses_nothing(monkeypatch, registry):
    cached._answers_of_samples()._answers.clear()  # an earlier visitor's would not count as a look
    at = page(monkeypatch, registry)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "LOOKS", len(at.session_state["looks"]._times) + 1)
        for sample, more in (("sample-3", False), ("sample-10", True)):
            cached._answers_of_samples()._answers.clear()
            at.button(key=sample).click().run()
            assert not at.exception and bool(at.error) == more
    assert "looks within a minute" in at.error[0].value
    assert "Try again" in [button.label for button in at.button]
    with monkeypatch.context() as patch, cached._LINE.turn():
        patch.setattr(cached._LINE, "_most", 0)
        at.run()
        assert not at.exception and "0 photos wait for the network already" in at.error[0].value
    at.run()
    assert not at.exception and not at.error and list(panes(at)) == ["photo", "32s", "16s", "8s", "truth"]


def test_files_beyond_what_a_visitor_may_have_are_left_out(monkeypatch, registry):
    at = page(monkeypatch, registry)
    first, second = picture_file(seed=1), picture_file(seed=2)
    monkeypatch.setattr(limits, "MEGABYTES", (max(len(first), len(second)) + 10) / 1e6)
    at.file_uploader(key="uploads-compare").set_value([("a.png", first, "image/png"), ("b.png", second, "image/png")]).run()
    assert not at.exception and len(at.error) == 1
    assert "b\\.png" in at.error[0].value and "your files may have" in at.error[0].value
    assert panes(at)["photo"]["note"] == "a.png"
    at.file_uploader(key="uploads-compare").set_value([("b.png", second, "image/png")]).run()
    assert not at.exception and not at.error and panes(at)["photo"]["note"] == "b.png"  # there is room for it now
    at.file_uploader(key="uploads-compare").set_value([("a.png", first, "image/png")]).run()
    at.switch_page("pages/inside.py").run()
    at.file_uploader(key="uploads-inside").set_value([("c.png", second, "image/png")]).run()
    assert not at.exception and "c\\.png" in at.error[0].value  # what was given elsewhere counts


def test_who_waits_is_told_its_place_and_a_photo_asked_for_by_many_is_looked_at_once(monkeypatch, registry):
    monkeypatch.setattr(weights, "FOLDER", registry)
    card, photo = weights.read_card(weights.DEFAULT), cached.sample(4242, "a street")
    looked, places = [], []
    predict = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, *a, **k: looked.append(1) or predict(self, *a, **k))

    def ask(who: int) -> cached.Answer:
        return cached.answer(photo, card, 96, best=False, told=lambda before: places.append((who, before)))

    with ThreadPoolExecutor(3) as pool:
        with cached._LINE.turn():
            asked = [pool.submit(ask, who) for who in range(3)]
            end = time.monotonic() + 60
            while len({who for who, _ in places}) < 3 and time.monotonic() < end:
                time.sleep(0.01)
        first, *others = [each.result(60) for each in asked]
    assert {before for _, before in places} == {0, 1}  # one stands in the line, two wait for what it gets
    assert len(looked) == 1 and all(other is first for other in others)
    assert ask(0) is first and len(looked) == 1
