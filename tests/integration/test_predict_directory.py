"""Folders of photos become folders of masks, despite interruptions and errors."""

import csv
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from seg.cli import main
from seg.data import scenes
from seg.inference import directory, job_plan, ray_engine
from seg.inference.directory import Pipeline, PredictSettings, pending_jobs
from seg.inference.job_plan import Job, JobResult, PhotosError, plan_jobs
from seg.inference.predictor import Predictor
from seg.inference.ray_engine import ClusterError
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from tests.support.preloaded import PreloadedProcess

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def predictor(registry) -> Predictor:
    return Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)


@pytest.fixture(scope="module")
def settings(registry) -> PredictSettings:
    card = read_card(DEFAULT_WEIGHTS, registry)
    return PredictSettings(card.name, card.sha256, ("32s", "8s"), card.working_height, card.resize_mode)


def photos(at: Path, count: int) -> Path:
    at.mkdir()
    for number in range(count):
        Image.fromarray(scenes.render_scene(number % 3, 160, 96).photo).save(at / f"{number}.png")
    return at


def files_in(at: Path) -> set[str]:
    return {p.relative_to(at).as_posix() for p in at.rglob("*") if p.is_file()}


def masks_of(stems) -> set[str]:
    return {f"{stem}.{ending}" for stem in stems for ending in ("32s.png", "8s.png", "json")}


def test_folders_keep_their_structure(tmp_path, monkeypatch):
    source, out = tmp_path / "photos", tmp_path / "photos" / "masks"
    for name in ("a.jpg", "deep/a.png", "b.c.jpg", ".hidden", "deep/.DS_Store", ".git/x.png"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"x")
    out.mkdir()
    (out / "old.png").write_bytes(b"x")
    expected = {
        f"{out}/{stem}": str(source / name)
        for stem, name in (("a", "a.jpg"), ("b.c", "b.c.jpg"), ("deep/a", "deep/a.png"))
    }
    assert {job.target: job.source for job in plan_jobs([source], out).jobs} == expected
    plan = plan_jobs([source / "a.jpg", source / "a.jpg"], out)
    assert plan.jobs == [Job(str(source / "a.jpg"), str(out / "a"))] and not plan.failed
    progress = []
    monkeypatch.setattr(job_plan, "PROGRESS", 2)
    plan_jobs([source], out, progress.append)
    assert progress == [2]
    with pytest.raises(PhotosError, match="There is no file or folder"):
        plan_jobs([tmp_path / "none.jpg"], out)
    with pytest.raises(PhotosError, match="would lie among its photos"):
        plan_jobs([source], tmp_path)


def test_finished_photos_are_repeated_only_after_a_change(tmp_path, predictor, settings):
    jobs, out = plan_jobs([photos(tmp_path / "in", 3)], tmp_path / "out").jobs, tmp_path / "out"
    assert pending_jobs(jobs, settings) == jobs
    with Pipeline(1) as pipeline:
        outcomes = list(pipeline.run(jobs, predictor, settings))
    assert [outcome.job for outcome in outcomes] == jobs and not any(outcome.error for outcome in outcomes)
    assert all(outcome.seconds.keys() == {"decode", "model", "write"} for outcome in outcomes)
    assert files_in(out) == masks_of("012") and pending_jobs(jobs, settings) == []
    for unchanged in ({"variants": ("8s",)}, {"weights": "of another name"}):
        assert pending_jobs(jobs, dataclasses.replace(settings, **unchanged)) == []
    for change in ({"variants": ("16s", "8s")}, {"digest": "0" * 64}, {"working_height": 64}, {"tta": True}):
        assert pending_jobs(jobs, dataclasses.replace(settings, **change)) == jobs
    (out / "0.8s.png").unlink()
    os.utime(jobs[1].source, (1, 1))
    (out / "2.json").write_text("{")
    assert pending_jobs(jobs, settings) == jobs
    with Pipeline(1) as pipeline:
        list(pipeline.run(jobs, predictor, settings))
    assert pending_jobs(jobs, settings) == []
    (out / "1.32s.png").write_bytes(b"")
    assert pending_jobs(jobs, settings) == jobs[1:2]
    directory.invalidate(jobs[:1])
    assert pending_jobs(jobs, settings) == jobs[:2]


