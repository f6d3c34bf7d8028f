"""Videos on the command line."""

import json
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from seg.cli import console
from seg.cli.predict_video import plan_videos, split_videos
from seg.inference import video_run
from tests.support.command import run_command
from tests.support.preloaded import PreloadedProcess
from tests.support.video_files import decode, frame_pixels, write_sound, write_video


@pytest.fixture(autouse=True)
def weights(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))


def predict(*arguments: object) -> int:
    return run_command("predict", *arguments, "--device", "cpu")


def test_videos_and_photos_are_predicted_in_one_command(tmp_path, capsys):
    write_video(tmp_path / "drive.webm", 10, codec="libvpx").rename(tmp_path / "drive.film")
    Image.fromarray(frame_pixels(0)).save(tmp_path / "drive.png")
    files, out = (tmp_path / "drive.film", tmp_path / "drive.png"), tmp_path / "out"
    assert predict(*files, "--out", out, "--variants", "32s", "8s", "--fps", "2") == 0
    assert {path.name for path in out.iterdir()} == {
        *("drive.json", "drive.8s.png", "drive.32s.png"),
        *("drive.video.mp4", "drive.video.csv", "drive.video.json"),
    }
    assert "2 frames are done" in capsys.readouterr().out
    frames = decode(out / "drive.video.mp4")
    assert [seconds for seconds, _ in frames] == [0, 0.5] and frames[0][1].shape == (128, 192, 3)
    before = (out / "drive.video.mp4").stat()
    assert predict(*files, "--out", out, "--variants", "32s", "8s", "--fps", "2") == 0
    assert "was done before" in capsys.readouterr().out
    assert (out / "drive.video.mp4").stat().st_mtime_ns == before.st_mtime_ns
    assert predict(*files, "--out", out, "--variants", "8s", "--fps", "5", "--again") == 0
    assert json.loads((out / "drive.video.json").read_text())["frames"] == 5


def test_files_that_are_no_video_are_skipped_with_reasons(tmp_path, capsys):
    good = write_video(tmp_path / "good.mp4", 2)
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    sound = write_sound(tmp_path / "sound.mp4")
    out = tmp_path / "out"
    assert predict(text, sound, good, "--out", out) == 1
    shown = " ".join((printed := capsys.readouterr()).out.split())
    assert "text.mp4: This file is no video as far as its content shows" in shown
    assert "sound.mp4: The file has no video stream, only sound; choose a video." in shown
    assert "2 of 3 videos could not be predicted." in printed.out + printed.err
    assert "Traceback" not in printed.out + printed.err
    assert {path.name for path in out.iterdir()} == {f"good.video.{end}" for end in ("mp4", "csv", "json")}


@pytest.mark.parametrize(
    "options, message",
    [
        (("--fps", "0"), "--fps must be from 0.01 to 240."),
        (("--engine", "ray"), "Videos go with the other engines than ray."),
        (("--confidence",), "go with photos, and not with videos"),
    ],
)
def test_options_that_videos_lack_are_refused(tmp_path, capsys, options, message):
    video = write_video(tmp_path / "a.mp4", 1)
    assert predict(video, "--out", tmp_path / "out", *options) == 1
    printed = capsys.readouterr()
    assert message in " ".join((printed.out + printed.err).split()) and not (tmp_path / "out").exists()


def test_names_of_results_never_clash(tmp_path):
    for name in ("a.mp4", "a.mov", "deep/a.mp4", "deep/a.mov", "b.video.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0")
    photos, videos = split_videos([tmp_path, tmp_path / "a.mp4", tmp_path / "a.mov", tmp_path / "a.mp4"])
    assert photos == (tmp_path,) and videos == [tmp_path / "a.mp4", tmp_path / "a.mov"]
    jobs = plan_videos(videos, tmp_path / "out")
    assert [Path(job.target).name for job in jobs] == ["a", "a.mov"]
    with pytest.raises(console.CommandError, match="Rename"):
        plan_videos([*videos, tmp_path / "deep/a.mov"], tmp_path / "out")
    (tmp_path / "b.mp4").write_bytes(b"")
    with pytest.raises(console.CommandError, match="would overwrite a video"):
        plan_videos([tmp_path / "b.mp4", tmp_path / "b.video.mp4"], tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    assert predict(write_video(tmp_path / "a.mp4", 1), "--out", tmp_path / "file/out") == 1
    printed = " ".join("".join(capsys.readouterr()).split())
    assert "Fix the problem or choose another path" in printed and "Traceback" not in printed


@pytest.mark.slow
def test_a_killed_command_resumes_within_the_video(tmp_path):
    source, out = write_video(tmp_path / "a.mp4", 300), tmp_path / "out"
    options = ("--device", "cpu", "--variants", "8s", "--fps", "10")
    command = ["predict", str(source), "--out", str(out), *options]
    work = out / ".a.video"
    for number, end in ((0, signal.SIGKILL), (1, signal.SIGTERM)):
        process = PreloadedProcess("seg", *command)
        deadline = time.monotonic() + 120
        while not (work / f"{number:06d}.json").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(end)
        process.wait(60)
        assert not list(out.glob("a.*"))
    finished_frames = sum(len(json.loads(file.read_bytes())) for file in work.glob("0*.json"))
    assert finished_frames >= 2 * video_run.SEGMENT_FRAMES
    assert run_command(*command) == 0
    assert len(decode(out / "a.video.mp4")) == 300 and not work.exists()
