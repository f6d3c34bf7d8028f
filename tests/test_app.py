"""The Compare page without a browser: what is on it, and what it says when something is amiss."""

import io
import re
import zipfile
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.parts import charts, downloads
from pages.parts.frame import PAGES, plain
from seg import masks, scenes, weights

ROOT = Path(__file__).parent.parent


def page(monkeypatch: pytest.MonkeyPatch, folder: Path) -> AppTest:
    monkeypatch.setattr(weights, "FOLDER", folder)
    return AppTest.from_file(ROOT / "app.py", default_timeout=60).run()


def html(at: AppTest) -> str:
    return "".join(element.proto.body for element in at.get("html"))


def pictures(at: AppTest, kind: str) -> list[str]:
    """The variants of the pictures of a kind."""
    return re.findall(f'data-kind="{kind}" data-variant="([^"]*)"', html(at))


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


def test_the_first_look_shows_a_sample_and_toggles_work(monkeypatch, registry):
    at = page(monkeypatch, registry)
    assert not at.exception and not at.error
    assert pictures(at, "overlay") == ["32s", "16s", "8s"]
    assert "mean IoU" in html(at) and "FCN-16s and FCN-8s" in html(at)
    at.button_group(key="variants-32s-16s-8s").set_value(["8s"]).run()
    assert pictures(at, "overlay") == ["8s"]
    assert 'data-kind="disagreement"' not in html(at)
    at.button_group(key="view").set_value("Mask alone").run()
    assert pictures(at, "mask") == ["8s"] and pictures(at, "overlay") == []
    at.toggle(key="truth").set_value(True).run()
    assert 'data-kind="truth"' in html(at)
    at.button_group(key="variants-32s-16s-8s").set_value([]).run()
    assert not at.exception and pictures(at, "mask") == []
    at.button(key="sample-7").click().run()
    assert not at.exception and "Wet road" in html(at)


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
    at.file_uploader(key="uploads").set_value(
        [("notes.txt", b"no picture", "text/plain"), (name, picture_file(), "image/png")]
    ).run()
    assert not at.exception
    assert len(at.error) == 1 and "notes" in at.error[0].value and "not a picture" in at.error[0].value
    assert "<b>street" not in html(at) and "<b>street</b> *1*.png" in unescape(html(at))
    assert pictures(at, "overlay") == ["32s", "16s", "8s"] and "mean IoU" not in html(at).split("<dl")[0]
    at.button(key="sample-6").click().run()
    assert "mean IoU" in html(at)
    at.file_uploader(key="uploads").set_value(None).run()
    assert not at.exception and not at.error


def test_every_page_is_in_the_list():
    files = {"app.py", *(f"pages/{file.name}" for file in (ROOT / "pages").glob("*.py"))}
    assert files == {file for file, _, _ in PAGES}


def test_names_of_files_are_harmless():
    assert downloads.safe_stem("../../etc/pass*wd.tar.png") == "pass_wd.tar"
    assert downloads.safe_stem("C:\\photos\\Straße 1.JPG") == "Straße 1"
    assert downloads.safe_stem("...") == downloads.safe_stem("") == "photo"
    assert len(downloads.safe_stem("a" * 500 + ".png")) == 80
    assert plain("a_b*c.png") == r"a\_b\*c\.png"


def test_the_zip_holds_the_exact_masks():
    scene = scenes.render(2, 96, 64)
    mask = np.where(scene.label == 255, 0, scene.label).astype(np.uint8)
    record = {"shares": {"8s": masks.shares(mask)}}
    data = downloads.bundle("a", Image.fromarray(scene.photo), {"8s": masks.png(mask)}, ["8s"], 0.5, record)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert sorted(archive.namelist()) == ["a.8s.overlay.jpg", "a.8s.png", "a.json", "a.shares.csv"]
        np.testing.assert_array_equal(masks.read_png(archive.read("a.8s.png")), mask)
        assert archive.read("a.shares.csv").decode().startswith("class,8s\r\n")
        assert Image.open(io.BytesIO(archive.read("a.8s.overlay.jpg"))).size == (96, 64)


def test_legend_and_bars_name_every_class_present():
    shares = {"FCN-32s": {"road": 0.9, "car": 0.0999, "pole": 0.0001}, "FCN-8s": {"road": 1.0}}
    table = charts.legend(shares)
    assert [table.index(name) for name in ("road", "car", "pole")] == sorted(table.index(n) for n in ("road", "car", "pole"))
    assert "90.0%" in table and "&lt; 0.1%" in table and "–" in table
    bars = charts.share_bars(shares)
    assert [bar.name for bar in bars.data] == ["road", "car", "pole"]
    assert bars.data[1].x == (9.99, 0.0)