def test_batches_write_the_masks_of_single_photos(tmp_path, registry, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    source = photos(tmp_path / "in", 6)
    Image.new("RGB", (60, 120), "teal").save(source / "3b.png")  # its working size differs
    (source / "1b.png").write_bytes(b"no picture")
    sizes, predict_batch = [], Predictor.predict_batch
    monkeypatch.setattr(
        Predictor,
        "predict_batch",
        lambda self, of, *more: sizes.append(len(of)) or predict_batch(self, of, *more),
    )
    for size in ("auto", "4"):
        command = ["predict", str(source), "--out", str(tmp_path / size), "--device", "cpu", "--confidence"]
        with pytest.raises(SystemExit):  # for the damaged file
            main.main([*command, "--batch-size", size])
    assert sizes == [1] * 7 + [4, 1, 2]
    singly, batched = (files_in(tmp_path / size) for size in ("auto", "4"))
    assert singly == batched and len(singly) == 7 * 7 + 1
    for name in singly - {name for name in singly if name.endswith(".json")}:
        assert (tmp_path / "auto" / name).read_bytes() == (tmp_path / "4" / name).read_bytes(), name
    with pytest.raises(SystemExit):
        main.main([*command, "--batch-size", "0"])


def test_only_masks_of_unrequested_variants_are_deleted(tmp_path, predictor, settings):
    source, out = photos(tmp_path / "in", 1), tmp_path / "out"
    (source / "0.16s.png").write_bytes((source / "0.png").read_bytes())
    jobs = plan_jobs([source], out).jobs
    all_three = dataclasses.replace(settings, variants=("32s", "16s", "8s"))
    with Pipeline(1) as pipeline:
        list(pipeline.run(jobs, predictor, all_three))
        (out / "0.mine.png").write_bytes(b"x")
        list(pipeline.run([job for job in jobs if job.target.endswith("/0")], predictor, settings))
    of_other = {f"0.16s.{ending}" for ending in ("32s.png", "16s.png", "8s.png", "json")}
    assert files_in(out) == masks_of("0") | of_other | {"0.mine.png"}


def test_a_folder_that_cannot_be_listed_fails_alone(tmp_path, monkeypatch):
    (photos(tmp_path / "in", 2) / "locked").mkdir()
    scan = os.scandir

    def scandir(at):  # root may list every folder
        if str(at).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(at))
        return scan(at)

    monkeypatch.setattr(os, "scandir", scandir)
    plan = plan_jobs([tmp_path / "in"], tmp_path / "out")
    assert len(plan.jobs) == 2 and [result.job.source for result in plan.failed] == [
        str(tmp_path / "in" / "locked")
    ]
    assert "cannot be listed (Permission denied)" in plan.failed[0].error
    assert len(plan_jobs([tmp_path / "in" / "locked"], tmp_path / "out").failed) == 1


