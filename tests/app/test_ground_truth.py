"""Ground truth on the Compare page: how a label picture was read stays visible and can be changed."""

import numpy as np

from seg.data import scenes
from tests.app.test_compare_page import page, panes, picture_file
from tests.unit.data.test_label_codings import png
from ui.shared import rate_limit
from ui.state.photos import content_digest


def test_the_coding_of_a_label_picture_is_shown_and_can_be_changed(monkeypatch, registry):
    at = page(monkeypatch, registry)
    photo = picture_file()
    at.file_uploader(key="uploads-compare").set_value([("a.png", photo, "image/png")]).run()
    key = f"truth-{content_digest(photo)[:16]}"
    binary = (scenes.render_scene(1, 120, 80).label == 0).astype(np.uint8)
    at.file_uploader(key=key).set_value([("mask.png", png(binary), "image/png")]).run()
    assert not at.exception
    assert any("Read as **train ids**: 2 classes (" in text.value for text in at.markdown)
    assert any("may be a binary mask" in warning.value for warning in at.warning)
    before = panes(at)["truth"]["ids"]

    at.selectbox(key=f"{key}-coding-train ids").set_value("label ids").run()
    assert not at.exception and "all are ignored" in at.error[0].value
    np.testing.assert_array_equal(panes(at)["truth"]["ids"], before)
    assert at.selectbox(key=f"{key}-coding-train ids").value == "train ids"

    sidewalk = png(np.full((80, 120), 8, np.uint8))
    at.file_uploader(key=key).set_value([("mask.png", sidewalk, "image/png")]).run()
    at.selectbox(key=f"{key}-coding-train ids").set_value("label ids").run()
    assert not at.exception and not at.error and set(panes(at)["truth"]["ids"]) == {1}
    assert any("Read as **label ids**: 1 class (sidewalk)" in text.value for text in at.markdown)


def test_ids_that_fit_two_codings_are_asked_about(monkeypatch, registry):
    at = page(monkeypatch, registry)
    photo = picture_file()
    at.file_uploader(key="uploads-compare").set_value([("a.png", photo, "image/png")]).run()
    key = f"truth-{content_digest(photo)[:16]}"
    ids = np.repeat(np.array([[7, 8, 11, 12]], np.uint8), 30, 1).repeat(80, 0)
    at.file_uploader(key=key).set_value([("ids.png", png(ids), "image/png")]).run()
    assert not at.exception and "Are these label ids or train ids?" in at.warning[0].value
    assert set(panes(at)["truth"]["ids"]) == {0, 1, 2, 3}
    at.button(key="confirm_coding").click().run()
    assert not at.exception and not at.warning and set(panes(at)["truth"]["ids"]) == {0, 1, 2, 3}
    at.selectbox(key=f"{key}-coding-label ids").set_value("train ids").run()
    assert not at.exception and not at.warning and set(panes(at)["truth"]["ids"]) == {7, 8, 11, 12}


def test_gray_ids_with_three_channels_give_a_mean_iou(monkeypatch, registry):
    at = page(monkeypatch, registry)
    photo, label = picture_file(), scenes.render_scene(1, 120, 80).label
    at.file_uploader(key="uploads-compare").set_value([("a.png", photo, "image/png")]).run()
    key = f"truth-{content_digest(photo)[:16]}"
    at.file_uploader(key=key).set_value([("ids.png", png(label, "RGB"), "image/png")]).run()
    assert not at.exception and panes(at)["8s"]["note"].startswith("mean IoU 0.")
    np.testing.assert_array_equal(panes(at)["truth"]["ids"], label.ravel())


def test_label_pictures_count_towards_the_upload_limit(monkeypatch, registry):
    at = page(monkeypatch, registry)
    photo = picture_file()
    monkeypatch.setattr(rate_limit, "MAX_UPLOAD_MB", (len(photo) + 50) / 1e6)
    at.file_uploader(key="uploads-compare").set_value([("a.png", photo, "image/png")]).run()
    label = png(scenes.render_scene(1, 120, 80).label)
    key = f"truth-{content_digest(photo)[:16]}"
    at.file_uploader(key=key).set_value([("ids.png", label, "image/png")]).run()
    assert (
        not at.exception and "your files may have" in at.error[0].value.lower() and "truth" not in panes(at)
    )

    monkeypatch.setattr(rate_limit, "MAX_UPLOAD_MB", (len(photo) + 3 * len(label)) / 1e6)
    at.file_uploader(key=key).set_value([("again.png", label, "image/png")]).run()
    assert not at.exception and not at.error and "truth" in panes(at)
    second = ("b.png", picture_file(seed=2), "image/png")
    at.file_uploader(key="uploads-compare").set_value([("a.png", photo, "image/png"), second]).run()
    assert "your files may have" in at.error[0].value
