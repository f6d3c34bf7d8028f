"""The command weights calibrate: temperatures, and scores of photos unlike the training photos."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table
from tyro.conf import Positional

from seg import paths
from seg.cli.console import CommandError, console, load_held_out, load_split_with_progress, progress_bar, wide
from seg.data import scenes
from seg.data.datasets import check_classes
from seg.data.decode_cache import DecodedSplit
from seg.data.image_io import read_photo
from seg.evaluation import calibration, out_of_distribution
from seg.evaluation.evaluate import format_score
from seg.evaluation.out_of_distribution import SCORES, PhotoScores
from seg.evaluation.robustness import evenly_spaced
from seg.inference.device import Device
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.system.file_names import is_system_file

TRAINING_PHOTOS = 200
"""Number of training photos whose features are averaged."""


@dataclass(frozen=True)
class Calibrate:
    """Fit the temperatures of published weights on the samples that their training held out, and print them.

    Only `publish` writes a card.
    """

    name: Positional[str]
    """Name of the weights."""
    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the data set that the weights were trained on."""
    unlike: tuple[Path, ...] = ()
    """Folders of other photos, NAME.jpg: print how well scores tell them from the held-out photos."""
    scenes: int = 0
    """Number of rendered scenes that are compared likewise."""
    device: Device = "auto"
    """auto: a GPU if there is one."""

    def run(self) -> None:
        if self.scenes < 0:
            raise CommandError("--scenes must be at least 0.")
        others = {str(folder): _photos_of(folder) for folder in self.unlike}
        predictor = Predictor.from_pretrained(self.name, self.device, precision="fp32")
        held_out = load_held_out(self.name, self.data)
        check_classes(predictor.classes, held_out, self.name)
        variants = predictor.model.variants
        with progress_bar("calibrating") as on_progress:
            by_variant = calibration.calibrate(predictor, held_out, variants, on_progress=on_progress)
        if predictor.note:
            console.print(predictor.note)
        table = Table(
            *("", "temperature", "calibration error", "after", "all labelled pixels", "after"),
            f"mean maximum logit of {calibration.PERCENTILE} % of the photos",
            title=f"{self.name}, {len(held_out)} held-out samples of {self.data}",
        )
        for variant, result in by_variant.items():
            errors = (*result.errors, *result.errors_all_labelled)
            cells = [
                f"{result.temperature:.4f}",
                *map(format_score, errors),
                f"> {result.max_logit_limit:.4f}",
            ]
            table.add_row(DISPLAY_NAMES[variant], *cells)
        wide.print(table)
        if others or self.scenes:
            self._compare(predictor, held_out, by_variant[variants[-1]], others)

    def _compare(
        self,
        predictor: Predictor,
        held_out: DecodedSplit,
        result: calibration.VariantCalibration,
        others: dict[str, list[Path]],
    ) -> None:
        """Print how well each score tells other photos from the held-out ones."""
        variant = predictor.model.variants[-1]

        def score(what: str, photos: Iterable[Image.Image], count: int, aspect: float | None) -> PhotoScores:
            with progress_bar(what) as bar:
                return out_of_distribution.score_photos(
                    predictor, photos, variant, result.temperature, aspect, bar, count
                )

        train = load_split_with_progress(self.data, "train")
        chosen = evenly_spaced(len(train) - len(held_out), TRAINING_PHOTOS)
        training = score("training photos", map(train.photo, chosen), len(chosen), train.scene_aspect)
        photos, aspect = map(held_out.photo, range(len(held_out))), held_out.scene_aspect
        inside = score("held-out photos", photos, len(held_out), aspect)
        outside = {
            name: score(name, map(read_photo, files), len(files), None) for name, files in others.items()
        }
        if self.scenes:
            rendered = (Image.fromarray(scenes.render_scene(seed).photo) for seed in range(self.scenes))
            outside["rendered scenes"] = score("rendered scenes", rendered, self.scenes, None)
        columns = [
            column
            for name, scores in outside.items()
            for column in (
                f"{Path(name).name} ({len(scores.features)})",
                f"beyond {calibration.PERCENTILE} %",
            )
        ]
        title = f"AUROC against the held-out photos, and share beyond {calibration.PERCENTILE} % of them"
        table = Table("score", *columns, title=f"{title}, {DISPLAY_NAMES[variant]}")
        for name in SCORES:
            of_inside = inside.values(name, training)
            limit = np.percentile(of_inside, calibration.PERCENTILE)
            cells = []
            for scores in outside.values():
                values = scores.values(name, training)
                area = out_of_distribution.auroc(of_inside, values)
                cells += [f"{area:.3f}", f"{np.mean(values > limit):.1%}"]
            table.add_row(name, *cells)
        wide.print(table)


def _photos_of(folder: Path) -> list[Path]:
    """The JPEG files of a folder in the order of their names; labels may lie beside them."""
    if not folder.is_dir():
        raise CommandError(f"There is no folder {folder}.")
    files = [file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg")]
    photos = sorted(file for file in files if not is_system_file(file.name))
    if not photos:
        raise CommandError(f"{folder} has no photos NAME.jpg.")
    return photos
