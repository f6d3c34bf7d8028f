"""What a photo takes, against its size."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from seg import bench, growth, weights
from seg.cli import main


def test_every_part_and_the_memory_are_told_and_drawn(registry, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(growth.Predictor.of.__func__, "__defaults__", ("auto", registry))
    rows = [growth._row(weights.DEFAULT, size, 5, "cpu") for size in (0.02, 24)]
    monkeypatch.setattr(growth, "measure", lambda *_: rows)
    drawn = tmp_path / "deep" / "g.html"
    main(["growth", "--megapixels", "0.02", "24", "--device", "cpu", "--plot", str(drawn)])
    for row in rows:
        height, width = row.size
        assert abs(height * width / 1e6 - row.megapixels) < 0.02 and abs(width / height - growth.ASPECT) < 0.1
        assert row.working_size[0] <= 128 and set(row.seconds) == {"decode", "preprocess", "encoder", "heads", "post"}
        assert all(seconds >= 0 for seconds in row.seconds.values()) and sum(row.seconds.values()) > 0
    small, large = rows
    assert small.seconds["decode"] < large.seconds["decode"] and small.seconds["post"] < large.seconds["post"]
    assert large.memory_bytes is None or large.memory_bytes >= 0  # in a process that had room already it may be none
    said = capsys.readouterr().out
    assert "4000x6000" in said and "peak MB" in said and "encoder, ms" in said
    assert "megapixels of the photo" in drawn.read_text()


def test_sizes_that_would_be_refused_are_refused_before_anything_is_measured(capsys):
    for options in (["--megapixels", "65"], ["--megapixels", "0"], ["--repeats", "0"]):
        with pytest.raises(SystemExit):
            main(["growth", *options])
        assert "larger photos are refused" in capsys.readouterr().err


def held() -> int | None:
    return bench.peak(lambda: bytearray(b"x") * 200_000_000, torch.device("cpu"))


def test_a_peak_is_what_was_held_at_once():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:  # what others freed may be kept here
        found = pool.submit(held).result()
    assert found is None or 190e6 < found < 300e6
