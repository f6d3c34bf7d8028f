"""Whoever has a photo reduced is told so: on the pages, in the JSON files and by the command."""

import io
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from seg.cli import main
from seg.data import image_io
from seg.inference.directory import metadata
from seg.inference.predictor import Predictor
from seg.inference.upload_batch import Batch, BatchSettings
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support import hostile_files as hostile
from tests.support.heic_files import HEIC
from ui.compare import export
from ui.state import photos

ROOT = Path(__file__).parents[2]
ORIENTED = hostile.save(Image.new("RGB", (200, 100), "gray"), "JPEG", exif=hostile.exif(6))
"""An upright photo of 100 x 200 pixels that lies on its side in the file."""


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_io, "MAX_MEGAPIXELS", 0.01)
    # the process that reads uploads has the usual limit
    monkeypatch.setattr(photos.reader, "photo", lambda data, *_: nullcontext(image_io.read_photo(data)))


@pytest.fixture(scope="module")
def predictor(registry: Path) -> Predictor:
    return Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)


@pytest.mark.slow
def test_a_prediction_and_its_metadata_state_both_sizes(predictor, small_limit):
    prediction = predictor.predict(ORIENTED, ["8s"])
    assert prediction.masks["8s"].shape == (100, 50) and prediction.reduced_from == (200, 100)
    values = metadata(prediction, "", "street.jpg", False)
    assert (values["width"], values["height"]) == (50, 100)
    assert (values["original_width"], values["original_height"]) == (100, 200)


def test_without_a_reduction_the_metadata_have_one_size(predictor):
    values = metadata(predictor.predict(np.zeros((20, 40, 3), np.uint8), ["8s"]), "", "street.jpg", False)
    assert values["width"] == 40 and not [key for key in values if key.startswith("original")]


@pytest.mark.slow
def test_the_page_of_an_uploaded_photo_says_so(registry, monkeypatch, small_limit):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).run()
    at.file_uploader(key="uploads-compare").set_value([("street.jpg", ORIENTED, "image/jpeg")]).run()
    assert not at.exception and not at.error
    assert [note.value for note in at.info if "reduced from 100 × 200 to 50 × 100 pixels" in note.value]
    assert "HEIC, AVIF" in at.file_uploader(key="uploads-compare").help
    at.file_uploader(key="uploads-compare").set_value([("phone.heic", HEIC["plain"], "image/heic")]).run()
    assert not at.exception and not at.error and not [note for note in at.info if "reduced" in note.value]


def test_the_exported_record_states_both_sizes(small_limit):
    picture = image_io.read_photo(ORIENTED)
    photo = photos.Photo("street.jpg", **photos._photo_facts(picture, ORIENTED))
    values = export.record(photo, [], {}, False)
    assert (values["width"], values["height"]) == (50, 100)
    assert (values["original_width"], values["original_height"]) == (100, 200)


@pytest.mark.slow
def test_a_batch_counts_its_reduced_photos(predictor, registry, monkeypatch, tmp_path, small_limit):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    batch = Batch(BatchSettings(DEFAULT_WEIGHTS, "0" * 64, ("8s",)))
    files = {"large.jpg": ORIENTED, "small.heic": HEIC["plain"]}
    list(batch.ingest((name, io.BytesIO(data)) for name, data in files.items()))
    while batch.waiting:
        batch.process_next(lambda photo: predictor.predict(photo, ("8s",)))
    assert [entry.result.is_reduced for entry in batch.entries] == [True, False]
    assert json.loads((batch.path / "masks/large.json").read_text())["original_width"] == 100
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page("pages/batch.py")
    at.session_state["batch"], at.session_state["batch_running"] = batch, False
    at.run()
    assert not at.exception and [note for note in at.info if note.value.startswith("1 photo of more than")]


@pytest.mark.slow
def test_predict_prints_and_records_the_original_size(registry, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "camera.jpg").write_bytes(
        hostile.flat_jpeg(12_000, 6000)
    )  # 72 megapixels, as of 360° cameras
    (tmp_path / "phone.heic").write_bytes(HEIC["plain"])
    main.main(
        ["predict", *map(str, tmp_path.iterdir()), "--out", str(tmp_path / "masks"), "--variants", "8s"]
    )
    printed = capsys.readouterr()
    assert "camera.jpg: The photo was reduced from 12,000 × 6,000 to 6,000 × 3,000 pixels" in (
        printed.out + printed.err
    )
    values = json.loads((tmp_path / "masks" / "camera.json").read_text())
    assert [values[key] for key in ("original_width", "original_height", "width", "height")] == [
        12_000,
        6000,
        6000,
        3000,
    ]
    with Image.open(tmp_path / "masks" / "camera.8s.png") as mask:
        assert mask.size == (6000, 3000)
    assert "original_width" not in json.loads((tmp_path / "masks" / "phone.json").read_text())
