"""Folders of photos to folders of masks, whatever happens meanwhile."""

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

from seg import cli, folder, scenes, weights
from seg.cluster import ClusterError
from seg.folder import Job, PhotosError, Pipeline, Settings, plan, unfinished
from seg.predict import Predictor
from seg.weights import DEFAULT

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def predictor(registry) -> Predictor:
    return Predictor.of(DEFAULT, "cpu", registry)


@pytest.fixture(scope="module")
def settings(registry) -> Settings:
    card = weights.read_card(DEFAULT, registry)
    return Settings(card.name, card.sha256, ("32s", "8s"), card.working_height, card.working_rule)


def photos(at: Path, count: int) -> Path:
    at.mkdir()
    for number in range(count):
        Image.fromarray(scenes.render(number % 3, 160, 96).photo).save(at / f"{number}.png")
    return at


def written(at: Path) -> set[str]:
    return {p.relative_to(at).as_posix() for p in at.rglob("*") if p.is_file()}


def masks_of(stems) -> set[str]:
    return {f"{stem}.{ending}" for stem in stems for ending in ("32s.png", "8s.png", "json")}


def test_folders_keep_their_structure_and_clashes_fail_alone(tmp_path, monkeypatch):
    given, out = tmp_path / "photos", tmp_path / "photos" / "masks"
    for name in ("a.jpg", "deep/a.png", "b.c.jpg", ".hidden", "deep/.DS_Store", ".git/x.png"):
        (given / name).parent.mkdir(parents=True, exist_ok=True)
        (given / name).write_bytes(b"x")
    out.mkdir()
    (out / "old.png").write_bytes(b"x")
    wanted = {f"{out}/{stem}": str(given / name) for stem, name in (("a", "a.jpg"), ("b.c", "b.c.jpg"), ("deep/a", "deep/a.png"))}
    assert {job.target: job.source for job in plan([given], out)[0]} == wanted
    assert plan([given / "a.jpg", given / "a.jpg"], out) == ([Job(str(given / "a.jpg"), str(out / "a"))], [])
    told = []
    monkeypatch.setattr(folder, "PROGRESS", 2)
    plan([given], out, told.append)
    assert told == [2]
    for name in ("A.png", "b.c.png"):
        (given / name).write_bytes(b"x")
    jobs, failed = plan([given], out)
    assert [os.path.relpath(job.source, given) for job in jobs] == ["A.png", "b.c.jpg", "deep/a.png"]
    assert [(outcome.job.source, outcome.error) for outcome in failed] == [
        (str(given / second), f"Its masks would have the names of those of {given / first}; rename one of the two.")
        for first, second in (("A.png", "a.jpg"), ("b.c.jpg", "b.c.png"))
    ]
    with pytest.raises(PhotosError, match="There is no file or folder"):
        plan([tmp_path / "none.jpg"], out)
    with pytest.raises(PhotosError, match="would lie among its photos"):
        plan([given], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhotosError, match="has no files"):
        plan([tmp_path / "empty"], out)


def test_finished_photos_are_left_alone_until_they_or_the_settings_change(tmp_path, predictor, settings):
    (jobs, _), out = plan([photos(tmp_path / "in", 3)], tmp_path / "out"), tmp_path / "out"
    assert unfinished(jobs, settings) == jobs
    with Pipeline(1) as pipeline:
        outcomes = list(pipeline.run(jobs, predictor, settings))
    assert [outcome.job for outcome in outcomes] == jobs and not any(outcome.error for outcome in outcomes)
    assert all(outcome.seconds.keys() == {"decode", "model", "write"} for outcome in outcomes)
    assert written(out) == masks_of("012") and unfinished(jobs, settings) == []
    for same in ({"variants": ("8s",)}, {"weights": "of another name"}):
        assert unfinished(jobs, dataclasses.replace(settings, **same)) == []
    for other in ({"variants": ("16s", "8s")}, {"digest": "0" * 64}, {"working_height": 64}, {"best": True}):
        assert unfinished(jobs, dataclasses.replace(settings, **other)) == jobs
    (out / "0.8s.png").unlink()
    os.utime(jobs[1].source, (1, 1))
    (out / "2.json").write_text("{")
    assert unfinished(jobs, settings) == jobs
    with Pipeline(1) as pipeline:
        list(pipeline.run(jobs, predictor, settings))
    assert unfinished(jobs, settings) == []
    (out / "1.32s.png").write_bytes(b"")
    assert unfinished(jobs, settings) == jobs[1:2]
    folder.forget(jobs[:1])
    assert unfinished(jobs, settings) == jobs[:2]


