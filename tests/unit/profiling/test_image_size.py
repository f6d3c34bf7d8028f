"""Time and memory of a prediction by photo size."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from seg.cli.main import main
from seg.models.registry import DEFAULT_WEIGHTS
from seg.profiling import image_size, memory


@pytest.mark.slow
def test_stage_times_and_memory_are_printed_and_drawn(registry, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    rows = [image_size._row(DEFAULT_WEIGHTS, size, 3, "cpu") for size in (0.02, 6)]
    monkeypatch.setattr(image_size, "measure", lambda *_: rows)
    html_file = tmp_path / "deep" / "g.html"
    main(["growth", "--megapixels", "0.02", "6", "--device", "cpu", "--plot", str(html_file)])
    for row in rows:
        height, width = row.size
        assert (
            abs(height * width / 1e6 - row.megapixels) < 0.02
            and abs(width / height - image_size.ASPECT) < 0.1
        )
        assert row.working_size[0] <= 128 and set(row.seconds) == {
            "decode",
            "preprocess",
            "encoder",
            "heads",
            "upsampling",
            "post",
        }
        assert all(seconds >= 0 for seconds in row.seconds.values()) and sum(row.seconds.values()) > 0
    small, large = rows
    assert small.seconds["decode"] < large.seconds["decode"] and small.seconds["post"] < large.seconds["post"]
    assert (
        large.memory_bytes is None or large.memory_bytes >= 0
    )  # zero if the process has enough memory already
    output = capsys.readouterr().out
    assert "2000x3000" in output and "peak MB" in output and "encoder, ms" in output
    assert "megapixels of the photo" in html_file.read_text()


def test_invalid_sizes_are_refused_before_measuring(capsys):
    for options in (["--megapixels", "65"], ["--megapixels", "0"], ["--repeats", "0"]):
        with pytest.raises(SystemExit):
            main(["growth", *options])
        assert "larger photos are refused" in capsys.readouterr().err


def held() -> int | None:
    return memory.peak(lambda: bytearray(b"x") * 200_000_000, torch.device("cpu"))


@pytest.mark.slow
def test_the_peak_counts_memory_in_simultaneous_use():
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:  # this process may retain memory that other tests freed
        peak_bytes = pool.submit(held).result()
    assert peak_bytes is None or 190e6 < peak_bytes < 300e6
