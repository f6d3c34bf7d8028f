"""Known layouts of data sets are recognized, and photos are paired with their labels."""

import json

import numpy as np
import pytest
from PIL import Image

from seg.data import cityscapes, layouts
from seg.data.datasets import classes_of, has_split, list_datasets, load_split, split_files
from seg.data.image_set import find_image_set
from seg.data.pairs import DatasetError
from tests.support.image_sets import OWN_CLASSES, description, save, scene, write_own_set


def indexed(label: np.ndarray) -> Image.Image:
    return Image.fromarray(label.astype(np.uint8))


def write_cityscapes(root, kind):
    label = np.random.default_rng(0).integers(0, 19, (40, 80)).astype(np.uint8)
    label[0] = 255
    tables = {
        "labelTrainIds": label,
        "labelIds": np.array([*cityscapes.LABEL_IDS, *[0] * 237], np.uint8)[label],
        "color": cityscapes.colorize(label),
    }
    for split in ("train", "val"):
        save(root / "leftImg8bit" / split / "ulm", "ulm_0_leftImg8bit.png", Image.new("RGB", (80, 40)))
        save(root / "gtFine" / split / "ulm", f"ulm_0_gtFine_{kind}.png", Image.fromarray(tables[kind]))
        save(root / "gtFine" / split / "ulm", "ulm_0_gtFine_instanceIds.png", Image.new("L", (80, 40)))
    return label


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds", "color"])
def test_cityscapes_labels_of_every_kind_are_read(tmp_path, kind):
    label = write_cityscapes(tmp_path, kind)
    split = load_split(tmp_path, "train")
    assert split.classes == cityscapes.CITYSCAPES
    np.testing.assert_array_equal(split.label(0), label)


def test_camvid_has_its_eleven_classes_and_void(tmp_path):
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for split in ("train", "val"):
        save(tmp_path / split, "a.png", Image.new("RGB", (4, 3)))
        save(tmp_path / f"{split}annot", "a.png", indexed(label))
    split = load_split(tmp_path, "val")
    assert split.classes.names[:2] == ("sky", "building") and len(split.classes) == 11
    np.testing.assert_array_equal(split.label(0), np.where(label == 11, 255, label))


