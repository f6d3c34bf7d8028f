"""Folders of masks that were made elsewhere."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import IGNORE
from seg.evaluation.mask_folder import MaskFolder, MaskFolderError
from seg.inference import mask_io

MASK = np.array([[0, 1, 2, 18], [10, 13, IGNORE, 5]], np.uint8)


def folder_with(tmp_path, **pictures):
    folder = tmp_path / "masks"
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        path = folder / f"{name}.png"
        path.write_bytes(picture) if isinstance(picture, bytes) else Image.fromarray(picture).save(path)
    return folder


def split_of(*stems):
    return SimpleNamespace(files=[SimpleNamespace(stem=stem) for stem in stems])


def read(folder, size=(2, 4)):
    return MaskFolder(folder).mask("a", size, CITYSCAPES)


@pytest.mark.parametrize(
    "picture",
    [
        MASK,
        MASK[..., None].repeat(3, 2),
        CITYSCAPES.colorize(MASK),
        mask_io.png(MASK),
        mask_io.color_png(MASK),
    ],
    ids=["gray", "equal channels", "colors", "indexed", "color file"],
)
def test_ids_and_colors_give_the_mask(picture, tmp_path):
    assert np.array_equal(read(folder_with(tmp_path, a=picture)), MASK)


def test_an_indexed_palette_in_another_order_is_read_by_color(tmp_path):
    picture = Image.fromarray(CITYSCAPES.colorize(MASK)).quantize(32)
    folder = folder_with(tmp_path)
    picture.save(folder / "a.png")
    assert not np.array_equal(np.asarray(picture), MASK)
    assert np.array_equal(read(folder), MASK)


def test_a_mask_of_another_size_is_resized_to_the_nearest_id(tmp_path):
    folder = folder_with(tmp_path, a=MASK.repeat(3, 0).repeat(2, 1))
    assert np.array_equal(read(folder), MASK)


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.full((2, 4), 19, np.uint8), r"a.png has the id 19, which is none of the 19 classes"),
        (np.full((2, 4, 3), (1, 2, 3), np.uint8), "colors that are none of the 19 classes"),
        (b"no picture", "cannot be read as a picture"),
    ],
)
def test_masks_with_other_values_are_refused(picture, sentence, tmp_path):
    with pytest.raises(MaskFolderError, match=sentence):
        read(folder_with(tmp_path, a=picture))


def test_missing_masks_are_counted_and_the_first_is_named(tmp_path):
    masks = MaskFolder(folder_with(tmp_path, a=MASK, c=MASK))
    masks.check(split_of("a", "c", "z"), 2)
    with pytest.raises(MaskFolderError, match=r"2 of the 4 photos have no mask; the first is b\.png"):
        masks.check(split_of("a", "b", "c", "d"), 4)


def test_masks_of_variants_are_chosen_by_the_end_of_their_names(tmp_path):
    folder = folder_with(tmp_path, **{"a.8s": MASK, "a.32s": MASK[::-1]})
    with pytest.raises(MaskFolderError, match=r"none of the 1 photos has a mask.*masks:32s"):
        MaskFolder(folder).check(split_of("a"), 1)
    chosen = MaskFolder(folder, "8s")
    chosen.check(split_of("a"), 1)
    assert np.array_equal(chosen.mask("a", (2, 4), CITYSCAPES), MASK)


def test_empty_folders_and_two_masks_of_a_name_are_refused(tmp_path):
    folder = folder_with(tmp_path)
    with pytest.raises(MaskFolderError, match=r"has no masks: no file in it ends in \.png"):
        MaskFolder(folder)
    folder_with(tmp_path, a=MASK)
    (folder / "more").mkdir()
    Image.fromarray(MASK).save(folder / "more" / "a.png")
    with pytest.raises(MaskFolderError, match="two masks for a"):
        MaskFolder(folder)


def test_the_fingerprint_changes_with_the_masks(tmp_path, monkeypatch):
    folder = folder_with(tmp_path, a=MASK)
    before = MaskFolder(folder).fingerprint
    monkeypatch.chdir(tmp_path)
    assert MaskFolder(Path("masks")).fingerprint == before
    folder_with(tmp_path, a=MASK[:1])
    assert MaskFolder(folder).fingerprint != before
