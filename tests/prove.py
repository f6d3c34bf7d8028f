"""What takes longer than a test should: `make prove` prints the summary that docs/prove.md keeps.

Takes some fifty minutes on two cores, thirty of them the soak; sections can be named, as in ``python tests/prove.py folder ray``.
What needs the real pairs is left out where data/cityscapes-image-pairs is not there.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import soak  # noqa: E402
from test_labels import as_pair_label  # noqa: E402
from visitor import crowd, jpeg, start_server  # noqa: E402

from seg import dataset, evaluate, labels, metrics, preprocess, results, scenes, weights  # noqa: E402
from seg.folder import Pipeline, Settings, facts, plan, unfinished  # noqa: E402
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


def photos_of_scenes(folder: Path, count: int, width: int) -> list[Path]:
    folder.mkdir()
    for seed in range(count):
        Image.fromarray(scenes.render(seed, width, width // 2).photo).save(folder / f"{seed}.jpg", quality=92)
    return [folder]


def folder_beside_its_parts(at: Path, count: int = 16, rounds: int = 5) -> None:
    """Photos a second of the pipeline, against decode, model and write one after the other, in turns."""
    settings, predictor = settings_of(None), Predictor.of(weights.DEFAULT)
    apart, piped = [], []
    with Pipeline(os.cpu_count()) as pipeline:
        jobs, _ = plan(photos_of_scenes(at / "photos", count, 2048), at / "masks")
        predictor.predict(Path(jobs[0].source))  # the first is slower
        for _ in range(rounds):
            took = np.zeros(3)
            for job in jobs:
                photo, _, decode = results.read(job.source)
                began = time.perf_counter()
                found = predictor.predict(photo, settings.variants, settings.working_height)
                model = time.perf_counter() - began
                took += decode, model, results.write(job.target, found.masks, facts(found, settings.digest, "", False))
            apart.append(took / count)
            began = time.perf_counter()
            assert not any(outcome.error for outcome in pipeline.run(jobs, predictor, settings))
            piped.append((time.perf_counter() - began) / count)
    ratios = sorted(took.sum() / together for took, together in zip(apart, piped, strict=True))
    print(f"\n## A folder of {count} photos of 2048x1024 on {predictor.device}, {rounds} rounds\n")
    print("| seconds a photo, median | decode | model | write | one after the other | pipeline |\n|---|---|---|---|---|---|")
    cells = [*np.median(apart, 0), np.median(np.sum(apart, 1)), np.median(piped)]
    print(f"| | {' | '.join(f'{cell:.3f}' for cell in cells)} |\n")
    print(f"Throughput of the pipeline by that of the parts in the same round: {np.median(ratios):.2f}, ", end="")
    print(f"from {ratios[0]:.2f} to {ratios[-1]:.2f}.")


def many_names(at: Path, count: int = 100_000) -> None:
    """What listing, and looking for finished photos, take where there are very many."""
    settings = settings_of(None)
    height, width = preprocess.working_size(2, 1, settings.working_height, settings.rule)
    said = {"weights_sha256": settings.digest, "best_quality": False, "width": 2, "height": 1}
    said |= {"working_size": {"width": width, "height": height}, "shares": dict.fromkeys(settings.variants, {})}
    for name in ("photos", "masks"):
        (at / name).mkdir()
    for number in range(count):
        (at / "photos" / f"{number}.jpg").touch()
        if number % 2:  # as if it had been done
            file = {"file": results.stamp(str(at / "photos" / f"{number}.jpg"))}
            (at / "masks" / f"{number}.json").write_text(json.dumps(said | file))
            for variant in settings.variants:
                (at / "masks" / f"{number}.{variant}.png").write_bytes(b"x")
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    jobs, _ = plan([at / "photos"], at / "masks")
    listed = time.perf_counter()
    left = unfinished(jobs, settings)
    looked = time.perf_counter()
    print(f"\n## A folder of {count:,} names, every other finished\n")
    print(f"Listed in {listed - began:.1f} s; the {len(left):,} that are left found in {looked - listed:.1f} s; ", end="")
    print(f"memory grew by {(psutil.Process().memory_info().rss - before) / 1e6:.0f} MB.")


def settings_of(height: int | None) -> Settings:
    card = weights.read_card(weights.DEFAULT)
    return Settings(card.name, card.sha256, tuple(card.variants), height or card.working_height, card.working_rule)


def ray_with_one_killed(at: Path, count: int = 40) -> None:
    """The same photos by the local engine, and by two networks on a Ray of which one is killed midway."""
    photos_of_scenes(at / "photos", count, 1024)
    begin = [sys.executable, "-m", "seg", "predict", str(at / "photos"), "--height", "192", "--out"]
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL}
    subprocess.run([*begin, str(at / "local")], check=True, **quiet)
    process = subprocess.Popen([*begin, str(at / "ray"), "--engine", "ray", "--networks", "2"], **quiet)
    networks: list[psutil.Process] = []
    while len(networks) < 2 or len(list((at / "ray").glob("*.json"))) < count // 4:
        assert process.poll() is None, "it ended before a worker could be killed; its message is above"
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(process.pid).children(recursive=True)
            networks = [one for one in below if "_Network" in " ".join(one.cmdline())]
        time.sleep(0.1)
    networks[0].kill()
    finished = len(list((at / "ray").glob("*.json")))
    code = process.wait()
    local, ray = ({p.name: p for p in (at / engine).iterdir()} for engine in ("local", "ray"))
    shown = [name for name in local if name.endswith(".png")]
    same = sum(local[name].read_bytes() == ray[name].read_bytes() for name in shown if name in ray)
    print(f"\n## {count} photos on a local Ray, one of {len(networks)} workers killed after {finished}\n")
    print("| engine | exit code | JSON files | masks | equal to the local engine's | other files |\n|---|---|---|---|---|---|")
    for engine, ended, found, equal in (("local", 0, local, "–"), ("ray", code, ray, same)):
        facts = sum(name.endswith(".json") for name in found)
        pictures = sum(name.endswith(".png") for name in found)
        print(f"| {engine} | {ended} | {facts} | {pictures} | {equal} | {len(found) - facts - pictures} |")


def weights_on_scenes(at: Path) -> None:
    scenes.write_pairs(at / "scenes", 1, 50, seed=0)
    weights_on(at / "scenes", "rendered scenes, not trained on")


def bf16_beside_fp32(at: Path, count: int | None = None) -> None:
    """The same photos of val with batch-norm folded, in both precisions, beside fp32 with batch-norm as it was trained."""
    if not REAL.exists():
        return
    model, card = weights.load(weights.DEFAULT)
    cpu, split = torch.device("cpu"), dataset.load(REAL, "val")
    variants, classes = model.variants, len(labels.CLASSES)
    ways = {"trained, fp32": Predictor(model, card.working_height, cpu, False, card.working_rule)}
    for name, bf16 in (("folded, fp32", False), ("folded, bf16", True)):
        ways[name] = Predictor.folded(weights.load(weights.DEFAULT)[0], card.working_height, cpu, bf16, card.working_rule)
    totals = {(way, v): np.zeros((classes, classes), np.int64) for way in ways for v in variants}
    same, photos = dict.fromkeys(totals, 0), split.photos[:count]
    for photo, label in zip(photos, split.labels[:count], strict=True):
        street, exact = preprocess.unsquash(Image.fromarray(photo)), {}
        for way, predictor in ways.items():
            for v, logits in predictor.logits(street, variants).items():
                mask, _ = preprocess.to_mask(logits, *label.shape)
                totals[way, v] += metrics.confusion(np.array(label), mask, classes, labels.IGNORE)
                same[way, v] += (mask == exact.setdefault(v, mask)).mean()
    print(f"\n## {weights.DEFAULT} on {len(photos)} pairs of val, by precision\n")
    print("| | | mean IoU | pixels as trained, in fp32 |\n|---|---|---|---|")
    for way, v in totals:
        print(f"| {way} | {TITLES[v]} | {metrics.scores(totals[way, v]).mean_iou:.4f} | {same[way, v] / len(photos):.3%} |")


@torch.inference_mode()
def photos_in_batches(_: Path, height: int = 448, repeats: int = 9) -> None:
    """Whether a server should wait for photos to come together: the time of the network, a photo, by the number in a batch."""
    predictor, sizes = Predictor.of(weights.DEFAULT), (1, 2, 4)
    images = {n: torch.randn(n, 3, height, 2 * height).to(predictor.device, memory_format=torch.channels_last) for n in sizes}
    seconds = {n: [] for n in sizes}
    for _ in range(repeats + 1):
        for n, image in images.items():  # in turns
            began = time.perf_counter()
            with torch.autocast(predictor.device.type, torch.bfloat16, enabled=predictor.bf16):
                predictor.model.fuse(predictor.model.encoder(image), predictor.model.variants)
            if predictor.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[n].append((time.perf_counter() - began) / n)
    print(f"\n## {weights.DEFAULT} on images of {2 * height}x{height} in batches, on {predictor.device}\n")
    print("| photos in a batch | " + " | ".join(map(str, sizes)) + " |")
    print("|---" * (1 + len(sizes)) + "|")
    print("| ms a photo, median | " + " | ".join(f"{1000 * np.median(seconds[n][1:]):.0f}" for n in sizes) + " |")


def visitors_at_once(_: Path, visitors: int = 20) -> None:
    """Each uploads one photo of each size, with no pause between them; every mask is compared with the one predicted here."""
    sizes = {"12 megapixels": (4000, 3000), "2 megapixels": (2048, 1024), "1 megapixel": (1280, 960)}
    given = [{f"{n}.jpg": jpeg(100 + 3 * v + n, size) for n, size in enumerate(sizes.values())} for v in range(visitors)]
    server, url = start_server({})
    try:
        crowd(url, given[:1])  # loads the network, renders the samples
        alone = [[s.seconds for s in crowd(url, [{f"{i}.jpg": jpeg(i, size) for i in range(5)}])] for size in sizes.values()]
        memory = psutil.Process(server.pid).memory_info
        before, peak, done = memory().rss, 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.1):
                peak = max(peak, memory().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        served = crowd(url, given)
        done.set()
        watcher.join()
    finally:
        server.terminate()
        server.wait(30)
    predictor, wrong = Predictor.of(weights.DEFAULT), 0
    for one in served:
        wanted = predictor.predict(given[one.visitor][one.name], seen_at=next(iter(one.masks.values())).shape).masks
        wrong += one.masks.keys() != wanted.keys() or any((one.masks[v] != mask).any() for v, mask in wanted.items())
    seconds = [one.seconds for one in served]
    took = max(one.began + one.seconds for one in served) - min(one.began for one in served)
    print(f"\n## {visitors} visitors at once, each by a websocket, on {predictor.device}\n")
    medians = ", ".join(f"{np.median(of):.2f} s for {what}" for what, of in zip(sizes, alone, strict=True))
    print(f"One visitor alone, from the upload's beginning to the three masks, medians: {medians}.\n")
    print("| photos | wrong | photos a second | median wait | 95th percentile | memory before | peak |")
    print("|---|---|---|---|---|---|---|")
    wait, late = np.percentile(seconds, (50, 95))
    told = f"{len(served) / took:.2f} | {wait:.1f} s | {late:.1f} s | {before / 1e6:.0f} MB | {peak / 1e6:.0f} MB"
    print(f"| {len(served)} | {wrong} | {told} |")


SECTIONS: dict[str, tuple[Callable, ...]] = {
    "decoder": (lambda _: decoder_on_scenes(), lambda _: REAL.exists() and decoder_on_pairs()),
    "weights": (weights_on_scenes, lambda _: REAL.exists() and weights_on(REAL, "real pairs of val")),
    "precision": (bf16_beside_fp32,),
    "kills": (runs_killed_at_random,),
    "folder": (folder_beside_its_parts, many_names),
    "ray": (ray_with_one_killed,),
    "batches": (photos_in_batches,),
    "visitors": (visitors_at_once,),
    "soak": (lambda _: soak.report(30),),
}


def main() -> None:
    began = time.monotonic()
    print("# What `make prove` printed\n")
    for name in sys.argv[1:] or SECTIONS:
        for section in SECTIONS[name]:
            with tempfile.TemporaryDirectory() as folder:
                section(Path(folder))
    print(f"\nTook {(time.monotonic() - began) / 60:.0f} minutes.")


if __name__ == "__main__":
    main()