def test_voc_lists_name_the_samples_of_a_split(tmp_path):
    for name, split in (("2007_1", "train"), ("2007_2", "val")):
        save(tmp_path / "JPEGImages", f"{name}.jpg", Image.new("RGB", (8, 8)))
        save(tmp_path / "SegmentationClass", f"{name}.png", indexed(np.full((8, 8), 15)))
        (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True, exist_ok=True)
        (tmp_path / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(f"{name}\n")
    assert [file.stem for file in split_files(tmp_path, "val")] == ["2007_2"]
    assert find_image_set(tmp_path).samples("val").missing == ()
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_2\nlost\n")
    assert find_image_set(tmp_path).samples("val").missing == ("lost",)
    classes = classes_of(tmp_path)
    assert classes.names[15] == "person" and classes.classes[15].color == (192, 128, 128)


def test_ade20k_takes_names_from_its_table(tmp_path):
    for split in ("training", "validation"):
        save(tmp_path / "images" / split, "ADE_1.jpg", Image.new("RGB", (8, 8)))
        save(tmp_path / "annotations" / split, "ADE_1.png", indexed(np.arange(64).reshape(8, 8)))
    assert classes_of(tmp_path).names[0] == "class 1" and len(classes_of(tmp_path)) == 150
    lines = ["Idx\tRatio\tTrain\tVal\tName", *(f"{k}\t0\t0\t0\tthing {k}, other" for k in range(1, 151))]
    (tmp_path / "objectInfo150.txt").write_text("\n".join(lines))
    split = load_split(tmp_path, "val")
    assert split.classes.names[0] == "thing 1"
    assert split.label(0)[0, :3].tolist() == [255, 0, 1]  # 0 is "other"


def test_coco_panoptic_segments_become_their_categories(tmp_path):
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:2] = (44, 1, 0)  # segment 300
    rgb[2] = (7, 0, 1)  # segment 65543
    contents = {
        "categories": [
            {"id": 1, "name": "person", "supercategory": "human", "color": [220, 20, 60], "isthing": 1},
            {"id": 149, "name": "road", "supercategory": "ground", "color": [128, 64, 128], "isthing": 0},
        ],
        "annotations": [
            {
                "file_name": "a.png",
                "image_id": 1,
                "segments_info": [{"id": 300, "category_id": 149}, {"id": 65543, "category_id": 1}],
            }
        ],
    }
    for split in ("train2017", "val2017"):
        save(tmp_path / split, "a.jpg", Image.new("RGB", (4, 4)))
        save(tmp_path / "annotations" / f"panoptic_{split}", "a.png", Image.fromarray(rgb))
        (tmp_path / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(contents))
    split = load_split(tmp_path, "train")
    assert split.label(0)[:, 0].tolist() == [1, 1, 0, 255]
    assert split.classes.categories == ("human", "ground")
    (tmp_path / "annotations" / "panoptic_val2017.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"panoptic_val2017.json is no panoptic annotation"):
        split_files(tmp_path, "val")


@pytest.mark.parametrize(
    ("images", "labels", "ending"),
    [
        ("images/train", "masks/train", ""),
        ("images/training", "annotations/training", ""),
        ("train/images", "train/labels", "_mask"),
        ("images", "masks", "_gt"),
    ],
)
def test_images_and_masks_are_found_without_a_description(tmp_path, images, labels, ending):
    for number in range(12):
        label = np.arange(4).repeat(4).reshape(4, 4)
        save(tmp_path / images, f"{number}.jpg", Image.new("RGB", (4, 4)))
        save(tmp_path / labels, f"{number}{ending}.png", indexed(label))
    files = split_files(tmp_path, "train")
    assert [file.stem for file in files] == [str(number) for number in range(12)]  # in natural order
    assert len(classes_of(tmp_path)) == len(OWN_CLASSES)
    assert not has_split(tmp_path, "val")
    assert classes_of(tmp_path).names[0] == "class 0"


def test_binary_masks_of_0_and_255_have_two_classes(tmp_path):
    save(tmp_path / "images", "a.png", Image.new("RGB", (4, 4)))
    save(tmp_path / "masks", "a.png", indexed(np.array([[0, 255]] * 2).repeat(2, 0).repeat(2, 1)))
    assert classes_of(tmp_path).names == ("background", "foreground")
    assert load_split(tmp_path, "train").label(0)[0].tolist() == [0, 0, 1, 1]


def test_palettes_give_inferred_classes_their_colors(tmp_path):
    picture = indexed(np.array([[0, 1], [1, 2]]))
    picture.putpalette([0, 0, 0, 9, 8, 7, 6, 5, 4])
    save(tmp_path / "images", "a.png", Image.new("RGB", (2, 2)))
    save(tmp_path / "masks", "a.png", picture)
    assert [c.color for c in classes_of(tmp_path).classes] == [(0, 0, 0), (9, 8, 7), (6, 5, 4)]


def test_folders_around_the_set_are_looked_into(tmp_path):
    write_own_set(tmp_path / "outer" / "middle" / "inner", train=1, val=1)
    image_set = find_image_set(tmp_path / "outer")
    assert image_set is not None and image_set.root.name == "inner"
    assert list_datasets(tmp_path) == (tmp_path / "outer",)


def test_other_folders_are_no_image_sets_and_say_what_was_expected(tmp_path, pairs):
    assert find_image_set(pairs) is None
    save(tmp_path / "pics", "a.jpg", Image.new("RGB", (4, 4)))
    assert find_image_set(tmp_path) is None
    sentence = layouts.unknown_layout(tmp_path)
    assert "Expected: train/1.jpg" in sentence and "Found: the folders pics" in sentence


def test_photos_without_labels_are_explained(tmp_path):
    save(tmp_path / "images" / "train", "a.jpg", Image.new("RGB", (40, 30)))
    with pytest.raises(DatasetError, match="beside it is no folder of labels"):
        split_files(tmp_path, "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DatasetError, match=r"no data set that is recognized\. Expected: .* Found: nothing\. Other data"
    ):
        split_files(tmp_path / "empty", "train")


def test_two_photos_of_one_name_are_refused(tmp_path):
    write_own_set(tmp_path, train=1, val=1)
    save(tmp_path / "images" / "train", "0.png", Image.new("RGB", (160, 120)))
    with pytest.raises(DatasetError, match=r"0\.(jpg|png) and 0\.(jpg|png)"):
        split_files(tmp_path, "train")


def test_labels_keep_16_bit_ids_and_compressed_colors(tmp_path):
    photo, label = scene(3)
    ids = np.where(label == 255, 60000, label.astype(np.uint16) * 1000).astype(np.uint16)
    save(tmp_path / "images", "a.jpg", photo)
    save(tmp_path / "masks", "a.png", Image.fromarray(ids))
    classes = [c | {"ids": [1000 * k]} for k, c in enumerate(description()["classes"])]
    described = description(images="images", labels="masks", classes=classes, ignored=[60000])
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    np.testing.assert_array_equal(load_split(tmp_path, "train").label(0), label)
    colors = classes_of(tmp_path).colorize(label)
    save(tmp_path / "colors", "a.jpg", Image.fromarray(colors))
    described |= {"labels": "colors", "coding": "colors"}
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    decoded = load_split(tmp_path, "train").label(0)
    known = decoded != 255
    assert known.mean() > 0.8 and (decoded[known] == label[known]).mean() > 0.97
