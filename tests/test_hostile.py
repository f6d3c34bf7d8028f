"""What nobody should trust is read as what it is or refused in a sentence, within bounds, and nothing is left behind."""

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
from hostile import FILES, STREET, is_a_sentence, png, save, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from seg import truth, weights
from seg.archive import ArchiveError, members
from seg.photo import MAX_MEGAPIXELS, PhotoError, read_photo

SHIPPED = Path(__file__).parent.parent / "weights"

MEMORY = 3 * 2**30
"""Bytes of addresses that reading the corpus may take, Python and Pillow included."""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What became of the corpus, read in a process of its own, in an empty folder."""
    folder = tmp_path_factory.mktemp("here")
    command = [sys.executable, str(Path(__file__).parent / "hostile.py"), "--json"]
    ended = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "", "HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
    return json.loads(ended.stdout) | {"left": [path.name for path in folder.rglob("*")]}


def test_each_of_hundreds_of_files_is_a_photo_or_gets_a_sentence(found):
    assert found["cases"] >= 300
    assert found["wrong"] == []
    assert {fate for _, fate, _ in found["counts"]} == {"photo", "refused"}


def test_none_takes_long_or_leaves_anything_behind(found):
    name, seconds = found["slowest"]
    assert seconds < 15, name
    assert found["left"] == []


AT_LENGTH = settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it finds in broken files
@AT_LENGTH
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8)), max_size=6), st.floats(0, 1))
def test_a_picture_spoilt_in_any_way_is_a_photo_or_gets_a_sentence(name, changes, length):
    data = bytearray(FILES[name])
    for at, put in changes:
        start = int(at * len(data))
        data[start : start + len(put)] = put
    try:
        photo = read_photo(bytes(data[: int(length * len(data)) + 1]))
        assert photo.mode == "RGB" and photo.width * photo.height <= MAX_MEGAPIXELS * 1_000_000
    except PhotoError as error:
        assert is_a_sentence(str(error)), error


@AT_LENGTH
@given(st.binary(max_size=200))
def test_no_bytes_at_all_are_taken_for_a_photo_by_chance(data):
    with pytest.raises(PhotoError) as told:
        read_photo(data)
    assert is_a_sentence(str(told.value)), told.value


@AT_LENGTH
@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.binary(max_size=50)), max_size=5), st.data())
def test_a_zip_of_anything_spoilt_in_any_way_gives_files_or_sentences(files, data):
    whole = bytearray(zipped(*((name.encode("utf-8", "replace").decode(), content) for name, content in files)))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        for share, member in members(io.BytesIO(bytes(whole))):
            assert 0 < share <= 1 and not (member.error and member.data)
            assert not member.error or is_a_sentence(member.error), member.error
            assert member.error or ".." not in member.name.split("/")
    except ArchiveError as error:
        assert is_a_sentence(str(error)), error


KEYS = st.sampled_from(["format", "name", "architecture", "variants", "classes", "working_height", "encoder", "sha256"])
SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9)
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@AT_LENGTH
@given(st.dictionaries(KEYS, NESTED, min_size=1))
def test_a_card_with_anything_in_it_is_read_or_refused_in_a_sentence(changes):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SHIPPED / weights.DEFAULT, Path(folder) / weights.DEFAULT, ignore=shutil.ignore_patterns(weights.FILE))
        card = Path(folder) / weights.DEFAULT / weights.CARD
        card.write_text(json.dumps(json.loads(card.read_text()) | changes))
        try:
            weights.read_card(weights.DEFAULT, Path(folder))
        except weights.WeightsError as error:
            assert "\n" not in str(error) and str(error).endswith(".")


def label_pictures() -> dict[str, bytes]:
    """Pictures that are no label of a photo of 64 x 48."""
    ids = np.full((48, 64), 7, np.uint8)
    files = {
        "an id that there is not": ids + 33,
        "all ids at once": np.arange(48 * 64).reshape(48, 64).astype(np.uint8),
        "another shape": np.ascontiguousarray(ids.T),
        "sixteen bits": ids.astype(np.uint16) * 1000,
        "a photo": np.asarray(STREET),
    }
    found = {name: save(Image.fromarray(array), "PNG") for name, array in files.items()}
    return found | {"nothing": b"", "words": b"road road car", "a bomb": png(60_000, 60_000, b"")}


@pytest.mark.parametrize("name", label_pictures())
def test_what_is_no_label_gets_a_sentence(name):
    with pytest.raises(truth.TruthError) as told:
        truth.read_truth(label_pictures()[name], (64, 48))
    assert is_a_sentence(str(told.value)), told.value
