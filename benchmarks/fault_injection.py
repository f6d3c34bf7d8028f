"""Produce real faults around the program and print how it responds; docs/verification.md records the output.

Faults can be selected by name, as in ``python -m benchmarks.fault_injection network port``. The program exits
with code 1 if a response is wrong.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from seg.data import scenes
from seg.models.model_card import WeightsError
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, WEIGHTS_FILE, verify_weights
from seg.training.run import Run
from tests.support.visitor import Visitor, jpeg, start_server, unpacked

ROOT = Path(__file__).parents[1]

TRAIN = (
    "train --epochs 1 --batch-size 2 --height 32 --holdout 2 --device cpu --again --data pairs"
    " --encoder-weights none".split()
)
PUBLISH = "publish trained --height 32 --name".split()
PREDICT = "predict photos --height 96 --variants 8s --workers 1 --out".split()

SIX = "Try six rendered streets"
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
SEG = "from seg.cli.main import main; main()"
STREAMLIT = "from streamlit.web.cli import main; main()"
FULL_GPU = """
import torch
from seg.inference import predictor
gpu, forward = torch.device("cpu", 0), predictor.Predictor.forward  # the CPU to PyTorch, not to seg
def full(self, *args):
    if self.device == gpu:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return forward(self, *args)
predictor.Predictor.forward, predictor.pick_device = full, lambda name: gpu
"""
FULL_MEMORY = """
from seg.inference import predictor
def full(*args):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
predictor.Predictor.forward = full
"""
FULL_STEP = """
import torch
from seg.training.trainer import Trainer
train_step = Trainer.train_step
def full(self):
    if self.step == 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return train_step(self)
