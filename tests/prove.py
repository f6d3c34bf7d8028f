"""What takes longer than a test should: `make prove` prints the summary that docs/prove.md keeps.

Takes some ten minutes on two cores. What needs the real pairs is left out where data/cityscapes-image-pairs is not there.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from test_labels import as_pair_label  # noqa: E402

from seg import dataset, evaluate, labels, scenes, weights  # noqa: E402
from seg.networks import TITLES  # noqa: E402
from seg.predict import Predictor  # noqa: E402

REAL = ROOT / "data" / "cityscapes-image-pairs"


def rows(*columns) -> None:
    for row in zip(*columns, strict=True):
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def decoder_on_scenes(count: int = 60) -> None:
    """Exact maps -> colours, shrunk and compressed as the pairs are -> decoded."""
    right = kept = known = 0
    true, found = np.zeros(19), np.zeros(19)
    for seed in range(5000, 5000 + count):
        exact = scenes.render(seed).label
        truth, decoded = labels.majority(exact, dataset.SIDE), labels.decode(as_pair_label(exact))
        has, sure = truth != labels.IGNORE, (truth != labels.IGNORE) & (decoded != labels.IGNORE)
        known, kept, right = known + has.sum(), kept + sure.sum(), right + (decoded == truth)[sure].sum()
        true += np.bincount(truth[has], minlength=19)
        found += np.bincount(decoded[decoded != labels.IGNORE], minlength=19)[:19]
    print(f"## Decoder {labels.DECODER_VERSION} on {count} rendered scenes\n")
    print(f"Right, of the pixels that it keeps: {right / kept:.2%}.")
    print(f"Ignored, of the pixels that have a class: {1 - kept / known:.2%}.\n")
    print("| class | share of pixels | area decoded / true |\n|---|---|---|")
    rows(labels.NAMES, [f"{t / known:.2%}" for t in true], [f"{f / max(t, 1):.3f}" for f, t in zip(found, true, strict=True)])


def decoder_on_pairs() -> None:
    split = dataset.load(REAL, "train")
    shares, ignored = dataset.class_shares(split.labels)
    print(f"\n## Decoder {labels.DECODER_VERSION} on the {len(split)} real pairs of train\n")
    print(f"Ignored: {ignored:.2%} of all pixels.\n")
    print("| class | share of the pixels that have one | ratio to the official labels |\n|---|---|---|")
    ratios = [f"{s / o:.2f}" for s, o in zip(shares, labels.OFFICIAL_SHARES, strict=True)]
    rows(labels.NAMES, [f"{s:.3%}" for s in shares], ratios)


def weights_on(data: Path, title: str) -> None:
    predictor, split = Predictor.of(weights.DEFAULT), dataset.load(data, "val")
    found = evaluate.confusions(predictor, split, predictor.model.variants, range(len(split)))
    print(f"\n## {weights.DEFAULT} on {len(split)} {title}\n\n| | pixel accuracy | mean accuracy | mean IoU |\n|---|---|---|---|")
    for variant, confusion in found.items():
        told = evaluate.summary(confusion)
        print(f"| {TITLES[variant]} | {told['pixel_accuracy']:.4f} | {told['mean_accuracy']:.4f} | {told['mean_iou']:.4f} |")


def runs_killed_at_random(folder: Path, kills: int = 10) -> None:
    """One run killed again and again at random moments, against one left alone."""
    scenes.write_pairs(folder / "pairs", 14, 3, seed=1)
    options = f"--data {folder / 'pairs'} --encoder-weights none --epochs 30 --batch-size 2 --height 32 --holdout 4 --warmup 3"
    options += " --checkpoint-every 3 --device cpu --again"  # the second run is the recipe of the first
    begin = [sys.executable, "-m", "seg", "train", *options.split(), "--out"]
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL}
    subprocess.run([*begin, str(folder / "whole")], check=True, **quiet)
    dice, killed, words = random.Random(0), 0, [*begin, str(folder / "killed")]
    while not (folder / "killed" / "model.safetensors").exists():
        process = subprocess.Popen(words, **quiet)
        try:
            assert process.wait(dice.uniform(4, 9) if killed < kills else None) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        if (folder / "killed" / "config.json").exists():
            words = [sys.executable, "-m", "seg", "train", "--resume", str(folder / "killed")]
    one, other = (load_file(folder / name / "model.safetensors") for name in ("whole", "killed"))
    differing = [key for key in one if not torch.equal(one[key], other[key])]
    print("\n## A run killed at random moments\n")
    print(f"Killed {killed} times and resumed: {len(differing)} of {len(one)} tensors differ from the unbroken run's.")


def main() -> None:
    began = time.monotonic()
    print("# What `make prove` printed\n")
    decoder_on_scenes()
    if REAL.exists():
        decoder_on_pairs()
    with tempfile.TemporaryDirectory() as folder:
        scenes.write_pairs(Path(folder) / "scenes", 1, 50, seed=0)
        weights_on(Path(folder) / "scenes", "rendered scenes, not trained on")
        if REAL.exists():
            weights_on(REAL, "real pairs of val")
        runs_killed_at_random(Path(folder))
    print(f"\nTook {(time.monotonic() - began) / 60:.0f} minutes.")


if __name__ == "__main__":
    main()
