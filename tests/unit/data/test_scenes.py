"""Rendered streets are reproducible, varied and exactly labelled, and are written as a dataset."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from seg.data import scenes
from seg.data.cityscapes import IGNORE, NAMES, PALETTE, TRAIN_ID, colorize
from seg.system.status_file import write_status


@pytest.fixture(scope="module")
def streets() -> list[scenes.Scene]:
    return [scenes.render_scene(seed, 256, 128) for seed in range(30)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> tuple[Path, list[tuple[int, int]]]:
    to, calls = tmp_path_factory.mktemp("pairs"), []
    (
        to.parent / f".{to.name}.rendering-{2**22 + 1}"
    ).mkdir()  # a process that does not exist: the pid is above the usual pid_max
    scenes.write_pairs(
        to, train=2, val=1, seed=7, on_progress=lambda done, total: calls.append((done, total))
    )
    return to, calls


def test_a_seed_always_gives_the_same_scene():
    first, again, other = (scenes.render_scene(seed, 256, 128) for seed in (3, 3, 4))
    np.testing.assert_array_equal(again.photo, first.photo)
    np.testing.assert_array_equal(again.label, first.label)
    assert (first.photo != other.photo).mean() > 0.5


@pytest.mark.slow
def test_photo_and_label_have_the_promised_form(streets):
    for photo, label in streets:
        assert photo.shape == (128, 256, 3) and photo.dtype == np.uint8
        assert label.shape == (128, 256) and label.dtype == np.uint8
        assert set(np.unique(label)) <= {*range(len(NAMES)), IGNORE}


@pytest.mark.slow
def test_every_class_appears_in_a_tenth_of_scenes(streets):
    present = np.array([np.bincount(label.ravel(), minlength=256)[: len(NAMES)] >= 6 for _, label in streets])
    rare = {name: int(n) for name, n in zip(NAMES, present.sum(0), strict=True) if n < len(streets) / 10}
    assert not rare


@pytest.mark.slow
def test_the_common_classes_have_about_their_real_shares(streets):
    count = np.bincount(np.concatenate([label.ravel() for _, label in streets]), minlength=256)
    share = count / count.sum()
    for name, low, high in (
        ("road", 0.25, 0.45),
        ("building", 0.1, 0.3),
        ("vegetation", 0.08, 0.25),
        ("car", 0.03, 0.12),
    ):
        assert low < share[TRAIN_ID[name]] < high, name
    assert share[IGNORE] < 0.1


@pytest.mark.slow
def test_a_street_is_the_right_way_up(streets):
    def row(name: str) -> float:
        return float(
            np.mean(
                [
                    np.nonzero(label == TRAIN_ID[name])[0].mean()
                    for _, label in streets
                    if (label == TRAIN_ID[name]).any()
                ]
            )
        )

    assert row("sky") < row("vegetation") < row("person") < row("car") < row("road")


@pytest.mark.slow
def test_large_areas_have_texture(streets):
    for name in ("road", "sidewalk", "building", "vegetation", "car", "person"):
        spread = [
            photo[label == TRAIN_ID[name]].std(0).mean()
            for photo, label in streets
            if (label == TRAIN_ID[name]).sum() > 200
        ]
        assert np.median(spread) > 6, name


@pytest.mark.slow
def test_the_label_is_aligned_with_the_photo(streets):
    """The photo changes more at label edges than elsewhere; shifted labels would not have this property."""

    def contrast(shift: int) -> float:
        steps = []
        for photo, label in streets:
            label = np.roll(label, shift, 1)[:, 16:-16]
            step = np.abs(np.diff(photo[:, 16:-16].astype(int), axis=1)).sum(2)
            steps.append(step[label[:, 1:] != label[:, :-1]].mean())
        return float(np.mean(steps))

    assert contrast(0) > 1.3 * max(contrast(-4), contrast(4))


@pytest.mark.parametrize(("width", "height"), [(64, 64), (160, 120), (96, 128), (255, 101)])
def test_a_scene_has_the_requested_size(width, height):
    photo, label = scenes.render_scene(5, width, height)
    assert photo.shape == (height, width, 3) and label.shape == (height, width)
    assert (label == TRAIN_ID["road"]).mean() > 0.1


def test_a_size_too_small_is_refused():
    with pytest.raises(ValueError, match="at least 64 x 64"):
        scenes.render_scene(0, 63, 128)


def classes(scene: scenes.Scene) -> set[str]:
    return {NAMES[k] for k in np.unique(scene.label) if k != IGNORE}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"wet": True}, {"fog": 0.05}, {"sky": "night"}, {"sky": "clear", "wet": False}]
)
def test_weather_options_keep_the_label(streets, options):
    for seed in (0, 3, 13):
        changed = scenes.render_scene(seed, 256, 128, scenes.SceneOptions(**options))
        np.testing.assert_array_equal(changed.label, streets[seed].label)
        assert "wet" in options or (changed.photo != streets[seed].photo).any()


@pytest.mark.slow
def test_an_option_changes_little_else(streets):
    for seed in (0, 4):
        without = scenes.render_scene(seed, 256, 128, scenes.SceneOptions(people=0))
        assert "person" not in classes(without)
        differing = without.label != streets[seed].label
        small = ("person", "rider", "bicycle", "motorcycle")
        about = np.isin(streets[seed].label, [TRAIN_ID[name] for name in small])
        about |= np.isin(without.label, [TRAIN_ID[name] for name in small])
        assert differing[~about].mean() < 0.005
        assert not {"bus", "truck", "train"} & classes(
            scenes.render_scene(seed, 256, 128, scenes.SceneOptions(traffic=0))
        )
        assert "building" in classes(
            scenes.render_scene(seed, 256, 128, scenes.SceneOptions(sides="facades"))
        )


@pytest.mark.slow
def test_higher_options_give_larger_shares():
    def share(name: str, **options) -> float:
        class_masks = [
            scenes.render_scene(seed, 128, 64, scenes.SceneOptions(**options)).label == TRAIN_ID[name]
            for seed in (0, 4)
        ]
        return float(np.mean(class_masks))

    assert share("person", people=25) > 2 * share("person", people=2)
    assert share("car", parked=1) > 2 * share("car", parked=0, traffic=0.3)
    assert share("vegetation", sides="park") > 1.2 * share("vegetation", sides="facades")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fog": 1}, "--fog must be between 0 and 0.1, not 1"),
        ({"camera": 0.1}, "--camera"),
        ({"people": float("nan")}, "--people"),
    ],
)
def test_invalid_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        scenes.SceneOptions(**options)


def test_pairs_are_laid_out_like_the_real_set(pairs):
    to, calls = pairs
    files = sorted(str(path.relative_to(to)) for path in to.rglob("*") if path.is_file())
    names = ["train/1", "train/2", "val/1"]
    assert files == sorted([f"{name}.jpg" for name in names] + [f"exact/{name}.png" for name in names])
    assert calls == [(1, 3), (2, 3), (3, 3)]
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", quality=95)
    with Image.open(to / "train/1.jpg") as pair, Image.open(buffer) as like:
        assert (pair.format, pair.mode, pair.size) == ("JPEG", "RGB", (512, 256))
        assert pair.quantization == like.quantization and JpegImagePlugin.get_sampling(pair) == 2


def test_the_halves_show_the_photo_and_the_exact_label(pairs):
    to, _ = pairs
    for name in ("train/1", "train/2", "val/1"):
        with Image.open(to / f"exact/{name}.png") as image:
            assert (image.mode, image.size) == ("P", (1024, 512))
            np.testing.assert_array_equal(np.array(image.getpalette()[:57]).reshape(19, 3), PALETTE)
            exact = np.array(image)
        pair = np.asarray(Image.open(to / f"{name}.jpg")).astype(int)
        blended = np.asarray(Image.fromarray(colorize(exact)).reduce((4, 2))).astype(int)
        assert np.abs(pair[:, 256:] - blended).mean() < 6
        # A block of a single class has the color of that class.
        blocks = exact.reshape(256, 2, 256, 4)
        inside = (blocks == blocks[:, :1, :, :1]).all((1, 3))
        assert np.median(np.abs(pair[:, 256:] - colorize(exact[::2, ::4]))[inside]) <= 3
        assert np.abs(pair[:, :256] - pair[:, 256:]).mean() > 20


def test_train_and_val_and_seeds_share_no_scene():
    seeds = {
        scenes.scene_seed(seed, split, index)
        for seed in range(3)
        for split in ("train", "val")
        for index in range(1, 40)
    }
    assert len(seeds) == 3 * 2 * 39


def test_pairs_are_never_overwritten(pairs):
    to, _ = pairs
    before = (to / "train/1.jpg").read_bytes()
    with pytest.raises(FileExistsError, match="is not empty"):
        scenes.write_pairs(to, train=1, val=0, seed=0)
    assert (to / "train/1.jpg").read_bytes() == before


def test_active_renders_are_listed_until_complete(pairs, tmp_path):
    to, _ = pairs
    assert list(to.parent.glob(f".{to.name}*")) == []
    for name, pid in (("new", os.getpid()), ("old", 2**22 + 1)):  # above the usual pid_max
        scenes.temp_dir(tmp_path / name, pid).mkdir()
        write_status(scenes.temp_dir(tmp_path / name, pid), "rendering", {"status": "running"}, pid)
    (tmp_path / ".foreign.rendering-x").mkdir()
    assert scenes.active_renders(tmp_path) == (scenes.temp_dir(tmp_path / "new", os.getpid()),)
