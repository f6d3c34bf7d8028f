"""Measurements that take longer than a test. `make benchmarks` prints the summary that docs/verification.md
records.

All sections take about fifty minutes on two cores; the soak takes thirty of them. Sections can be selected by
name, as in ``python -m benchmarks.report folder ray``. Sections that need the real pairs are skipped if
data/cityscapes-image-pairs does not exist.
"""

import io
import json
import math
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

from benchmarks import soak, training_step
from seg.data import cityscapes, label_decoder, preprocess, scenes
from seg.data.datasets import load_split
from seg.data.isolated_reading import IsolatedReader
from seg.data.pairs import PAIR_ASPECT, SIDE
from seg.data.statistics import class_shares
from seg.evaluation import evaluate, metrics
from seg.inference import prediction_files
from seg.inference.directory import Pipeline, PredictSettings, metadata, pending_jobs
from seg.inference.job_plan import plan_jobs
from seg.inference.postprocess import to_mask
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.models.registry import DEFAULT_WEIGHTS, load_weights, read_card
from tests.support.pair_labels import as_pair_label
from tests.support.visitor import Visitor, crowd, jpeg, start_server

ROOT = Path(__file__).parents[1]

REAL = ROOT / "data" / "cityscapes-image-pairs"


def rows(*columns) -> None:
    for row in zip(*columns, strict=True):
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def decoder_on_scenes(count: int = 60) -> None:
    """Decode labels that were colored, resized and compressed like the pairs, and compare them with the
    exact maps."""
    correct_count = decoded_count = labeled_count = 0
    true_by_class, decoded_by_class = np.zeros(19), np.zeros(19)
    for seed in range(5000, 5000 + count):
        exact = scenes.render_scene(seed).label
        truth, decoded = (
            cityscapes.downsample_majority(exact, SIDE),
            label_decoder.decode(as_pair_label(exact)),
        )
        labeled, decided = (
            truth != cityscapes.IGNORE,
            (truth != cityscapes.IGNORE) & (decoded != cityscapes.IGNORE),
        )
        labeled_count, decoded_count, correct_count = (
            labeled_count + labeled.sum(),
            decoded_count + decided.sum(),
            correct_count + (decoded == truth)[decided].sum(),
        )
        true_by_class += np.bincount(truth[labeled], minlength=19)
        decoded_by_class += np.bincount(decoded[decoded != cityscapes.IGNORE], minlength=19)[:19]
    print(f"## Decoder {label_decoder.DECODER_VERSION} on {count} rendered scenes\n")
    print(f"Right, of the pixels that it keeps: {correct_count / decoded_count:.2%}.")
    print(f"Ignored, of the pixels that have a class: {1 - decoded_count / labeled_count:.2%}.\n")
    print("| class | share of pixels | area decoded / true |\n|---|---|---|")
    rows(
        cityscapes.NAMES,
        [f"{t / labeled_count:.2%}" for t in true_by_class],
        [f"{f / max(t, 1):.3f}" for f, t in zip(decoded_by_class, true_by_class, strict=True)],
    )


def decoder_on_pairs() -> None:
    split = load_split(REAL, "train")
    shares, ignored = class_shares(split.labels)
    print(f"\n## Decoder {label_decoder.DECODER_VERSION} on the {len(split)} real pairs of train\n")
    print(f"Ignored: {ignored:.2%} of all pixels.\n")
    print("| class | share of the pixels that have one | ratio to the official labels |\n|---|---|---|")
    ratios = [f"{s / o:.2f}" for s, o in zip(shares, cityscapes.CITYSCAPES_CLASS_FREQUENCIES, strict=True)]
    rows(cityscapes.NAMES, [f"{s:.3%}" for s in shares], ratios)