Trainer.train_step = full
"""


class NotHereError(RuntimeError):
    """A fault that cannot be produced on this machine or by this user."""


@dataclass(frozen=True)
class Row:
    """A fault: the action, its output, and the texts that the output must contain."""

    fault: str
    action: str
    output: str
    expected: tuple[str, ...] = ()

    @property
    def wrong(self) -> list[str]:
        """Forbidden texts in the output, and expected texts that are missing."""
        raw = [word for word in ("Traceback", "[Errno", "Error:") if word in self.output]
        lacking = [word for word in self.expected if word not in self.output]
        return [f"{self.action}: {word} was seen" for word in raw] + [
            f"{self.action}: {word} was not seen" for word in lacking
        ]


class Place:
    """A folder with pairs, photos, a finished run, and a registry of two networks, one of them named mine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        scenes.write_pairs(folder / "pairs", 6, 1, seed=1)
        (folder / "photos").mkdir()
        for seed in range(3):
            (folder / "photos" / f"{seed}.jpg").write_bytes(jpeg(seed, (320, 160)))
        self.registry("weights")
        trained = self.seg(*TRAIN, "--out", "trained")
        assert "exit 0" in trained, trained

    def registry(self, name: str) -> Path:
        """A separate registry with the two networks."""
        for weights_name in (DEFAULT_WEIGHTS, "mine"):
            shutil.copytree(ROOT / "weights" / DEFAULT_WEIGHTS, self.folder / name / weights_name)
        card = self.folder / name / "mine" / CARD_FILE
        card.write_text(json.dumps(json.loads(card.read_text()) | {"name": "mine"}))
        return self.folder / name

    def environment(self, **more: str) -> dict[str, str]:
        """Environment variables that keep all data of the program in this folder."""
        own = {
            f"SEG_{name.upper()}": str(self.folder / name) for name in ("weights", "cache", "runs", "data")
        }
        return (
            os.environ | own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SEG_TRAINING": "on"} | more
        )

    def start(
        self, *arguments: str, code: str = "", before: Sequence[str] = (), **more: str
    ) -> subprocess.Popen:
        """Starts ``python -m seg`` with these arguments, after `code` if there is any."""
        program = [sys.executable, *(["-c", code + SEG] if code else ["-m", "seg"]), *arguments]
        return subprocess.Popen([*before, *program], cwd=self.folder, env=self.environment(**more), **PIPES)

    def outcome(self, process: subprocess.Popen) -> str:
        """The result of a process: its exit code, and the sentences that it printed."""
        lines = "".join(text or "" for text in process.communicate(timeout=300)).splitlines()
        sentences = [
            line
            for line in lines
            if re.search(r"Traceback|^(error|published|\S+ \S+ Port)|\.$| photos are done", line)
        ]
        summary = (
            " ".join(re.sub(r"^error |^[\d-]+ [\d:.]+ ", "", line).strip() for line in sentences)
            or "not a word."
        )
        return f"exit {process.returncode}: {summary}".replace(f"{self.folder}/", "")

    def seg(self, *arguments: str, **how: str) -> str:
        """Runs ``python -m seg`` -> its result."""
        return self.outcome(self.start(*arguments, **how))

    @contextmanager
    def app(self, code: str = "", **more: str) -> Iterator[str]:
        """Runs the app in a separate server process, after `code` -> its address."""
        process, address = start_server(
            self.environment(**more), streamlit=("-c", code + STREAMLIT) if code else ("-m", "streamlit")
        )
        try:
            yield address
        finally:
            process.terminate()
            process.wait(60)

    def page_text(self, visitor: Visitor) -> str:
        """The messages on a visitor's page, and the number of masks in its viewer."""
        messages = [
            re.sub(r"\\(.)", r"\1", alert.body).replace(f"{self.folder}/", "")
            for alert in visitor.of("alert")
        ]
        messages += [f"Traceback: {error.message}" for error in visitor.of("exception")]
        masks = sum(
            pane["kind"] == "mask"
            for viewer in visitor.of("bidi_component")
            for pane in unpacked(viewer.bytes)["panes"]
        )
        return " ".join(messages + [f"{masks} masks are shown."] * bool(masks)) or "not a word"

    def visit(self, address: str, page: str = "", query: str = "", press: str = "") -> str:
        """Opens a page in a new session -> its messages; after a button press, only the new ones."""
        with Visitor(address) as visitor:
            visitor.open(page, query)
            before = self.page_text(visitor)
            if not press:
                return before
            visitor.press(press)
            return self.page_text(visitor).removeprefix(before).strip()

    @contextmanager
    def disk(self, name: str, megabytes: float) -> Iterator[Path]:
        """A small disk. Raises `NotHereError` if this user cannot mount one."""
        folder = self.folder / name
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={round(1024 * megabytes)}k", "none", folder],
            capture_output=True,
        )
        if mounted.returncode:
            raise NotHereError("only root can mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    @contextmanager
    def read_only(self, name: str) -> Iterator[Path]:
        """A read-only folder: a read-only mount, or its permissions if this user may not mount."""
        if os.geteuid():
            (self.folder / name).mkdir(mode=0o555)
            yield self.folder / name
            return
        with self.disk(name, 1) as folder:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
            yield folder


def fill(folder: Path) -> Path:
    """Fills a disk to its last byte -> the file that fills it."""
    file = folder / "in the way"
    try:
        with open(file, "wb", buffering=0) as out:
            while True:
                out.write(bytes(4096))
    except OSError:
        return file


def kill_helper(process: subprocess.Popen) -> None:
    """Kills the first helper process that this process starts."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.Error):  # it has just ended
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return
        time.sleep(0.005)
    raise AssertionError(process.communicate())


def damage(file: Path) -> None:
    """Flips one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def spoilt_weights(place: Place) -> Iterator[Row]:
    fault, registry = "weights' file missing, corrupt or changed", place.registry("spoilt")
    in_use, file = (registry / name / WEIGHTS_FILE for name in (DEFAULT_WEIGHTS, "mine"))
    whole = file.read_bytes()
    predict = (*PREDICT, "masks", "--weights", "mine")
    with place.app(SEG_WEIGHTS=str(registry)) as address:
        place.visit(address)
        in_use.unlink()
        yield Row(
            fault,
            "the file of weights in use deleted, Compare opened",
            place.visit(address),
            ("3 masks are shown",),
        )
        file.unlink()
        mend = ("spoilt/mine/model.safetensors", "Restore it")
        yield Row(
            fault,
            "`predict` without the file",
            place.seg(*predict, SEG_WEIGHTS=str(registry)),
            ("exit 1", *mend),
        )
        with Visitor(address) as visitor:
            visitor.open(query="weights=mine")
            yield Row(fault, "Compare with the same weights", place.page_text(visitor), mend)
            yield Row(
                fault, "other weights on Compare meanwhile", place.visit(address), ("3 masks are shown",)
            )
            file.write_bytes(whole)
            damage(file)
            visitor.press("Try again")
            yield Row(
                fault, "the file put back with one bit changed, *Try again*", place.page_text(visitor), mend
            )
            yield Row(
                fault,
                "`predict` with that file",
                place.seg(*predict, SEG_WEIGHTS=str(registry)),
                ("exit 1", *mend),
            )
            file.write_bytes(whole)
            visitor.press("Try again")
            yield Row(
                fault,
                "the whole file put back, *Try again*",
                place.page_text(visitor),
                ("3 masks are shown",),
            )


def disks(place: Place) -> Iterator[Row]:
    with place.read_only("locked") as locked:
        fault, mend, environment = (
            "folder read-only",
            ("locked", "hoose another"),
            {"SEG_WEIGHTS": str(locked)},
        )
        yield Row(fault, "`predict --out` there", place.seg(*PREDICT, "locked/masks"), ("exit 1", *mend))
        yield Row(fault, "`train --out` there", place.seg(*TRAIN, "--out", "locked/run"), ("exit 1", *mend))
        yield Row(
            fault,
            "`publish` to a registry there",
            place.seg(*PUBLISH, "first", **environment),
            ("exit 1", *mend),
        )
        output = place.seg("data", "check", "pairs", SEG_CACHE=str(locked / "cache"))
        yield Row(fault, "`data check` with the cache of decoded pairs there", output, ("exit 1", *mend))
        streets = place.folder / "data" / "streets" / "train"
        streets.mkdir(parents=True)
        for number in range(1, 31):
            shutil.copy(place.folder / "pairs" / "train" / "1.jpg", streets / f"{number}.jpg")
        full = "The disk is full: free some space."
        with place.disk("full", 1) as folder, place.app(TMPDIR=str(folder), SEG_RUNS=str(locked)) as address:
            yield Row(
                fault,
                "*Start training* with the runs there",
                place.visit(address, "train", press="Start training"),
                mend,
            )
            place.visit(address, "batch")  # Python chooses the folder of temporary files at this point
            fault, filled = "disk full", fill(folder)
            yield Row(fault, "a batch in the app", place.visit(address, "batch", press=SIX), (full,))
            yield Row(fault, "`predict`", place.seg(*PREDICT, "full/masks"), ("exit 1", full, "goes on"))
            filled.unlink()
            output = place.seg(*PREDICT, "full/masks")
            yield Row(
                fault, "the same `predict` with space again", output, ("exit 0", "3 of 3 photos are done")
            )
    with place.disk("small", 60):
        output = place.seg(*TRAIN, "--out", "small/run")
        yield Row(fault, "`train` where no checkpoint fits", output, ("exit 1", full, "--resume small/run"))
    with place.disk("tight", 20) as folder:
        output = place.seg(*PUBLISH, "first", SEG_WEIGHTS=str(folder))
        remaining = ", ".join(os.listdir(folder)) or "nothing"
        expected = ("exit 1", full, "Left there: nothing")
        yield Row(
            fault, "`publish` where the weights don't fit", f"{output} Left there: {remaining}.", expected
        )


def full_memory(place: Place) -> Iterator[Row]:
    fault, note = "a GPU's memory full (simulated)", "The GPU's memory was not enough; done on the CPU."
    output = place.seg(*PREDICT, "best", "--best", code=FULL_GPU)
    yield Row(fault, "`predict --best` of a folder", output, ("exit 0", note, "3 of 3 photos are done"))
    with place.app(FULL_GPU) as address:
        yield Row(fault, "Compare", place.visit(address), (note, "3 masks are shown"))
    output = place.seg(*TRAIN, "--out", "too-large", code=FULL_STEP)
    yield Row(fault, "`train`", output, ("exit 1", "Out of memory", "--batch-size", "--resume"))
    fault = "the machine's memory full (simulated)"
    output = place.seg("predict", "photos/0.jpg", *PREDICT[2:], "never", code=FULL_MEMORY)
    yield Row(fault, "`predict` of a photo", output, ("exit 1", "not enough memory for this photo", "lower"))


def killed(place: Place) -> Iterator[Row]:
    fault = "a process killed"
    helped = place.start(*PREDICT, "helped")
    kill_helper(helped)
    yield Row(
        fault,
        "one that reads photos for `predict`",
        place.outcome(helped),
        ("exit 0", "3 of 3 photos are done"),
    )
    for activity, arguments in {"decodes": ("check", "pairs"), "renders": ("render", "--to", "new")}.items():
        helped = place.start("data", *arguments, SEG_CACHE=str(place.folder / "empty"))
        kill_helper(helped)
        action = f"one that {activity} for `data {arguments[0]}`"
        yield Row(fault, action, place.outcome(helped), ("exit 1", "was killed", "Do the same again"))
    run = place.folder / "runs" / "killed"
    training = place.start(*TRAIN, "--epochs", "9", "--checkpoint-every", "2", "--out", str(run))
    while not Run(run).state():
        assert training.poll() is None, training.communicate()
        time.sleep(0.05)
    training.kill()
    training.communicate()
    with place.app() as address:
        expected = ("The process was killed", "Resume it")
        yield Row(fault, "a training, Train opened", place.visit(address, "train"), expected)
    output = f"{place.seg('train', '--resume', str(run))} The run is {Run(run).read_heartbeat()['status']}."
    yield Row(fault, "`train --resume` of that training", output, ("exit 0", "is finished"))


def race(place: Place) -> Iterator[Row]:
    registry = place.folder / "shared"
    shutil.copytree(place.folder / "trained", place.folder / "trained-too")
    commands = [
        [run if word == "trained" else word for word in PUBLISH] for run in ("trained", "trained-too")
    ]
    both = [place.start(*each, "same", SEG_WEIGHTS=str(registry)) for each in commands]
    output = sorted(map(place.outcome, both))
    try:
        verify_weights("same", registry)
        output.append("Card and file match.")
    except WeightsError as error:
        output.append(str(error))
    output.append(f"In the registry: {', '.join(os.listdir(registry))}.")
    expected = (
        "exit 0: published",
        "exit 1",
        "Choose another name",
        "Card and file match",
        "In the registry: same.",
    )
    yield Row(
        "one name, two servers", "two processes publish to one registry at once", " ".join(output), expected
    )


def no_network(place: Place) -> Iterator[Row]:
    fault = "network absent"
    alone = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--net")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        raise NotHereError(f"{fault}: it cannot be taken from a process here")
    empty = {"HF_HOME": str(place.folder / "hub"), "KAGGLEHUB_CACHE": str(place.folder / "kaggle")}
    output = place.seg("data", "fetch", "--to", "fetched", before=alone, **empty)
    yield Row(fault, "`data fetch`", output, ("exit 1", "Kaggle could not be reached", "in a browser"))
    output = place.seg(
        *TRAIN, "--encoder-weights", "imagenet", "--out", "from-imagenet", before=alone, **empty
    )
    yield Row(
        fault,
        "`train` from ImageNet",
        output,
        ("exit 1", "could not be downloaded", "give --encoder-weights"),
    )


def taken_port(place: Place) -> Iterator[Row]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", number]
        output = place.outcome(subprocess.Popen(command, cwd=ROOT, env=place.environment(), **PIPES))
    action = "`streamlit run app.py --server.port 8501`"
    yield Row("port taken", action, output.replace(number, "8501"), ("exit 1: Port 8501 is not available",))


def closed_pipe(place: Place) -> Iterator[Row]:
    for arguments in (("weights", "show", DEFAULT_WEIGHTS, "--full"), (*PREDICT, "piped")):
        process = place.start(*arguments)
        process.stdout.close()
        process.stdout = None  # else `communicate` would read it
        action = f"`{' '.join(arguments[:2])}`, piped to what ends at once"
        yield Row("output closed", action, place.outcome(process), ("exit 1: not a word.",))


SCENARIOS: dict[str, Callable[[Place], Iterator[Row]]] = {
    "network": no_network,
    "disks": disks,
    "memory": full_memory,
    "killed": killed,
    "weights": spoilt_weights,
    "race": race,
    "port": taken_port,
    "pipe": closed_pipe,
}
"""Scenarios by their name on the command line, the longest first."""


def survey(names: Sequence[str] = tuple(SCENARIOS)) -> dict[str, list[Row]]:
    """Runs scenarios, three at a time -> the rows of each."""

    def rows(name: str) -> list[Row]:
        results = []
        try:
            results.extend(SCENARIOS[name](place))
        except NotHereError as error:
            results.append(Row(name, "", f"not brought about here: {error}"))
        return results

    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder).resolve())
        with ThreadPoolExecutor(3) as pool:
            return dict(zip(names, pool.map(rows, names), strict=True))


def main() -> None:
    table = [row for rows in survey(sys.argv[1:] or tuple(SCENARIOS)).values() for row in rows]
    print("| fault | what was done | what was seen |\n|---|---|---|")
    for row in table:
        print(f"| {row.fault} | {row.action} | {row.output} |")
    sys.exit("\n".join(problem for row in table for problem in row.wrong))


if __name__ == "__main__":
    main()
