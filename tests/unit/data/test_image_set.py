"""Photos and labels of any size are stored with their aspect, checked and augmented."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from seg.data.dataset_import import import_zip
from seg.data.datasets import check_classes, load_split, split_digest, split_fingerprint
from seg.data.decode_cache import DecodedSplit
from seg.data.description import DatasetDescription, read_description, write_description
from seg.data.image_set import find_image_set, stored_size
from seg.data.image_set_check import check_image_set, notes_on
from seg.data.loader import create_loader
from seg.data.pairs import DatasetError
from seg.data.preprocess import MEAN, STD
from seg.data.transforms import augment, crop_width
from tests.support.image_sets import OWN_CLASSES, description, save, scene, write_own_set


def write_mixed(folder):
    """Write photos of three shapes, the last one taller than it is stored."""
    for number, size in enumerate(((160, 120), (90, 160), (400, 200))):
        photo, label = scene(number, *size)
        save(folder / "images" / "train", f"{number}.png", photo)
        save(folder / "masks" / "train", f"{number}.png", Image.fromarray(label))
    (folder / "dataset.json").write_text(json.dumps(description(height=128)))
    return folder


def test_photos_of_any_shape_keep_their_aspect(tmp_path):
    split = load_split(write_mixed(tmp_path), "train")
    assert split.photos.shape == (3, 128, 256, 3)
    assert split.sizes.tolist() == [[120, 160], [128, 72], [128, 256]]
    photo, label = scene(0)
    np.testing.assert_array_equal(np.asarray(split.photo(0)), np.asarray(photo))
    np.testing.assert_array_equal(split.label(0), label)
    assert (split.labels[0, 120:] == 255).all() and (split.labels[0, :, 160:] == 255).all()
    assert split.crop_aspect == pytest.approx(160 / 120) and split.scene_aspect is None


def test_panoramas_are_stored_lower():
    assert stored_size((8000, 1000), 512) == (256, 2048)
    assert stored_size((300, 200), 512) == (200, 300)


def test_crops_show_photos_undistorted_and_ignore_the_rest(tmp_path):
    split = load_split(write_mixed(tmp_path), "train")
    rows = [torch.tensor([[0, 0], [0, 1], [0, 2]])]
    photos, labels, sizes = next(create_loader([split], torch.device("cpu"), rows))
    width = crop_width(96, split.crop_aspect)
    options = {"width": width, "sizes": sizes}
    crops = [augment(photos, labels, 96, 0, step, (1.0, 1.0), 0.0, **options) for step in range(30)]
    image, label = (torch.cat(parts) for parts in zip(*crops, strict=True))
    assert image.shape[-2:] == label.shape[-2:] == (96, 128)
    pixels = image * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)
    # the black rest of the arrays never shows: a sky at the top of each photo is bright
    names = list(OWN_CLASSES)
    sky = pixels.mean(1)[label == names.index("sky")]
    assert float((sky > 0.2).float().mean()) > 0.9
    shares = (label != 255).float().mean((1, 2)).view(30, 3).mean(0)
    assert shares[1] < shares[0]  # the upright photo leaves a part of wide crops empty


def test_the_digest_follows_files_and_description(tmp_path):
    write_own_set(tmp_path, train=2, val=1)
    digests = {split_digest(tmp_path, "train")}
    fingerprints = {split_fingerprint(tmp_path, "train")}
    (tmp_path / "dataset.json").write_text(json.dumps(description(height=96)))
    digests.add(split_digest(tmp_path, "train"))
    fingerprints.add(split_fingerprint(tmp_path, "train"))
    _, label = scene(77)
    save(tmp_path / "masks" / "train", "1.png", Image.fromarray(label))
    digests.add(split_digest(tmp_path, "train"))
    fingerprints.add(split_fingerprint(tmp_path, "train"))
    assert len(digests) == len(fingerprints) == 3


def test_unknown_ids_and_other_sizes_are_named(tmp_path):
    write_own_set(tmp_path, train=3, val=1)
    _, label = scene(0)
    label[0, 0] = 9
    save(tmp_path / "masks" / "train", "0.png", Image.fromarray(label))
    with pytest.raises(DatasetError, match=r"0\.png has values .* nor ignores: 9\."):
        load_split(tmp_path, "train")
    save(tmp_path / "masks" / "train", "0.png", Image.new("L", (80, 60)))
    with pytest.raises(DatasetError, match="80×60 pixels and its photo 160×120"):
        load_split(tmp_path, "train")


def test_the_check_counts_each_kind_with_an_example(tmp_path):
    write_own_set(tmp_path, train=6, val=1)
    masks = tmp_path / "masks" / "train"
    _, label = scene(0)
    label[:2] = 77
    save(masks, "0.png", Image.fromarray(label))
    save(masks, "1.png", Image.new("L", (10, 10)))
    (masks / "2.png").write_bytes(b"no picture")
    (masks / "3.png").unlink()
    save(masks, "lone.png", Image.new("L", (160, 120)))
    save(masks, "4.png", Image.new("RGB", (160, 120), (1, 2, 3)))
    image_set = find_image_set(tmp_path)
    progress = []
    check = check_image_set(image_set, "train", lambda *step: progress.append(step))
    assert {kind: count for kind, (count, _) in check.faults.items()} == {
        "photos without a label": 1,
        "labels without a photo": 1,
        "unreadable files": 2,
        "labels of another size than their photo": 1,
        "labels with unknown values": 1,
    }
    assert "77 in" in check.faults["labels with unknown values"][1]
    assert progress[-1] == (5, 5) and not check.is_usable
    _, whole = scene(5)
    assert check.pixels[:-1].sum() == (label < 4).sum() + (whole < 4).sum()


def test_files_without_use_and_missing_splits_are_noted(tmp_path):
    write_own_set(tmp_path, train=1, val=0)
    save(tmp_path / "images" / "test", "a.png", Image.new("RGB", (4, 4)))
    (tmp_path / "masks" / "train" / "0.npy").write_bytes(b"x")
    image_set = find_image_set(tmp_path)
    notes = " ".join(notes_on(image_set, {s: check_image_set(image_set, s) for s in ("train", "val")}))
    assert "There is no val" in notes
    assert "belong to no sample: 1 .png, 1 .npy, for example images/test/a.png." in notes
    (tmp_path / "dataset.json").write_text(json.dumps(description(images="image/{split}")))
    with pytest.raises(DatasetError, match=r"There is no folder .*/image, which the description names"):
        find_image_set(tmp_path).samples("train")


def test_absent_and_rare_classes_are_noted(tmp_path):
    write_own_set(tmp_path, train=1, val=1, size=(400, 300))
    label = np.zeros((300, 400), np.uint8)
    label[0, :3] = 1
    save(tmp_path / "masks" / "val", "0.png", Image.fromarray(label))
    image_set = find_image_set(tmp_path)
    notes = notes_on(image_set, {split: check_image_set(image_set, split) for split in ("train", "val")})
    assert "val has no pixels of plant, sky." in notes
    assert any("mostly chance: building" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": []}, "classes"),
        ({"layout": "mine"}, "layout"),
        ({"height": 8}, "height"),
        ({"images": "../elsewhere"}, "within the data set"),
        ({"ignored": [1]}, "the id 1 occurs twice"),
        ({"surprise": 1}, "surprise"),
        ({"name": ""}, "name"),
        ({"classes": [{"name": "a\x1b[31m", "color": [0, 0, 0], "ids": [1]}]}, "printable"),
    ],
)
def test_damaged_descriptions_are_explained(tmp_path, change, message):
    (tmp_path / "dataset.json").write_text(json.dumps(description(**change)))
    with pytest.raises(DatasetError, match=message):
        read_description(tmp_path)
    (tmp_path / "dataset.json").write_text("[" * 5000)
    with pytest.raises(DatasetError, match="no description of a data set"):
        read_description(tmp_path)


def test_a_description_survives_writing(tmp_path):
    described = DatasetDescription.model_validate(description(), strict=False)
    write_description(tmp_path, described)
    assert read_description(tmp_path) == described
    assert described.class_set.categories == ("built", "nature")


def test_ignored_classes_get_no_train_id(tmp_path):
    classes = description()["classes"]
    classes[1]["ignored"] = True
    write_own_set(tmp_path, train=1, val=1, classes=classes)
    split = load_split(tmp_path, "train")
    _, label = scene(0)
    assert split.classes.names == ("way", "plant", "sky")
    expected = np.array([0, 255, 1, 2, *[255] * 252], np.uint8)[label]
    np.testing.assert_array_equal(split.label(0), expected)


def test_other_classes_than_the_network_has_are_refused(tmp_path, pairs):
    own = load_split(write_own_set(tmp_path, train=1, val=1), "train")
    cityscapes = load_split(pairs, "train")
    assert isinstance(own, DecodedSplit)
    check_classes(own.classes, own, "mine")
    with pytest.raises(DatasetError, match=r"only the data has way, plant; only the weights have road"):
        check_classes(cityscapes.classes, own, "mine")


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    content.seek(0)
    return content


def test_a_zip_becomes_a_data_set_or_leaves_nothing(tmp_path):
    source = write_own_set(tmp_path / "source", train=2, val=1)
    files = {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    shares = []
    extra = {"../evil.png": b"x", "images/train/run.py": b"x", "images/.DS_Store": b"x"}
    content = zipped({f"mine/{name}": data for name, data in files.items()} | extra)
    target = import_zip(content, tmp_path / "data", "new", shares.append)
    assert find_image_set(target).classes.names == tuple(OWN_CLASSES) and shares[-1] == 1
    assert not list(tmp_path.rglob("evil.png")) and not list(tmp_path.rglob("run.py"))
    with pytest.raises(DatasetError, match="exists already"):
        import_zip(zipped(files), tmp_path / "data", "new")
    with pytest.raises(DatasetError, match="no valid name"):
        import_zip(zipped(files), tmp_path / "data", "../new")
    with pytest.raises(DatasetError, match="The zip is no data set that is recognized"):
        import_zip(zipped({"a/b.jpg": files["images/train/0.jpg"]}), tmp_path / "data", "other")
    masks = {name: content for name, content in files.items() if name.startswith("masks")}
    with pytest.raises(DatasetError, match="^masks/train/0.png has the wrong size"):
        import_zip(zipped(masks), tmp_path / "data", "masks")
    with pytest.raises(DatasetError, match="^dataset.json is no description"):
        import_zip(zipped(files | {"dataset.json": b"{"}), tmp_path / "data", "described")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["new"]
