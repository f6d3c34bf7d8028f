"""The Compare page without a browser: its content, and its messages about errors."""

import csv
import io
import json
import re
import shutil
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from streamlit.testing.v1 import AppTest

from seg.data import cityscapes, label_decoder, scenes
from seg.data.cityscapes import CITYSCAPES
from seg.data.pairs import find_pairs, read_pair
from seg.inference import mask_io
from seg.inference.predictor import Predictor
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, METHODS, WEIGHTS_FILE, read_card
from tests.support.random_weights import write_weights
from tests.support.visitor import unpacked
from ui.compare import downloads, prediction_view
from ui.shared import charts, rate_limit
from ui.shared.layout import PAGES
from ui.shared.text import plain
from ui.state import model_pool, predictions
from ui.state.photos import content_digest, load_sample

ROOT = Path(__file__).parents[2]


def page(monkeypatch: pytest.MonkeyPatch, folder: Path, **query: str) -> AppTest:
    monkeypatch.setenv("SEG_WEIGHTS", str(folder))
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60)
    for key, value in query.items():
        at.query_params[key] = value
    return at.run()


def html(at: AppTest) -> str:
    return "".join(element.proto.body for element in at.get("html"))


def payload(at: AppTest) -> dict:
    """The payload that the page sent to the viewer."""
    return unpacked(at.get("bidi_component")[0].proto.bytes)


def panes(at: AppTest) -> dict[str, dict]:
    return {pane["id"]: pane for pane in payload(at)["panes"]}


def picture_file(width: int = 120, height: int = 80, seed: int = 1) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scenes.render_scene(seed, width, height).photo).save(out, "PNG")
    return out.getvalue()


def test_an_empty_registry_says_what_to_do(monkeypatch, tmp_path):
    at = page(monkeypatch, tmp_path)
    assert not at.exception
    assert plain("python -m seg publish") in at.info[0].value
    assert plain(str(tmp_path)) in at.info[0].value


def test_a_damaged_card_is_reported(monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / CARD_FILE).write_text("{}")
    at = page(monkeypatch, tmp_path)
    assert not at.exception
    assert "mine" in at.warning[0].value


def test_damaged_weights_are_reported(monkeypatch, tmp_path, registry):
    (tmp_path / DEFAULT_WEIGHTS).mkdir()
    card = (registry / DEFAULT_WEIGHTS / CARD_FILE).read_bytes().replace(b'"hours": 0.0', b'"hours": 1.0')
    (tmp_path / DEFAULT_WEIGHTS / CARD_FILE).write_bytes(card)
    (tmp_path / DEFAULT_WEIGHTS / WEIGHTS_FILE).write_bytes(b"no weights")
    at = page(monkeypatch, tmp_path)
    assert not at.exception
    assert "model\\.safetensors" in at.error[0].value


def test_the_first_visit_shows_a_sample_with_ground_truth(monkeypatch, registry):
    at = page(monkeypatch, registry)
    assert not at.exception and not at.error
    pane_by_id = panes(at)
    assert list(pane_by_id) == ["photo", "32s", "16s", "8s", "truth"]
    assert [pane["shown"] for pane in pane_by_id.values()] == [True, True, True, True, False]
    sample = load_sample(6, "Truck and bus")
    np.testing.assert_array_equal(
        pane_by_id["truth"]["ids"].reshape(sample.height, sample.width), mask_io.read_png(sample.truth)
    )
    width, height = pane_by_id["8s"]["working_size"]
    assert (width, height) == (192, 96) and len(pane_by_id["8s"]["confidence"]) == len(
        pane_by_id["8s"]["runner_up"]
    ) == width * height
    assert pane_by_id["8s"]["note"].startswith("mean IoU 0.")
    page_html = html(at)
    assert (
        "Comparison with ground truth" in [element.value for element in at.subheader]
        and "FCN-16s, FCN-8s" in page_html
        and "Cell-share reference" in page_html
    )
    first = payload(at)["photo_digest"]
    at.button(key="sample-7").click().run()
    assert not at.exception and payload(at)["photo_digest"] != first
    assert at.query_params["photo"] == "7"