def test_masks_that_are_not_asked_for_any_more_go_and_no_others(tmp_path, predictor, settings):
    given, out = photos(tmp_path / "in", 1), tmp_path / "out"
    (given / "0.16s.png").write_bytes((given / "0.png").read_bytes())
    jobs, _ = plan([given], out)
    all_three = dataclasses.replace(settings, variants=("32s", "16s", "8s"))
    with Pipeline(1) as pipeline:
        list(pipeline.run(jobs, predictor, all_three))
        (out / "0.mine.png").write_bytes(b"x")
        list(pipeline.run([job for job in jobs if job.target.endswith("/0")], predictor, settings))
    of_other = {f"0.16s.{ending}" for ending in ("32s.png", "16s.png", "8s.png", "json")}
    assert written(out) == masks_of("0") | of_other | {"0.mine.png"}


def test_a_folder_that_cannot_be_listed_fails_alone(tmp_path, monkeypatch):
    (photos(tmp_path / "in", 2) / "locked").mkdir()
    scan = os.scandir

    def scandir(at):  # root may list any
        if str(at).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(at))
        return scan(at)

    monkeypatch.setattr(os, "scandir", scandir)
    jobs, failed = plan([tmp_path / "in"], tmp_path / "out")
    assert len(jobs) == 2 and [outcome.job.source for outcome in failed] == [str(tmp_path / "in" / "locked")]
    assert "cannot be listed (Permission denied)" in failed[0].error
    assert len(plan([tmp_path / "in" / "locked"], tmp_path / "out")[1]) == 1