def test_bad_photos_do_not_stop_the_others(tmp_path, predictor, settings):
    source = photos(tmp_path / "in", 2)
    (source / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    (source / f"{'x' * 250}.jpg").write_bytes((source / "0.png").read_bytes())
    jobs = [
        *plan_jobs([source], tmp_path / "out").jobs,
        Job(str(source / "gone.png"), str(tmp_path / "out" / "gone")),
    ]
    with Pipeline(2) as pipeline:
        errors = {outcome.job.source: outcome.error for outcome in pipeline.run(jobs, predictor, settings)}
    assert len(errors) == 5 and files_in(tmp_path / "out") == masks_of("01")
    assert (
        "damaged" in errors[str(source / "bad.jpg")]
        and "There is no file" in errors[str(source / "gone.png")]
    )
    assert "name is too long" in errors[jobs[3].source]
    directory.write_failures([JobResult(job, errors[job.source]) for job in jobs[2:]], tmp_path / "out")
    table = (tmp_path / "out" / directory.FAILURES_CSV).read_text("utf-8-sig")
    assert len(list(csv.reader(table.splitlines()))) == 4
    directory.write_failures([], tmp_path / "out")
    assert files_in(tmp_path / "out") == masks_of("01")


def test_a_write_error_stops_the_run(tmp_path, predictor, settings):
    jobs = plan_jobs([photos(tmp_path / "in", 1)], tmp_path / "out").jobs
    (tmp_path / "out").write_bytes(b"in the way")
    with Pipeline(1) as pipeline, pytest.raises(OSError):
        list(pipeline.run(jobs, predictor, settings))


def test_a_killed_worker_loses_no_photo(tmp_path, predictor, settings):
    jobs = plan_jobs([photos(tmp_path / "in", 6)], tmp_path / "out").jobs
    with Pipeline(2) as pipeline:
        outcomes, killed = [], []
        for outcome in pipeline.run(jobs, predictor, settings):
            outcomes.append(outcome)
            if len(outcomes) in (1, 4):  # briefly there are no workers after the first kill
                killed += [child.kill() for child in multiprocessing.active_children()[:1]]
    assert (
        killed
        and [outcome.job for outcome in outcomes] == jobs
        and not any(outcome.error for outcome in outcomes)
    )
    whole = {
        name for name in files_in(tmp_path / "out") if not name.startswith(".")
    }  # partly written files remain hidden
    assert whole == masks_of("012345") and pending_jobs(jobs, settings) == []


def deadly(source: str, member="") -> tuple:
    """Reads like `prediction_files.read`, but kills its process at one of the photos."""
    from seg.inference import prediction_files

    if source.endswith("1.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    return prediction_files.read(source)


def test_a_photo_that_kills_its_worker_fails_alone(tmp_path, predictor, settings, monkeypatch):
    jobs = plan_jobs([photos(tmp_path / "in", 4)], tmp_path / "out").jobs
    with Pipeline(2) as pipeline:
        submit = pipeline._submit
        monkeypatch.setattr(
            pipeline, "_submit", lambda call, *w: submit(deadly if call.__name__ == "read" else call, *w)
        )
        errors = [outcome.error for outcome in pipeline.run(jobs, predictor, settings)]
    assert [bool(error) for error in sorted(errors)] == [False, False, False, True] and "three times" in max(
        errors
    )
    assert files_in(tmp_path / "out") == masks_of("023")


@pytest.fixture
def begin(tmp_path, registry):
    """Starts ``python -m seg predict`` on a folder of photos. Remaining processes are killed at the end."""
    running = []

    def start(*arguments: str) -> PreloadedProcess:
        command = ("predict", "in", "--out", "out", "--variants", "32s", "8s", *arguments)
        environment = os.environ | {"SEG_WEIGHTS": str(registry), "PYTHONPATH": str(ROOT)}
        running.append(
            PreloadedProcess("seg", *command, environment=environment, cwd=tmp_path, new_session=True)
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def finished(process: PreloadedProcess, out: Path, count: int) -> None:
    while len(list(out.glob("*.json"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_leaves_whole_files_and_can_be_resumed(tmp_path, begin, predictor, settings, number, code):
    photos(tmp_path / "in", 12)
    (tmp_path / "in" / "0.tif").write_bytes(b"second of its name")
    process = begin("--height", "448")
    finished(process, tmp_path / "out", 2)
    for _ in range(3):  # repeatedly and to the workers too, as from a terminal
        os.killpg(process.pid, number)
        time.sleep(0.05)
    output, error_output = process.communicate(timeout=60)
    assert (process.returncode, error_output.strip()) == (
        code,
        "stopped",
    ) and "the same command resumes" in output, output
    assert "0.tif" in (tmp_path / "out" / directory.FAILURES_CSV).read_text()
    (tmp_path / "out" / directory.FAILURES_CSV).unlink()
    (tmp_path / "in" / "0.tif").unlink()
    before = {p.name for p in (tmp_path / "out").glob("*.json")}
    assert 2 <= len(before) < 12 and not [name for name in files_in(tmp_path / "out") if name.startswith(".")]
    for name in before:
        facts = json.loads((tmp_path / "out" / name).read_text())
        assert facts["shares"].keys() == {"32s", "8s"}
        Image.open(tmp_path / "out" / name.replace("json", "8s.png")).load()
    used_settings = dataclasses.replace(settings, working_height=448)
    jobs = plan_jobs([tmp_path / "in"], tmp_path / "out").jobs
    pending = pending_jobs(jobs, used_settings)
    assert len(pending) == 12 - len(before)
    with Pipeline(2) as pipeline:
        list(pipeline.run(pending, predictor, used_settings))
    assert files_in(tmp_path / "out") == masks_of(range(12)) and pending_jobs(jobs, used_settings) == []


PRESSED_EARLY = """
import os, runpy, signal, sys, types
slow = sys.modules["seg.cli.main"] = types.ModuleType("seg.cli.main")
slow.__getattr__ = lambda name: os.kill(os.getpid(), signal.SIGINT)
runpy.run_module("seg", run_name="__main__")
"""


def test_ctrl_c_during_start_up_prints_no_traceback():
    done = subprocess.run([sys.executable, "-c", PRESSED_EARLY], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_workers_end_when_their_parent_is_killed(tmp_path, begin):
    photos(tmp_path / "in", 24)
    process = begin("--height", "448")
    finished(process, tmp_path / "out", 1)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def test_missing_engine_requirements_are_reported(tmp_path, monkeypatch, settings, registry):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match="pip install -r requirements/ray.txt"):
        next(ray_engine.run([Job("a", "b")], settings, registry))
    for arguments in (("--workers", "0"), ("--networks", "2")):
        with pytest.raises(SystemExit):
            main.main(["predict", str(tmp_path), "--out", str(tmp_path / "out"), *arguments])