def test_a_link_names_the_sample(monkeypatch, registry):
    first, third, own, wrong = (
        page(monkeypatch, registry, photo=photo) for photo in ("6", "3", "own", "<b>")
    )
    assert not any(at.exception for at in (first, third, own, wrong))
    assert payload(third)["photo_digest"] != payload(first)["photo_digest"]
    assert "created for an uploaded photo" in own.info[0].value and "an unknown sample" in wrong.info[0].value
    wrong.button(key="sample-3").click().run()
    assert not wrong.info
    assert (
        payload(own)["photo_digest"] == payload(first)["photo_digest"]
        and payload(wrong)["photo_digest"] == payload(third)["photo_digest"]
    )


def test_a_link_to_unknown_weights_is_reported(monkeypatch, registry):
    at = page(monkeypatch, registry, weights="<b>*gone*")
    assert not at.exception and len(at.sidebar.info) == 1
    assert r"do not exist here: \<b\>\*gone\*." in at.sidebar.info[0].value
    assert not page(monkeypatch, registry, weights=DEFAULT_WEIGHTS).sidebar.info
    second_page = page(monkeypatch, registry, beside="gone")
    assert second_page.sidebar.info[0].value.endswith("do not exist here: gone.")


def test_added_weights_become_panes(monkeypatch, registry, tmp_path):
    for name in (DEFAULT_WEIGHTS, "other"):
        shutil.copytree(registry / DEFAULT_WEIGHTS, tmp_path / name)
    card = json.loads((tmp_path / "other" / CARD_FILE).read_bytes()) | {"name": "other"}
    (tmp_path / "other" / CARD_FILE).write_text(json.dumps(card))
    at = page(monkeypatch, tmp_path)
    assert list(panes(at)) == ["photo", "32s", "16s", "8s", "truth"]
    at.multiselect(key="beside").set_value(["other"]).run()
    assert not at.exception
    by_id = panes(at)
    assert list(by_id) == ["photo", "32s", "16s", "8s", "other-32s", "other-16s", "other-8s", "truth"]
    assert [pane["shown"] for pane in by_id.values()] == [True, True, True, True, False, False, True, False]
    np.testing.assert_array_equal(by_id["other-8s"]["ids"], by_id["8s"]["ids"])  # the same parameters
    differ = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td></tr>', html(at))
    shares = dict(row for row in differ if "," in row[0])
    assert shares["FCN-8s, FCN-8s of other"] == "–"
    assert shares["FCN-32s of other, FCN-8s of other"] == shares["FCN-32s, FCN-8s"]


@pytest.fixture(scope="module")
def methods(tmp_path_factory: pytest.TempPathFactory, registry: Path) -> Path:
    """The three methods with random parameters."""
    folder = tmp_path_factory.mktemp("methods")
    template = read_card(DEFAULT_WEIGHTS, registry)
    for name, architecture in zip(METHODS, ("unet-resnet50", "fcn-vgg16", "fcn-resnet50"), strict=True):
        write_weights(folder, name, architecture, template)
    return folder


def test_the_methods_preset_runs_the_fastest_network_first(monkeypatch, methods):
    predicted, loaded = [], []
    answer, load = predictions.predict, Predictor.from_pretrained
    model_pool._load_predictor.clear()
    monkeypatch.setattr(
        Predictor, "from_pretrained", lambda name, **k: loaded.append(name) or load(name, **k)
    )
    monkeypatch.setattr(
        predictions,
        "predict",
        lambda photo, card, *a, **k: predicted.append(card.name) or answer(photo, card, *a, **k),
    )
    at = page(monkeypatch, methods, photo="34")
    assert list(panes(at)) == ["photo", "32s", "16s", "8s", "truth"]
    assert loaded == [DEFAULT_WEIGHTS]  # a network is loaded at its first prediction
    predicted.clear()
    at.button(key="preset-methods").click().run()
    assert not at.exception
    assert list(dict.fromkeys(predicted)) == loaded == [METHODS[2], METHODS[0], METHODS[1]]
    pane_by_id = panes(at)
    masks_shown = ["unet-resnet50-cityscapes-unet", "fcn-vgg16-cityscapes-8s", "fcn-resnet50-cityscapes-8s"]
    assert [name for name, pane in pane_by_id.items() if pane["shown"]] == [*masks_shown, "disagreement"]
    assert [pane_by_id[name]["title"] for name in masks_shown] == [
        "U-Net on ResNet-50",
        "FCN-8s on VGG-16 (no fc6, fc7)",
        "FCN-8s on ResNet-50",
    ]
    assert all(
        re.fullmatch(r"mean IoU 0\.\d\d here · [\d.]+ m?s", pane_by_id[name]["note"]) for name in masks_shown
    )
    class_ids = {name: pane_by_id[name]["ids"] for name in masks_shown}
    share = np.mean([len(set(pixel)) > 1 for pixel in zip(*class_ids.values(), strict=True)])
    assert (
        pane_by_id["disagreement"]["note"] == f"{share:.1%} of the image"
        and pane_by_id["disagreement"]["compared"] == masks_shown
    )
    at.button(key="preset-variants").click().run()
    assert not at.exception and list(panes(at)) == ["photo", "32s", "16s", "8s", "truth"]