def weights_on(data: Path, title: str) -> None:
    predictor, split = Predictor.from_pretrained(DEFAULT_WEIGHTS), load_split(data, "val")
    counts = evaluate.accumulate(predictor, split, predictor.model.variants, range(len(split)))
    print(f"\n## {DEFAULT_WEIGHTS} on {len(split)} {title}\n")
    print("| | pixels | pixel accuracy | mean accuracy | mean IoU |\n|---|---|---|---|---|")
    for variant, of_variant in counts.items():
        report = evaluate.report(of_variant)
        sets = {"unambiguous": report} | {
            name: report[key] for key, name in evaluate.LABEL_SETS.items() if key in report
        }
        for pixels, scores in sets.items():
            print(
                f"| {DISPLAY_NAMES[variant]} | {pixels} | {scores['pixel_accuracy']:.4f} |"
                f" {scores['mean_accuracy']:.4f} | {scores['mean_iou']:.4f} |"
            )


def runs_killed_at_random(folder: Path, kills: int = 10) -> None:
    """Compare a run that is killed at random moments and resumed with an uninterrupted run."""
    scenes.write_pairs(folder / "pairs", 14, 3, seed=1)
    options = (
        f"--data {folder / 'pairs'} --encoder-weights none --epochs 30 --batch-size 2 --height 32 --holdout 4"
        " --warmup 3"
    )
    options += " --checkpoint-every 3 --device cpu --again"  # the second run has the settings of the first
    begin = [sys.executable, "-m", "seg", "train", *options.split(), "--out"]
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL}
    subprocess.run([*begin, str(folder / "whole")], check=True, **quiet)
    dice, killed, command = random.Random(0), 0, [*begin, str(folder / "killed")]
    while not (folder / "killed" / "model.safetensors").exists():
        process = subprocess.Popen(command, **quiet)
        try:
            assert process.wait(dice.uniform(4, 9) if killed < kills else None) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        if (folder / "killed" / "config.json").exists():
            command = [sys.executable, "-m", "seg", "train", "--resume", str(folder / "killed")]
    uninterrupted, resumed = (load_file(folder / name / "model.safetensors") for name in ("whole", "killed"))
    differing = [key for key in uninterrupted if not torch.equal(uninterrupted[key], resumed[key])]
    print("\n## A run killed at random moments\n")
    print(
        f"Killed {killed} times and resumed: {len(differing)} of {len(uninterrupted)} tensors differ from the"
        " unbroken run's."
    )


