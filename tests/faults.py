"""What can go wrong around the program, brought about for real, and what it says then: docs/trust.md keeps what this prints.

Faults can be named, as in ``python tests/faults.py network port``. Ends with code 1 where something was not as it should be.
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

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from visitor import Visitor, jpeg, start_server, unpacked  # noqa: E402

from seg import scenes, weights  # noqa: E402
from seg.checkpoint import Run  # noqa: E402

TRAIN = "train --epochs 1 --batch-size 2 --height 32 --holdout 2 --device cpu --again --data pairs --encoder-weights none".split()
PUBLISH = "publish trained --height 32 --name".split()
PREDICT = "predict photos --height 96 --variants 8s --workers 1 --out".split()

SIX = "Try it with six rendered streets"
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
SEG = "from seg.cli import main; main()"
STREAMLIT = "from streamlit.web.cli import main; main()"
FULL_GPU = """
import torch
from seg import predict
gpu, look = torch.device("cpu", 0), predict.Predictor.look  # to PyTorch it is the CPU, to the program it is not
def full(self, *given):
    if self.device == gpu:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return look(self, *given)
predict.Predictor.look, predict.pick_device = full, lambda name: gpu
"""
FULL_MEMORY = """
from seg import predict
def full(*given):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
predict.Predictor.look = full
"""
FULL_STEP = """
import torch
from seg import train
advance = train.Session.advance
def full(self):
    if self.step == 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return advance(self)
train.Session.advance = full
"""


class NotHereError(RuntimeError):
    """A fault that cannot be brought about on this machine, or by this user."""


@dataclass(frozen=True)
class Row:
    """A fault: what was done, and what was seen, in which `wanted` should occur."""

    fault: str
    done: str
    seen: str
    wanted: tuple[str, ...] = ()

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be."""
        raw = [word for word in ("Traceback", "[Errno", "Error:") if word in self.seen]
        lacking = [word for word in self.wanted if word not in self.seen]
        return [f"{self.done}: {word} was seen" for word in raw] + [f"{self.done}: {word} was not seen" for word in lacking]