def test_a_pending_method_has_a_placeholder_pane(monkeypatch, methods):
    cards = [read_card(name, methods) for name in reversed(METHODS)]
    photo = load_sample(34, "By the park")
    header = unpacked(prediction_view.viewer_payload(photo, [], cards, None, {}))
    assert header["waiting"] and [
        (pane["id"], pane["kind"], pane["note"]) for pane in header["panes"][1:]
    ] == [
        ("unet-resnet50-cityscapes-unet", "awaited", "computing …"),
        ("fcn-vgg16-cityscapes-8s", "awaited", "computing …"),
        ("fcn-resnet50-cityscapes-8s", "awaited", "computing …"),
    ]


def test_published_scores_appear_only_beside_masks_of_equal_detail():
    details = ((0.75, False), (1.0, False), (1.5, False), (1.0, True))  # Fast, Default, Fine, TTA
    assert [prediction_view.published_scores(*detail) for detail in details] == [
        "none",
        "variants",
        "none",
        "tta",
    ]


def test_the_methods_preset_requires_all_three_methods(monkeypatch, registry):
    at = page(monkeypatch, registry)
    methods = at.button(key="preset-methods")
    assert methods.disabled and not at.button(key="preset-variants").disabled
    for name in METHODS[:2]:
        assert f"{name} is not here. Copy the folder weights/{name}" in methods.help


def test_the_detail_changes_the_working_resolution(monkeypatch, registry):
    at = page(monkeypatch, registry)
    assert "192 × 96 pixels" in html(at)
    at.button_group(key="detail").set_value("Fine").run()
    assert not at.exception and "288 × 144 pixels" in html(at)
    at.button_group(key="detail").set_value("TTA").run()
    assert not at.exception and "192 × 96 pixels" in html(at) and "averaging scales" in html(at)


def test_a_bad_file_is_reported_and_good_files_stay(monkeypatch, registry):
    at = page(monkeypatch, registry)
    name = "<b>street</b> *1*.png"
    at.file_uploader(key="uploads-compare").set_value(
        [("notes.txt", b"no picture", "text/plain"), (name, picture_file(), "image/png")]
    ).run()
    assert not at.exception
    assert len(at.error) == 1 and "notes" in at.error[0].value and "not a picture" in at.error[0].value
    assert "<b>street" not in html(at)
    assert list(panes(at)) == ["photo", "32s", "16s", "8s"] and panes(at)["photo"]["note"] == name
    assert payload(at)["own"] is True and at.query_params["photo"] == "own"
    at.button(key="sample-6").click().run()
    assert "truth" in panes(at)
    at.button(key="strip-0").click().run()
    assert panes(at)["photo"]["note"] == name
    at.file_uploader(key="uploads-compare").set_value(None).run()
    assert not at.exception and not at.error and not at.info and "truth" in panes(at)
    assert "photo" not in at.query_params or at.query_params["photo"] != "own"


def test_a_photo_accepts_ground_truth(monkeypatch, registry):
    at = page(monkeypatch, registry)
    photo, label = picture_file(), scenes.render_scene(1, 120, 80).label
    at.file_uploader(key="uploads-compare").set_value([("a.png", photo, "image/png")]).run()
    key = f"truth-{content_digest(photo)[:16]}"
    at.file_uploader(key=key).set_value([("b.png", photo, "image/png")]).run()
    assert not at.exception and "no label picture" in at.error[0].value and "truth" not in panes(at)
    at.file_uploader(key=key).set_value([("b.png", mask_io.png(label), "image/png")]).run()
    assert not at.exception and not at.error
    np.testing.assert_array_equal(panes(at)["truth"]["ids"], label.ravel())
    assert panes(at)["truth"]["shown"] and panes(at)["8s"]["note"].startswith("mean IoU 0.")
    at.button(key="sample-6").click().run()
    at.button(key="strip-0").click().run()
    assert "truth" in panes(at)  # kept while another photo was displayed
    at.button(key="remove_truth").click().run()
    assert not at.exception and "truth" not in panes(at)