def photos_of_scenes(folder: Path, count: int, width: int) -> list[Path]:
    folder.mkdir()
    for seed in range(count):
        Image.fromarray(scenes.render_scene(seed, width, width // 2).photo).save(
            folder / f"{seed}.jpg", quality=92
        )
    return [folder]


def folder_beside_its_parts(at: Path, count: int = 16, rounds: int = 5) -> None:
    """Compare the pipeline with decode, model and write in sequence, in alternating rounds, in photos per
    second."""
    settings, predictor = settings_of(None), Predictor.from_pretrained(DEFAULT_WEIGHTS)
    apart, piped = [], []
    with Pipeline(os.cpu_count()) as pipeline:
        jobs = plan_jobs(photos_of_scenes(at / "photos", count, 2048), at / "masks").jobs
        predictor.predict(Path(jobs[0].source))  # the first prediction is slower
        for _ in range(rounds):
            took = np.zeros(3)
            for job in jobs:
                photo, _, decode = prediction_files.read(job.source)
                began = time.perf_counter()
                prediction = predictor.predict(photo, settings.variants, settings.working_height)
                model = time.perf_counter() - began
                took += (
                    decode,
                    model,
                    prediction_files.write(
                        job.target, prediction.masks, metadata(prediction, settings.digest, "", False)
                    ),
                )
            apart.append(took / count)
            began = time.perf_counter()
            assert not any(outcome.error for outcome in pipeline.run(jobs, predictor, settings))
            piped.append((time.perf_counter() - began) / count)
    ratios = sorted(took.sum() / together for took, together in zip(apart, piped, strict=True))
    print(f"\n## A folder of {count} photos of 2048x1024 on {predictor.device}, {rounds} rounds\n")
    print(
        "| seconds a photo, median | decode | model | write | one after the other | pipeline"
        " |\n|---|---|---|---|---|---|"
    )
    cells = [*np.median(apart, 0), np.median(np.sum(apart, 1)), np.median(piped)]
    print(f"| | {' | '.join(f'{cell:.3f}' for cell in cells)} |\n")
    print(
        f"Throughput of the pipeline by that of the parts in the same round: {np.median(ratios):.2f}, ",
        end="",
    )
    print(f"from {ratios[0]:.2f} to {ratios[-1]:.2f}.")


def many_names(at: Path, count: int = 100_000) -> None:
    """Measure listing, and the search for finished photos, in a folder with very many files."""
    settings = settings_of(None)
    height, width = preprocess.working_size(2, 1, settings.working_height, settings.resize_mode)
    record = {"weights_sha256": settings.digest, "best_quality": False, "width": 2, "height": 1}
    record |= {
        "working_size": {"width": width, "height": height},
        "shares": dict.fromkeys(settings.variants, {}),
    }
    for name in ("photos", "masks"):
        (at / name).mkdir()
    for number in range(count):
        (at / "photos" / f"{number}.jpg").touch()
        if number % 2:  # as if it were finished
            file = {"file": prediction_files.file_fingerprint(str(at / "photos" / f"{number}.jpg"))}
            (at / "masks" / f"{number}.json").write_text(json.dumps(record | file))
            for variant in settings.variants:
                (at / "masks" / f"{number}.{variant}.png").write_bytes(b"x")
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    jobs = plan_jobs([at / "photos"], at / "masks").jobs
    listed = time.perf_counter()
    pending = pending_jobs(jobs, settings)
    looked = time.perf_counter()
    print(f"\n## A folder of {count:,} names, every other finished\n")
    print(
        f"Listed in {listed - began:.1f} s; the {len(pending):,} that are left found in"
        f" {looked - listed:.1f} s; ",
        end="",
    )
    print(f"memory grew by {(psutil.Process().memory_info().rss - before) / 1e6:.0f} MB.")


def settings_of(height: int | None) -> PredictSettings:
    card = read_card(DEFAULT_WEIGHTS)
    return PredictSettings(
        card.name, card.sha256, tuple(card.variants), height or card.working_height, card.resize_mode
    )


def ray_with_one_killed(at: Path, count: int = 40) -> None:
    """Compare the local engine with two networks on Ray, one of which is killed midway."""
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
            networks = [child for child in below if "_Network" in " ".join(child.cmdline())]
        time.sleep(0.1)
    networks[0].kill()
    finished = len(list((at / "ray").glob("*.json")))
    code = process.wait()
    local, ray = ({p.name: p for p in (at / engine).iterdir()} for engine in ("local", "ray"))
    mask_names = [name for name in local if name.endswith(".png")]
    same = sum(local[name].read_bytes() == ray[name].read_bytes() for name in mask_names if name in ray)
    print(f"\n## {count} photos on a local Ray, one of {len(networks)} workers killed after {finished}\n")
    print(
        "| engine | exit code | JSON files | masks | equal to the local engine's | other files"
        " |\n|---|---|---|---|---|---|"
    )
    for engine, ended, files, equal in (("local", 0, local, "–"), ("ray", code, ray, same)):
        facts = sum(name.endswith(".json") for name in files)
        pictures = sum(name.endswith(".png") for name in files)
        print(f"| {engine} | {ended} | {facts} | {pictures} | {equal} | {len(files) - facts - pictures} |")


def weights_on_scenes(at: Path) -> None:
    scenes.write_pairs(at / "scenes", 1, 50, seed=0)
    weights_on(at / "scenes", "rendered scenes, not trained on")


def bf16_beside_fp32(at: Path, count: int | None = None) -> None:
    """Compare folded batch-norm in both precisions with unfolded batch-norm in fp32, on photos of val."""
    if not REAL.exists():
        return
    model, card = load_weights(DEFAULT_WEIGHTS)
    cpu, split = torch.device("cpu"), load_split(REAL, "val")
    variants, classes = model.variants, len(cityscapes.CLASSES)
    ways = {"trained, fp32": Predictor(model, card.working_height, cpu, False, card.resize_mode)}
    for name, bf16 in (("folded, fp32", False), ("folded, bf16", True)):
        ways[name] = Predictor.for_inference(
            load_weights(DEFAULT_WEIGHTS)[0], card.working_height, cpu, bf16, card.resize_mode
        )
    totals = {(way, v): np.zeros((classes, classes), np.int64) for way in ways for v in variants}
    same, photos = dict.fromkeys(totals, 0), split.photos[:count]
    for photo, label in zip(photos, split.labels[:count], strict=True):
        street, exact = Image.fromarray(photo), {}
        for way, predictor in ways.items():
            for v, logits in predictor.logits(street, variants, aspect=PAIR_ASPECT).items():
                mask, _ = to_mask(logits, *label.shape)
                totals[way, v] += metrics.confusion(np.array(label), mask, classes, cityscapes.IGNORE)
                same[way, v] += (mask == exact.setdefault(v, mask)).mean()
    print(f"\n## {DEFAULT_WEIGHTS} on {len(photos)} pairs of val, by precision\n")
    print("| | | mean IoU | pixels as trained, in fp32 |\n|---|---|---|---|")
    for way, v in totals:
        print(
            f"| {way} | {DISPLAY_NAMES[v]} | {metrics.compute_metrics(totals[way, v]).mean_iou:.4f} |"
            f" {same[way, v] / len(photos):.3%} |"
        )


@torch.inference_mode()
def photos_in_batches(_: Path, height: int = 448, repeats: int = 9) -> None:
    """Measure the network time per photo by batch size, to decide whether a server should batch requests."""
    predictor, sizes = Predictor.from_pretrained(DEFAULT_WEIGHTS), (1, 2, 4)
    images = {
        n: torch.randn(n, 3, height, 2 * height).to(predictor.device, memory_format=torch.channels_last)
        for n in sizes
    }
    seconds = {n: [] for n in sizes}
    for _ in range(repeats + 1):
        for n, image in images.items():  # in turns
            began = time.perf_counter()
            with torch.autocast(predictor.device.type, torch.bfloat16, enabled=predictor.bf16):
                predictor.model.fuse_skips(predictor.model.encoder(image), predictor.model.variants)
            if predictor.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[n].append((time.perf_counter() - began) / n)
    print(f"\n## {DEFAULT_WEIGHTS} on images of {2 * height}x{height} in batches, on {predictor.device}\n")
    print("| photos in a batch | " + " | ".join(map(str, sizes)) + " |")
    print("|---" * (1 + len(sizes)) + "|")
    print(
        "| ms a photo, median | "
        + " | ".join(f"{1000 * np.median(seconds[n][1:]):.0f}" for n in sizes)
        + " |"
    )


def visitors_at_once(_: Path, visitors: int = 20) -> None:
    """Let each visitor upload one photo of each size without pauses, and compare every mask with a local
    prediction."""
    sizes = {"12 megapixels": (4000, 3000), "2 megapixels": (2048, 1024), "1 megapixel": (1280, 960)}
    uploads = [
        {f"{n}.jpg": jpeg(100 + 3 * v + n, size) for n, size in enumerate(sizes.values())}
        for v in range(visitors)
    ]
    server, url = start_server({})
    try:
        crowd(url, uploads[:1])  # loads the network, renders the samples
        alone = [
            [s.seconds for s in crowd(url, [{f"{i}.jpg": jpeg(i, size) for i in range(5)}])]
            for size in sizes.values()
        ]
        memory = psutil.Process(server.pid).memory_info
        before, peak, done = memory().rss, 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.1):
                peak = max(peak, memory().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        served = crowd(url, uploads)
        done.set()
        watcher.join()
    finally:
        server.terminate()
        server.wait(30)
    predictor, wrong = Predictor.from_pretrained(DEFAULT_WEIGHTS), 0
    for answer in served:
        expected = predictor.predict(
            uploads[answer.visitor][answer.name], output_size=next(iter(answer.masks.values())).shape
        ).masks
        wrong += answer.masks.keys() != expected.keys() or any(
            (answer.masks[v] != mask).any() for v, mask in expected.items()
        )
    seconds = [answer.seconds for answer in served]
    took = max(answer.began + answer.seconds for answer in served) - min(answer.began for answer in served)
    print(f"\n## {visitors} visitors at once, each by a websocket, on {predictor.device}\n")
    medians = ", ".join(
        f"{np.median(of):.2f} s for {size_name}" for size_name, of in zip(sizes, alone, strict=True)
    )
    print(f"One visitor alone, from the upload's beginning to the three masks, medians: {medians}.\n")
    print("| photos | wrong | photos a second | median wait | 95th percentile | memory before | peak |")
    print("|---|---|---|---|---|---|---|")
    wait, late = np.percentile(seconds, (50, 95))
    timing_cells = (
        f"{len(served) / took:.2f} | {wait:.1f} s | {late:.1f} s | {before / 1e6:.0f} MB |"
        f" {peak / 1e6:.0f} MB"
    )
    print(f"| {len(served)} | {wrong} | {timing_cells} |")


def methods_in_memory(_: Path) -> None:
    """Measure the memory of a server with no network, with one and with all three methods loaded; display a
    sample after each step."""
    server, url = start_server({})
    held = {}
    try:
        memory = psutil.Process(server.pid).memory_info
        with Visitor(url) as visitor:
            visitor.open("scores")
            held["none"] = memory().rss
            visitor.open("", "photo=6")
            held["FCN on ResNet-50"] = memory().rss
            visitor.press("Three methods")
            held["all three"] = memory().rss
    finally:
        server.terminate()
        server.wait(30)
    print("\n## The three methods in the memory of one server\n")
    print("| networks loaded | " + " | ".join(held) + " |")
    print("|---" * (1 + len(held)) + "|")
    print("| memory | " + " | ".join(f"{value / 1e6:.0f} MB" for value in held.values()) + " |")


def photos_in_memory(_: Path) -> None:
    """Measure the peak memory of a process that reads a large photo, beyond that of a small one."""
    print("\n## Memory for reading a photo, in a process of its own\n")
    print("| photo | file | memory |\n" + "|---" * 3 + "|")
    side, large = math.isqrt(64_000_000), math.isqrt(108_000_000)
    scene = Image.fromarray(scenes.render_scene(7, 320, 160).photo)
    full_color = {"format": "JPEG", "progressive": True, "subsampling": 0}
    for name, size, options in (
        ("JPEG of 64 megapixels", side, {"format": "JPEG"}),
        ("progressive JPEG of 64 megapixels", side, full_color),
        ("AVIF of 64 megapixels", side, {"format": "AVIF", "speed": 10}),
        ("JPEG of 108 megapixels", large, {"format": "JPEG"}),
        ("progressive JPEG of 108 megapixels", large, {"format": "JPEG", "progressive": True}),
    ):
        out = io.BytesIO()
        scene.resize((size, size)).save(out, **options)
        with IsolatedReader(processes=1) as reader:
            reader.read_photo(jpeg(8, (64, 64)))
            before = _peak(psutil.Process().children()[0].pid)
            reader.read_photo(out.getvalue())
            added = _peak(psutil.Process().children()[0].pid) - before
        print(f"| {name} | {len(out.getvalue()) / 1e6:.1f} MB | {added / 1e6:.0f} MB |", flush=True)


def _peak(pid: int) -> int:
    """The largest memory that a process had, in bytes; Linux only."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


SECTIONS: dict[str, tuple[Callable, ...]] = {
    "decoder": (lambda _: decoder_on_scenes(), lambda _: REAL.exists() and decoder_on_pairs()),
    "weights": (weights_on_scenes, lambda _: REAL.exists() and weights_on(REAL, "real pairs of val")),
    "precision": (bf16_beside_fp32,),
    "kills": (runs_killed_at_random,),
    "folder": (folder_beside_its_parts, many_names),
    "ray": (ray_with_one_killed,),
    "batches": (photos_in_batches,),
    "training": (training_step.measure,),
    "visitors": (visitors_at_once,),
    "methods": (methods_in_memory,),
    "photos": (photos_in_memory,),
    "soak": (lambda _: soak.report(30),),
}


def main() -> None:
    began = time.monotonic()
    print("# Output of `make benchmarks`\n")
    for name in sys.argv[1:] or SECTIONS:
        for section in SECTIONS[name]:
            with tempfile.TemporaryDirectory() as folder:
                section(Path(folder))
    print(f"\nTook {(time.monotonic() - began) / 60:.0f} minutes.")


if __name__ == "__main__":
    main()
