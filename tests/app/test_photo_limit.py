"""More photos than a session may have: the first stay in order, and the page names the others."""

import gc
import weakref
from contextlib import contextmanager

from streamlit.runtime.scriptrunner import StopException

from tests.app.test_compare_page import page, panes, picture_file
from ui.shared import rate_limit
from ui.state import photos


def test_photos_beyond_the_limit_are_named_and_none_is_lost(monkeypatch, registry):
    monkeypatch.setattr(rate_limit, "MAX_PHOTOS", 3)
    at = page(monkeypatch, registry)
    files = [(f"{number}.png", picture_file(seed=number), "image/png") for number in range(5)]
    at.file_uploader(key="uploads-compare").set_value(files).run()
    first_names = ["0\\.png", "1\\.png", "2\\.png"]

    def labels() -> list[str]:
        return [button.label for button in at.button if button.key.startswith("strip-")]

    assert not at.exception and labels() == first_names
    assert "2 photos left out" in at.warning[0].value and "3\\.png, 4\\.png" in at.warning[0].value
    for number in (2, 0, 1):
        at.button(key=f"strip-{number}").click().run()
        assert not at.exception and labels() == first_names
        assert panes(at)["photo"]["note"] == f"{number}.png"
    at.button(key="sample-6").click().run()
    assert labels() == first_names


def test_a_stopped_run_keeps_nothing_of_its_files(monkeypatch, registry):
    at = page(monkeypatch, registry)
    read, pictures = photos.reader.photo, []

    @contextmanager
    def stopped(data: bytes, *rest):
        if len(pictures) % 2:  # the second file, while which the visitor stops the page
            pictures.append(None)
            raise StopException
        with read(data, *rest) as picture:
            pictures.append(weakref.ref(picture))
            yield picture

    monkeypatch.setattr(photos.reader, "photo", stopped)
    for run in range(3):
        files = [(f"{number}.png", picture_file(seed=2 * run + number), "image/png") for number in range(2)]
        at.file_uploader(key="uploads-compare").set_value(files).run()
        assert not at.exception and not at.session_state["photos"]
        gc.collect()
        assert len(at.session_state["photo_facts"]._values) == 1 and pictures[2 * run]() is None


def test_large_pictures_are_read_again_instead_of_kept(monkeypatch, registry):
    at = page(monkeypatch, registry)
    read, reads = photos.reader.photo, []

    def counted(data: bytes, *rest):
        reads.append(data)
        return read(data, *rest)

    monkeypatch.setattr(photos.reader, "photo", counted)
    for limit, count in ((120 * 80, 1), (120 * 80 - 1, 2)):
        monkeypatch.setattr(photos, "KEPT_PIXELS", limit)
        reads.clear()
        file = ("a.png", picture_file(120, 80, seed=limit), "image/png")
        at.file_uploader(key="uploads-compare").set_value([file]).run()
        assert not at.exception and len(reads) == count