def test_bad_photos_do_not_stop_the_others(tmp_path, predictor, settings):
    given = photos(tmp_path / "in", 2)
    (given / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    (given / f"{'x' * 250}.jpg").write_bytes((given / "0.png").read_bytes())
    jobs = [*plan([given], tmp_path / "out")[0], Job(str(given / "gone.png"), str(tmp_path / "out" / "gone"))]
    with Pipeline(2) as pipeline:
        errors = {outcome.job.source: outcome.error for outcome in pipeline.run(jobs, predictor, settings)}
    assert len(errors) == 5 and written(tmp_path / "out") == masks_of("01")
    assert "damaged" in errors[str(given / "bad.jpg")] and "There is no file" in errors[str(given / "gone.png")]
    assert "name is too long" in errors[jobs[3].source]
    folder.report([folder.Outcome(job, errors[job.source]) for job in jobs[2:]], tmp_path / "out")
    assert len(list(csv.reader((tmp_path / "out" / folder.FAILED).read_text().splitlines()))) == 4
    folder.report([], tmp_path / "out")
    assert written(tmp_path / "out") == masks_of("01")


def test_a_disk_that_is_full_stops_the_work(tmp_path, predictor, settings):
    jobs, _ = plan([photos(tmp_path / "in", 1)], tmp_path / "out")
    (tmp_path / "out").write_bytes(b"in the way")
    with Pipeline(1) as pipeline, pytest.raises(OSError):
        list(pipeline.run(jobs, predictor, settings))


def test_a_worker_that_is_killed_costs_no_photo(tmp_path, predictor, settings):
    jobs, _ = plan([photos(tmp_path / "in", 6)], tmp_path / "out")
    with Pipeline(2) as pipeline:
        outcomes, killed = [], []
        for outcome in pipeline.run(jobs, predictor, settings):
            outcomes.append(outcome)
            if len(outcomes) in (1, 4):  # there are none for a moment after the first was killed
                killed += [child.kill() for child in multiprocessing.active_children()[:1]]
    assert killed and [outcome.job for outcome in outcomes] == jobs and not any(outcome.error for outcome in outcomes)
    whole = {name for name in written(tmp_path / "out") if not name.startswith(".")}  # what it was just writing is left, hidden
    assert whole == masks_of("012345") and unfinished(jobs, settings) == []


def deadly(source: str) -> tuple:
    """Reads as `results.read` does; of one photo the process dies."""
    from seg import results

    if source.endswith("1.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    return results.read(source)


def test_a_photo_that_kills_its_worker_costs_itself_only(tmp_path, predictor, settings, monkeypatch):
    jobs, _ = plan([photos(tmp_path / "in", 4)], tmp_path / "out")
    with Pipeline(2) as pipeline:
        submit = pipeline._submit
        monkeypatch.setattr(pipeline, "_submit", lambda call, *w: submit(deadly if call.__name__ == "read" else call, *w))
        errors = [outcome.error for outcome in pipeline.run(jobs, predictor, settings)]
    assert [bool(error) for error in sorted(errors)] == [False, False, False, True] and "Thrice" in max(errors)
    assert written(tmp_path / "out") == masks_of("023")


@pytest.fixture
def begin(tmp_path, registry):
    """Starts python -m seg predict on a folder of photos, as a person does; what is still running at the end is killed."""
    running = []

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "seg", "predict", "in", "--out", "out", "--variants", "32s", "8s", *words]
        environment = os.environ | {"SEG_WEIGHTS": str(registry), "PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **pipes))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def finished(process: subprocess.Popen, out: Path, count: int) -> None:
    while len(list(out.glob("*.json"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_leaves_whole_files_and_the_same_command_goes_on(tmp_path, begin, predictor, settings, number, code):
    photos(tmp_path / "in", 12)
    (tmp_path / "in" / "0.tif").write_bytes(b"second of its name")
    process = begin("--height", "448")
    finished(process, tmp_path / "out", 2)
    for _ in range(3):  # as people do; as a terminal does: to the workers too
        os.killpg(process.pid, number)
        time.sleep(0.05)
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, complained.strip()) == (code, "stopped") and "the same command goes on" in said, said
    assert "0.tif" in (tmp_path / "out" / folder.FAILED).read_text()
    (tmp_path / "out" / folder.FAILED).unlink()
    (tmp_path / "in" / "0.tif").unlink()
    before = {p.name for p in (tmp_path / "out").glob("*.json")}
    assert 2 <= len(before) < 12 and not [name for name in written(tmp_path / "out") if name.startswith(".")]
    for name in before:
        facts = json.loads((tmp_path / "out" / name).read_text())
        assert facts["shares"].keys() == {"32s", "8s"}
        Image.open(tmp_path / "out" / name.replace("json", "8s.png")).load()
    wanted = dataclasses.replace(settings, working_height=448)
    jobs, _ = plan([tmp_path / "in"], tmp_path / "out")
    left = unfinished(jobs, wanted)
    assert len(left) == 12 - len(before)
    with Pipeline(2) as pipeline:
        list(pipeline.run(left, predictor, wanted))
    assert written(tmp_path / "out") == masks_of(range(12)) and unfinished(jobs, wanted) == []


PRESSED_EARLY = """
import os, runpy, signal, sys, types
slow = sys.modules["seg.cli"] = types.ModuleType("seg.cli")
slow.__getattr__ = lambda name: os.kill(os.getpid(), signal.SIGINT)
runpy.run_module("seg", run_name="__main__")
"""


def test_ctrl_c_while_the_program_loads_is_no_traceback():
    done = subprocess.run([sys.executable, "-c", PRESSED_EARLY], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_workers_leave_when_their_owner_is_killed(tmp_path, begin):
    photos(tmp_path / "in", 24)
    process = begin("--height", "448")
    finished(process, tmp_path / "out", 1)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def test_what_the_engines_need_is_said(tmp_path, monkeypatch, settings, registry):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match="pip install -r requirements/ray.txt"):
        next(cli.cluster.run([Job("a", "b")], settings, registry))
    for words in (("--workers", "0"), ("--networks", "2")):
        with pytest.raises(SystemExit):
            cli.main(["predict", str(tmp_path), "--out", str(tmp_path / "out"), *words])
