"""Download of the Cityscapes Image Pairs from Kaggle."""

import os
import shutil
import tempfile
from pathlib import Path

from seg.data.pairs import SPLITS, DatasetError
from seg.system.folders import vacate

KAGGLE_DATASET = "dansbecker/cityscapes-image-pairs"


def download(to: Path) -> Path:
    """Download the data set and move its splits to a folder.

    Args:
        to: the folder; it must be empty or missing.

    Returns:
        The folder.

    Raises:
        DatasetError: if the folder is not empty or the download fails; the message says how to download
            manually.
    """
    instructions = (
        f"Download https://www.kaggle.com/datasets/{KAGGLE_DATASET} in a browser "
        f"and unpack it so that {to}/train/1.jpg exists."
    )
    if not vacate(to):
        raise DatasetError(f"{to} is not empty; nothing was downloaded. Choose another folder with --to.")
    import kagglehub  # slow to import

    try:
        downloaded = Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except (
        Exception
    ) as error:  # the client raises many unrelated types: no network, no account, no such version
        reason = type(error).__name__
        raise DatasetError(f"Kaggle could not be reached or refused ({reason}). {instructions}") from error
    root = next((p.parent for p in sorted(downloaded.rglob("train")) if (p.parent / "val").is_dir()), None)
    if root is None:
        raise DatasetError(f"The download from Kaggle has no train and val folders. {instructions}")
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".fetch-") as temp_dir:
        for split in SPLITS:
            shutil.copytree(root / split, Path(temp_dir) / "set" / split)
        if to.exists():
            to.rmdir()
        os.replace(Path(temp_dir) / "set", to)
    return to
