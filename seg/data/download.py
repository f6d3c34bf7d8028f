"""Download of the Cityscapes Image Pairs from Kaggle."""

import os
import shutil
import tempfile
from pathlib import Path

from seg.data.pairs import SPLITS, DatasetError, content_hash, find_pairs
from seg.system.folders import vacate

KAGGLE_DATASET = "dansbecker/cityscapes-image-pairs"
VERSION = 1

DIGESTS = {
    "train": "fac5a9f1b76e3694a5e873510c72a4ad8ef58e487baf8190c47173125e88f824",
    "val": "b376f9bd3d50d8ec1c709f94184522530cdcc91f75e4688106ef0aee1e79086f",
}
"""`content_hash` of the splits. The cards of the published weights contain that of train."""


def download(to: Path) -> Path:
    """Download the data set and move its splits to a folder.

    Args:
        to: the folder; it must be empty or missing.

    Returns:
        The folder.

    Raises:
        DatasetError: if the folder is not empty, the download fails, or its content is not that of `DIGESTS`;
            the message says how to download manually.
    """
    instructions = (
        f"Download https://www.kaggle.com/datasets/{KAGGLE_DATASET} in a browser "
        f"and unpack it so that {to}/train/1.jpg exists."
    )
    if not vacate(to):
        raise DatasetError(f"{to} is not empty; nothing was downloaded. Choose another folder with --to.")
    import kagglehub  # slow to import

    try:
        downloaded = Path(kagglehub.dataset_download(f"{KAGGLE_DATASET}/versions/{VERSION}"))
    except (
        Exception
    ) as error:  # the client raises many unrelated types: no network, no account, no such version
        reason = type(error).__name__
        raise DatasetError(f"Kaggle could not be reached or refused ({reason}). {instructions}") from error
    root = next((p.parent for p in sorted(downloaded.rglob("train")) if (p.parent / "val").is_dir()), None)
    if root is None:
        raise DatasetError(f"The download from Kaggle has no train and val folders. {instructions}")
    for split, digest in DIGESTS.items():
        if content_hash(find_pairs(root, split)) != digest:
            raise DatasetError(
                "The download is not the data set with which the weights were trained: the content of"
                f" {split} differs. Nothing was kept. {instructions}"
            )
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".fetch-") as temp_dir:
        for split in SPLITS:
            shutil.copytree(root / split, Path(temp_dir) / "set" / split)
        if to.exists():
            to.rmdir()
        os.replace(Path(temp_dir) / "set", to)
    return to
