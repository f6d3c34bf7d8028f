"""Untrusted files are read or refused with a message, within limits of time and memory, and leave nothing
behind."""

import io
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seg.data import label_import
from seg.data.archives import ArchiveError, members
from seg.data.image_io import MAX_MEGAPIXELS, PhotoError, read_photo
from seg.models.model_card import WeightsError
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, WEIGHTS_FILE, read_card
from tests.support.hostile_files import FILES, STREET, png, save, zipped
from tests.support.hostile_survey import is_a_sentence

SHIPPED = Path(__file__).parents[2] / "weights"

MEMORY = 3 * 2**30
"""Limit of the address space in bytes for reading the corpus, including Python and Pillow."""


@pytest.fixture(scope="module")
def results(tmp_path_factory, stress) -> dict:
    """Results for the corpus, or for a sample of it, read in a separate process in an empty folder."""
    folder = tmp_path_factory.mktemp("here")
    command = [sys.executable, "-m", "tests.support.hostile_survey", "--json", "1" if stress else "4"]
    ended = subprocess.run(
        command,
        cwd=folder,
        env={
            "PATH": "",
            "PYTHONPATH": str(SHIPPED.parent),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
    return json.loads(ended.stdout) | {"left": [path.name for path in folder.rglob("*")]}


def test_every_file_is_read_or_refused_with_a_message(results, stress):
    assert results["cases"] >= (300 if stress else 75)
    assert results["wrong"] == []
    assert {fate for _, fate, _ in results["counts"]} == {"photo", "refused"}


def test_no_file_takes_long_or_leaves_files_behind(results):
    name, seconds = results["slowest"]
    assert seconds < 15, name
    assert results["left"] == []


@pytest.mark.filterwarnings("ignore")  # Pillow warns about broken files
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8)), max_size=6),
    st.floats(0, 1),
)
def test_corrupted_pictures_are_read_or_refused_with_a_message(name, changes, length):
    data = bytearray(FILES[name])
    for at, put in changes:
        start = int(at * len(data))
        data[start : start + len(put)] = put
    try:
        photo = read_photo(bytes(data[: int(length * len(data)) + 1]))
        assert photo.mode == "RGB" and photo.width * photo.height <= MAX_MEGAPIXELS * 1_000_000
    except PhotoError as error:
        assert is_a_sentence(str(error)), error


@given(st.binary(max_size=200))
def test_random_bytes_are_never_read_as_a_photo(data):
    with pytest.raises(PhotoError) as caught:
        read_photo(data)
    assert is_a_sentence(str(caught.value)), caught.value


@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.binary(max_size=50)), max_size=5), st.data())
def test_a_corrupted_zip_gives_files_or_messages(files, data):
    whole = bytearray(
        zipped(*((name.encode("utf-8", "replace").decode(), content) for name, content in files))
    )
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        for share, member in members(io.BytesIO(bytes(whole))):
            assert 0 < share <= 1 and not (member.error and member.data)
            assert not member.error or is_a_sentence(member.error), member.error
            assert member.error or ".." not in member.name.split("/")
    except ArchiveError as error:
        assert is_a_sentence(str(error)), error


KEYS = st.sampled_from(
    ["format", "name", "architecture", "variants", "classes", "working_height", "encoder", "sha256"]
)
SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(KEYS, NESTED, min_size=1))
def test_a_random_card_is_read_or_refused(changes):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(
            SHIPPED / DEFAULT_WEIGHTS,
            Path(folder) / DEFAULT_WEIGHTS,
            ignore=shutil.ignore_patterns(WEIGHTS_FILE),
        )
        card = Path(folder) / DEFAULT_WEIGHTS / CARD_FILE
        card.write_text(json.dumps(json.loads(card.read_text()) | changes))
        try:
            read_card(DEFAULT_WEIGHTS, Path(folder))
        except WeightsError as error:
            assert "\n" not in str(error) and str(error).endswith(".")


def label_pictures() -> dict[str, bytes]:
    """Pictures that are no label of a 64 x 48 photo."""
    ids = np.full((48, 64), 7, np.uint8)
    files = {
        "an id that there is not": ids + 33,
        "all ids at once": np.arange(48 * 64).reshape(48, 64).astype(np.uint8),
        "another shape": np.ascontiguousarray(ids.T),
        "sixteen bits": ids.astype(np.uint16) * 1000,
        "a photo": np.asarray(STREET),
    }
    pictures = {name: save(Image.fromarray(array), "PNG") for name, array in files.items()}
    return pictures | {"nothing": b"", "words": b"road road car", "a bomb": png(60_000, 60_000, b"")}


@pytest.mark.parametrize("name", label_pictures())
def test_a_file_that_is_no_label_is_refused(name):
    with pytest.raises(label_import.LabelImportError) as caught:
        label_import.read_label(label_pictures()[name], (64, 48))
    assert is_a_sentence(str(caught.value)), caught.value