class Place:
    """A folder with pairs, photos, a finished run, and two networks in a registry, one of them named mine."""

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
        """A registry of its own, with the two networks."""
        for one in (weights.DEFAULT, "mine"):
            shutil.copytree(ROOT / "weights" / weights.DEFAULT, self.folder / name / one)
        card = self.folder / name / "mine" / weights.CARD
        card.write_text(json.dumps(json.loads(card.read_text()) | {"name": "mine"}))
        return self.folder / name

    def environment(self, **more: str) -> dict[str, str]:
        """With all that the program keeps in this folder."""
        own = {f"SEG_{name.upper()}": str(self.folder / name) for name in ("weights", "cache", "runs", "data")}
        return os.environ | own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SEG_TRAINING": "on"} | more

    def start(self, *words: str, code: str = "", before: Sequence[str] = (), **more: str) -> subprocess.Popen:
        """Starts ``python -m seg`` with these words, or `code` and then the same."""
        program = [sys.executable, *(["-c", code + SEG] if code else ["-m", "seg"]), *words]
        return subprocess.Popen([*before, *program], cwd=self.folder, env=self.environment(**more), **PIPES)

    def ended(self, process: subprocess.Popen) -> str:
        """What was seen of a process: its exit code, and the sentences that it printed."""
        lines = "".join(text or "" for text in process.communicate(timeout=300)).splitlines()
        said = [line for line in lines if re.search(r"Traceback|^(error|published|\S+ \S+ Port)|\.$| photos are done", line)]
        words = " ".join(re.sub(r"^error |^[\d-]+ [\d:.]+ ", "", line).strip() for line in said) or "not a word."
        return f"exit {process.returncode}: {words}".replace(f"{self.folder}/", "")

    def seg(self, *words: str, **how: str) -> str:
        """Runs ``python -m seg`` -> what was seen."""
        return self.ended(self.start(*words, **how))

    @contextmanager
    def app(self, code: str = "", **more: str) -> Iterator[str]:
        """The app in a server of its own, after `code` -> its address."""
        process, address = start_server(
            self.environment(**more), streamlit=("-c", code + STREAMLIT) if code else ("-m", "streamlit")
        )
        try:
            yield address
        finally:
            process.terminate()
            process.wait(60)

    def told(self, visitor: Visitor) -> str:
        """The sentences on a visitor's page, and how many masks are in its viewer."""
        said = [re.sub(r"\\(.)", r"\1", alert.body).replace(f"{self.folder}/", "") for alert in visitor.of("alert")]
        said += [f"Traceback: {error.message}" for error in visitor.of("exception")]
        masks = sum(pane["kind"] == "mask" for viewer in visitor.of("bidi_component") for pane in unpacked(viewer.bytes)["panes"])
        return " ".join(said + [f"{masks} masks are shown."] * bool(masks)) or "not a word"

    def visit(self, address: str, page: str = "", query: str = "", press: str = "") -> str:
        """Opens a page as somebody new -> what was seen; where a button is pressed, only what was not there before."""
        with Visitor(address) as visitor:
            visitor.open(page, query)
            before = self.told(visitor)
            if not press:
                return before
            visitor.press(press)
            return self.told(visitor).removeprefix(before).strip()

    @contextmanager
    def disk(self, name: str, megabytes: float) -> Iterator[Path]:
        """A small disk. Raises `NotHereError` where none can be had."""
        folder = self.folder / name
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={round(1024 * megabytes)}k", "none", folder], capture_output=True
        )
        if mounted.returncode:
            raise NotHereError("only root can mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    @contextmanager
    def read_only(self, name: str) -> Iterator[Path]:
        """A folder that cannot be written to: a disk that is mounted so, or for who may not mount, by its permissions."""
        if os.geteuid():
            (self.folder / name).mkdir(mode=0o555)
            yield self.folder / name
            return
        with self.disk(name, 1) as folder:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
            yield folder


def fill(folder: Path) -> Path:
    """Fills a disk to its last byte -> the file that does so."""
    file = folder / "in the way"
    try:
        with open(file, "wb", buffering=0) as out:
            while True:
                out.write(bytes(4096))
    except OSError:
        return file


def kill_helper(process: subprocess.Popen) -> None:
    """Kills the first process that this one starts to help it."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.Error):  # it has just ended
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return
        time.sleep(0.005)
    raise AssertionError(process.communicate())


def damage(file: Path) -> None:
    """Turns one bit in a file's middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def spoilt_weights(place: Place) -> Iterator[Row]:
    fault, registry = "weights' file missing, corrupt or changed", place.registry("spoilt")
    in_use, file = (registry / name / weights.FILE for name in (weights.DEFAULT, "mine"))
    whole = file.read_bytes()
    predict = (*PREDICT, "masks", "--weights", "mine")
    with place.app(SEG_WEIGHTS=str(registry)) as address:
        place.visit(address)
        in_use.unlink()
        yield Row(fault, "the file of weights in use deleted, Compare opened", place.visit(address), ("3 masks are shown",))
        file.unlink()
        mend = ("spoilt/mine/model.safetensors", "Restore it")
        yield Row(fault, "`predict` without the file", place.seg(*predict, SEG_WEIGHTS=str(registry)), ("exit 1", *mend))
        with Visitor(address) as visitor:
            visitor.open(query="weights=mine")
            yield Row(fault, "Compare with the same weights", place.told(visitor), mend)
            yield Row(fault, "other weights on Compare meanwhile", place.visit(address), ("3 masks are shown",))
            file.write_bytes(whole)
            damage(file)
            visitor.press("Try again")
            yield Row(fault, "the file put back with one bit changed, *Try again*", place.told(visitor), mend)
            yield Row(fault, "`predict` with that file", place.seg(*predict, SEG_WEIGHTS=str(registry)), ("exit 1", *mend))
            file.write_bytes(whole)
            visitor.press("Try again")
            yield Row(fault, "the whole file put back, *Try again*", place.told(visitor), ("3 masks are shown",))


def disks(place: Place) -> Iterator[Row]:
    with place.read_only("locked") as locked:
        fault, mend, there = "folder read-only", ("locked", "hoose another"), {"SEG_WEIGHTS": str(locked)}
        yield Row(fault, "`predict --out` there", place.seg(*PREDICT, "locked/masks"), ("exit 1", *mend))
        yield Row(fault, "`train --out` there", place.seg(*TRAIN, "--out", "locked/run"), ("exit 1", *mend))
        yield Row(fault, "`publish` to a registry there", place.seg(*PUBLISH, "first", **there), ("exit 1", *mend))
        seen = place.seg("data", "check", "pairs", SEG_CACHE=str(locked / "cache"))
        yield Row(fault, "`data check` with the cache of decoded pairs there", seen, ("exit 1", *mend))
        streets = place.folder / "data" / "streets" / "train"
        streets.mkdir(parents=True)
        for number in range(1, 31):
            shutil.copy(place.folder / "pairs" / "train" / "1.jpg", streets / f"{number}.jpg")
        full = "The disk is full: free some space."
        with place.disk("full", 1) as folder, place.app(TMPDIR=str(folder), SEG_RUNS=str(locked)) as address:
            yield Row(fault, "*Start training* with the runs there", place.visit(address, "train", press="Start training"), mend)
            place.visit(address, "batch")  # Python chooses then where temporary files go
            fault, filled = "disk full", fill(folder)
            yield Row(fault, "a batch in the app", place.visit(address, "batch", press=SIX), (full,))
            yield Row(fault, "`predict`", place.seg(*PREDICT, "full/masks"), ("exit 1", full, "goes on"))
            filled.unlink()
            seen = place.seg(*PREDICT, "full/masks")
            yield Row(fault, "the same `predict` with space again", seen, ("exit 0", "3 of 3 photos are done"))
    with place.disk("small", 60):
        seen = place.seg(*TRAIN, "--out", "small/run")
        yield Row(fault, "`train` where no checkpoint fits", seen, ("exit 1", full, "--resume small/run"))
    with place.disk("tight", 20) as folder:
        seen = place.seg(*PUBLISH, "first", SEG_WEIGHTS=str(folder))
        left = ", ".join(os.listdir(folder)) or "nothing"
        wanted = ("exit 1", full, "Left there: nothing")
        yield Row(fault, "`publish` where the weights don't fit", f"{seen} Left there: {left}.", wanted)


def full_memory(place: Place) -> Iterator[Row]:
    fault, note = "a GPU's memory full (simulated)", "The GPU's memory was not enough; done on the CPU."
    seen = place.seg(*PREDICT, "best", "--best", code=FULL_GPU)
    yield Row(fault, "`predict --best` of a folder", seen, ("exit 0", note, "3 of 3 photos are done"))
    with place.app(FULL_GPU) as address:
        yield Row(fault, "Compare", place.visit(address), (note, "3 masks are shown"))
    seen = place.seg(*TRAIN, "--out", "too-large", code=FULL_STEP)
    yield Row(fault, "`train`", seen, ("exit 1", "Out of memory", "--batch-size", "--resume"))
    fault = "the machine's memory full (simulated)"
    seen = place.seg("predict", "photos/0.jpg", *PREDICT[2:], "never", code=FULL_MEMORY)
    yield Row(fault, "`predict` of a photo", seen, ("exit 1", "not enough memory for this photo", "lower"))


def killed(place: Place) -> Iterator[Row]:
    fault = "a process killed"
    helped = place.start(*PREDICT, "helped")
    kill_helper(helped)
    yield Row(fault, "one that reads photos for `predict`", place.ended(helped), ("exit 0", "3 of 3 photos are done"))
    for what, words in {"decodes": ("check", "pairs"), "renders": ("render", "--to", "new")}.items():
        helped = place.start("data", *words, SEG_CACHE=str(place.folder / "empty"))
        kill_helper(helped)
        done = f"one that {what} for `data {words[0]}`"
        yield Row(fault, done, place.ended(helped), ("exit 1", "was killed", "Do the same again"))
    run = place.folder / "runs" / "killed"
    training = place.start(*TRAIN, "--epochs", "9", "--checkpoint-every", "2", "--out", str(run))
    while not Run(run).state():
        assert training.poll() is None, training.communicate()
        time.sleep(0.05)
    training.kill()
    training.communicate()
    with place.app() as address:
        wanted = ("Its process was killed", "Go on with it")
        yield Row(fault, "a training, Train opened", place.visit(address, "train"), wanted)
    seen = f"{place.seg('train', '--resume', str(run))} The run is {Run(run).heartbeat()['status']}."
    yield Row(fault, "`train --resume` of that training", seen, ("exit 0", "is finished"))


def race(place: Place) -> Iterator[Row]:
    registry = place.folder / "shared"
    shutil.copytree(place.folder / "trained", place.folder / "trained-too")
    words = [[run if word == "trained" else word for word in PUBLISH] for run in ("trained", "trained-too")]
    both = [place.start(*each, "same", SEG_WEIGHTS=str(registry)) for each in words]
    seen = sorted(map(place.ended, both))
    try:
        weights.verify("same", registry)
        seen.append("Card and file match.")
    except weights.WeightsError as error:
        seen.append(str(error))
    seen.append(f"In the registry: {', '.join(os.listdir(registry))}.")
    wanted = ("exit 0: published", "exit 1", "Choose another name", "Card and file match", "In the registry: same.")
    yield Row("one name, two servers", "two processes publish to one registry at once", " ".join(seen), wanted)


def no_network(place: Place) -> Iterator[Row]:
    fault = "network absent"
    alone = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--net")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        raise NotHereError(f"{fault}: it cannot be taken from a process here")
    empty = {"HF_HOME": str(place.folder / "hub"), "KAGGLEHUB_CACHE": str(place.folder / "kaggle")}
    seen = place.seg("data", "fetch", "--to", "fetched", before=alone, **empty)
    yield Row(fault, "`data fetch`", seen, ("exit 1", "Kaggle could not be reached", "in a browser"))
    seen = place.seg(*TRAIN, "--encoder-weights", "imagenet", "--out", "from-imagenet", before=alone, **empty)
    yield Row(fault, "`train` from ImageNet", seen, ("exit 1", "could not be downloaded", "give --encoder-weights"))


def taken_port(place: Place) -> Iterator[Row]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = str(other.getsockname()[1])
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", number]
        seen = place.ended(subprocess.Popen(command, cwd=ROOT, env=place.environment(), **PIPES))
    done = "`streamlit run app.py --server.port 8501`"
    yield Row("port taken", done, seen.replace(number, "8501"), ("exit 1: Port 8501 is not available",))


def closed_pipe(place: Place) -> Iterator[Row]:
    for words in (("weights", "show", weights.DEFAULT, "--full"), (*PREDICT, "piped")):
        process = place.start(*words)
        process.stdout.close()
        process.stdout = None  # else `communicate` would read it
        done = f"`{' '.join(words[:2])}`, piped to what ends at once"
        yield Row("output closed", done, place.ended(process), ("exit 1: not a word.",))


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
"""By their names on the command line, those that take longest first."""


def survey(names: Sequence[str] = tuple(SCENARIOS)) -> dict[str, list[Row]]:
    """Brings faults about, three at a time -> what was seen, by scenario."""

    def rows(name: str) -> list[Row]:
        found = []
        try:
            found.extend(SCENARIOS[name](place))
        except NotHereError as error:
            found.append(Row(name, "", f"not brought about here: {error}"))
        return found

    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder).resolve())
        with ThreadPoolExecutor(3) as pool:
            return dict(zip(names, pool.map(rows, names), strict=True))


def main() -> None:
    found = [row for rows in survey(sys.argv[1:] or tuple(SCENARIOS)).values() for row in rows]
    print("| fault | what was done | what was seen |\n|---|---|---|")
    for row in found:
        print(f"| {row.fault} | {row.done} | {row.seen} |")
    sys.exit("\n".join(words for row in found for words in row.wrong))


if __name__ == "__main__":
    main()