def test_a_pair_file_is_split(monkeypatch, registry, pairs):
    at = page(monkeypatch, registry)
    file = find_pairs(pairs, "val")[0]
    at.file_uploader(key="uploads-compare").set_value([(file.name, file.read_bytes(), "image/jpeg")]).run()
    assert not at.exception and payload(at)["photo_size"] == [512, 256]
    exact = label_decoder.decode(read_pair(file)[1]).repeat(2, 1)
    np.testing.assert_array_equal(panes(at)["truth"]["ids"], exact.ravel())


def test_every_page_is_in_the_list():
    files = {"app.py", *(f"pages/{file.name}" for file in (ROOT / "pages").glob("*.py"))}
    assert files == {file for file, _, _ in PAGES}


def test_download_names_are_safe():
    assert downloads.safe_stem("../../etc/pass*wd.tar.png") == "pass_wd.tar"
    assert downloads.safe_stem("C:\\photos\\Straße 1.JPG") == "Straße 1"
    assert downloads.safe_stem("...") == downloads.safe_stem("") == "photo"
    assert len(downloads.safe_stem("a" * 500 + ".png")) == 120
    assert plain("a_b*c.png") == r"a\_b\*c\.png"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_every_exported_file_has_the_exact_content(tmp_path):
    scene = scenes.render_scene(2, 96, 64)
    mask = scene.label
    confidence = np.random.default_rng(0).uniform(1 / 19, 1, mask.shape).astype(np.float32)
    record = {"photo": "a.png"}
    encoded_masks = {"8s": (mask_io.png(mask), mask_io.confidence_png(confidence))}
    data = downloads.bundle(
        "a.png",
        picture_file(96, 64, seed=2),
        encoded_masks,
        {"8s": CITYSCAPES},
        {"8s": mask_io.shares(mask)},
        record,
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        endings = (
            "png",
            "colors.png",
            "overlay.png",
            "blurred.jpg",
            "confidence.png",
            "coco.json",
            "polygons.json",
            "cvat.xml",
            "label-studio.json",
            "labelIds.png",
        )
        assert archive.namelist() == [*(f"a.8s.{ending}" for ending in endings), "a.shares.csv", "a.json"]
        files = {name.split(".", 1)[1]: archive.read(name) for name in archive.namelist()}
    np.testing.assert_array_equal(mask_io.read_png(files["8s.png"]), mask)
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(files["8s.colors.png"]))), cityscapes.colorize(mask)
    )
    laid = mask_io.overlay(scene.photo, mask, downloads.OPACITY)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(files["8s.overlay.png"]))), laid)
    sure = np.asarray(Image.open(io.BytesIO(files["8s.confidence.png"]))) / 65535
    np.testing.assert_allclose(sure, confidence, atol=0.5 / 65535 + 1e-7)
    for kind, is_crowd in (("coco", 1), ("polygons", 0)):
        (tmp_path / "coco.json").write_bytes(files[f"8s.{kind}.json"])
        coco = COCO(tmp_path / "coco.json")
        back = np.full(mask.shape, cityscapes.IGNORE, np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds()):
            pixels = coco.annToMask(annotation) == 1
            assert annotation["iscrowd"] == is_crowd and annotation["area"] == pixels.sum()
            back[pixels] = annotation["category_id"]
        np.testing.assert_array_equal(back, mask)
    ids = np.asarray(Image.open(io.BytesIO(files["8s.labelIds.png"])))
    known = mask != cityscapes.IGNORE
    np.testing.assert_array_equal(ids[known], np.array(cityscapes.LABEL_IDS)[mask[known]])
    assert not ids[~known].any()
    rows = list(csv.DictReader(io.StringIO(files["shares.csv"].decode("utf-8-sig"))))
    assert {row["class"]: float(row["8s"]) for row in rows} == pytest.approx(mask_io.shares(mask), abs=1e-6)
    assert json.loads(files["json"]) == record


