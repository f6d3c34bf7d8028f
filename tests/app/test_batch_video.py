"""Videos on the Batch page without a browser."""

import csv
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from seg.data.cityscapes import CITYSCAPES
from seg.inference import upload_batch, video_run
from seg.inference.prediction import Prediction
from seg.inference.upload_batch import Batch, BatchSettings
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from tests.support.app_pages import ROOT, text
from tests.support.video_files import decode, write_sound, write_video
from ui.batch import served_files, video_view


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Batches are stored in a folder of the test, and AppTest does not leave its page as ``__main__``."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(served_files, "STATIC", tmp_path / "static")
    return tmp_path


@pytest.fixture
def settings() -> BatchSettings:
    return BatchSettings(DEFAULT_WEIGHTS, "0" * 64, ("32s", "8s"), rate=10)


def batch_of(settings: BatchSettings, *files: Path) -> Batch:
    batch = Batch(settings)
    list(batch.ingest((file.name, io.BytesIO(file.read_bytes())) for file in files))
    return batch


def predict(photo: Image.Image, size: tuple[int, int]) -> Prediction:
    mask = np.zeros(size, np.uint8)
    mask[: size[0] // 2] = 10
    return Prediction({"32s": mask, "8s": mask}, {}, {}, {}, {}, {}, (96, 192), "cpu")


def test_a_video_of_a_batch_is_interrupted_and_resumed(own, settings):
    (own / "notes.mp4").write_text("no video")
    files = (write_video(own / "a.mp4", 12), write_sound(own / "b.mp4"), own / "notes.mp4")
    batch = batch_of(settings, *files)
    assert [entry.is_video for entry in batch.entries] == [True, True] and batch.ignored == {".mp4": 1}
    progress = batch.process_video(predict)
    assert [next(progress).frames for _ in range(5)] == [1, 2, 3, 4, 5]
    progress.close()
    assert batch.waiting == [0, 1]
    assert next(frames := batch.process_video(predict)).frames == 5
    assert [done.frames for done in frames] == [6, 7, 8, 9, 10, 11, 12]
    assert not list(batch.process_video(predict)) and "no video stream" in batch.entries[1].error
    assert batch.videos_done == [0] and not batch.photos_done and not batch.waiting
    assert len(decode(batch.video_results(0)[0])) == 12
    rows = list(csv.DictReader(io.StringIO(batch.csv().decode("utf-8-sig"))))
    assert [row["variant"] for row in rows] == ["32s", "8s", ""] and float(rows[0]["sky"]) == 0.5
    batch.reset(settings)
    assert batch.waiting == [0, 1] and not batch.video_results(0)[0].exists()


def test_failures_of_the_network_become_errors_of_the_video(own, settings):
    batch = batch_of(settings, write_video(own / "a.mp4", 2), write_video(own / "b.mp4", 2))

    def fail(error: Exception):
        def raise_error(*_: object) -> Prediction:
            raise error

        return raise_error

    assert not list(batch.process_video(fail(MemoryError())))
    assert not list(batch.process_video(fail(RuntimeError("of a kind\nand more"))))
    assert "not enough memory" in batch.entries[0].error and "(of a kind)" in batch.entries[1].error


def test_a_video_of_hours_ends_at_a_limit(own, settings, monkeypatch):
    monkeypatch.setattr(upload_batch, "MAX_VIDEO_FRAMES", 3)
    batch = batch_of(settings, write_video(own / "a.mp4", 12))
    assert [done.frames for done in batch.process_video(predict)] == [1, 2, 3]


def page(registry: Path, monkeypatch: pytest.MonkeyPatch, batch: Batch) -> AppTest:
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page("pages/batch.py")
    at.session_state["batch"] = batch
    at.session_state["batch_running"] = True
    return at.run()


def test_the_page_shows_a_video_with_its_curves(own, registry, monkeypatch):
    card = read_card(DEFAULT_WEIGHTS, registry)
    settings = BatchSettings(card.name, card.sha256, ("32s", "8s"), classes=card.class_set)
    data = write_video(own / "a.mp4", 60, faststart=True).read_bytes()
    (own / "cut off.mp4").write_bytes(data[: len(data) * 2 // 3])
    batch = batch_of(settings, own / "a.mp4", own / "cut off.mp4", write_sound(own / "sound.mp4"))
    at = page(registry, monkeypatch, batch)
    assert not at.exception and "**2** of 3 segmented with FCN-32s and FCN-8s" in text(at)
    assert "only sound" in text(at) and "Flickering pixels" in text(at) and "FCN-32s" in text(at)
    served = {file.name: file for file in own.glob("static/*/*")}
    assert "a.video.mp4" in served and "a.video.csv" in served
    assert f"app/static/{served['a.video.mp4'].parent.name}/a.video.mp4" in text(at)
    assert len(at.get("video")) == 1 and len(at.get("plotly_chart")) == 1
    at.selectbox(key="batch_video_2").select(1).run()
    assert not at.exception and "is cut off" in text(at)
    at.button(key="batch_new").click().run()
    assert not at.exception and not list(own.glob("static/*")) and not list(own.glob("temporary/*"))


def test_curves_have_few_points_and_name_the_largest_classes():
    shares = np.random.default_rng(0).dirichlet(np.linspace(1, 20, 19), 5000)
    figure = video_view.share_curves(np.arange(5000) / 5, shares, CITYSCAPES)
    names = [curve.name for curve in figure.data]
    assert len(names) == video_view.MAX_CURVES + 1 and names[0] == "bicycle" and names[-1] == "others"
    assert {len(curve.x) for curve in figure.data} == {video_view.MAX_POINTS}
    assert np.sum([curve.y for curve in figure.data], axis=0) == pytest.approx(100)
    one = video_view.share_curves(np.zeros(1), shares[:1], CITYSCAPES)
    assert len(one.data[0].x) == 1


def test_a_table_is_read_back(tmp_path, settings):
    batch = batch_of(settings, write_video(tmp_path / "a.mp4", 3))
    list(batch.process_video(predict))
    seconds, shares = video_run.read_table(batch.video_results(0)[1], "8s")
    assert seconds == pytest.approx([0, 0.1, 0.2]) and shares.shape == (3, len(CITYSCAPES))
    assert shares[:, CITYSCAPES.train_id["sky"]] == pytest.approx(0.5)