def test_legend_and_bars_name_every_class_present():
    shares = {"FCN-32s": {"road": 0.9, "car": 0.0999, "pole": 0.0001}, "FCN-8s": {"road": 1.0}}
    table = charts.legend(shares)
    assert [table.index(name) for name in ("road", "car", "pole")] == sorted(
        table.index(n) for n in ("road", "car", "pole")
    )
    assert "90.0%" in table and "&lt; 0.1%" in table and "–" in table
    bars = charts.share_bars(shares)
    assert [bar.name for bar in bars.data] == ["road", "car", "pole"]
    assert bars.data[1].x == (9.99, 0.0)


def test_rate_and_queue_limits_are_reported_and_lose_nothing(monkeypatch, registry):
    predictions._sample_predictions()._values.clear()  # cached predictions would not count against the limit
    at = page(monkeypatch, registry)
    with monkeypatch.context() as patch:
        patch.setattr(rate_limit, "PREDICTIONS_PER_MINUTE", len(at.session_state["rate_limiter"]._times) + 1)
        for sample, more in (("sample-3", False), ("sample-10", True)):
            predictions._sample_predictions()._values.clear()
            at.button(key=sample).click().run()
            assert not at.exception and bool(at.error) == more
    assert "predictions per minute" in at.error[0].value
    assert "Try again" in [button.label for button in at.button]
    with monkeypatch.context() as patch, model_pool._QUEUE.acquire():
        patch.setattr(model_pool._QUEUE, "_most", 0)
        at.run()
        assert not at.exception and "0 photos are already waiting" in at.error[0].value
    at.run()
    assert not at.exception and not at.error and list(panes(at)) == ["photo", "32s", "16s", "8s", "truth"]


def test_files_beyond_the_upload_limit_are_left_out(monkeypatch, registry):
    at = page(monkeypatch, registry)
    first, second = picture_file(seed=1), picture_file(seed=2)
    monkeypatch.setattr(rate_limit, "MAX_UPLOAD_MB", (max(len(first), len(second)) + 10) / 1e6)
    at.file_uploader(key="uploads-compare").set_value(
        [("a.png", first, "image/png"), ("b.png", second, "image/png")]
    ).run()
    assert not at.exception and len(at.error) == 1
    assert "b\\.png" in at.error[0].value and "your files may have" in at.error[0].value
    assert panes(at)["photo"]["note"] == "a.png"
    at.file_uploader(key="uploads-compare").set_value([("b.png", second, "image/png")]).run()
    assert (
        not at.exception and not at.error and panes(at)["photo"]["note"] == "b.png"
    )  # it is within the limit now
    at.file_uploader(key="uploads-compare").set_value([("a.png", first, "image/png")]).run()
    at.switch_page("pages/inside.py").run()
    at.file_uploader(key="uploads-inside").set_value([("c.png", second, "image/png")]).run()
    assert not at.exception and "c\\.png" in at.error[0].value  # uploads on other pages count


def test_waiting_visitors_see_their_place_and_share_a_prediction(monkeypatch, registry):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    card, photo = read_card(DEFAULT_WEIGHTS), load_sample(4242, "a street")
    calls, places = [], []
    predict = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, *a, **k: calls.append(1) or predict(self, *a, **k))

    def ask(who: int) -> predictions.CachedPrediction:
        return predictions.predict(
            photo, card, 96, tta=False, on_queue_position=lambda ahead: places.append((who, ahead))
        )

    with ThreadPoolExecutor(3) as pool:
        with model_pool._QUEUE.acquire():
            futures = [pool.submit(ask, who) for who in range(3)]
            end = time.monotonic() + 60
            # until all have been told a position, and one of them that it waits for the network
            while {who for who, _ in places} != {0, 1, 2} or all(ahead != 1 for _, ahead in places):
                assert time.monotonic() < end
                time.sleep(0.01)
        first, *later = [each.result(60) for each in futures]
    assert {before for _, before in places} == {0, 1}  # one waits in the queue, two wait for its result
    assert len(calls) == 1 and all(prediction is first for prediction in later)
    assert ask(0) is first and len(calls) == 1
