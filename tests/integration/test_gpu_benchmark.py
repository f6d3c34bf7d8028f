"""The benchmark for GPUs runs every part, and measures nothing without a GPU."""

import pytest
import torch

from benchmarks import gpu


@pytest.mark.slow
def test_the_rehearsal_prints_every_row(registry, monkeypatch, capsys):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    gpu.main(["--device", "cpu", "--quick"])
    output = capsys.readouterr().out
    rows = [line for line in output.splitlines() if line.startswith("| ")]
    for name in (
        *("network alone", "with data and augmentation", "inside the training loop", "peak memory of a step"),
        *("photo of 128x64 to all masks", "network at 64x128, batch 1", "of 64x128 to all masks, batch 4"),
        *("differ from those of the CPU", "differ between a batch of 2 and single photos"),
    ):
        assert any(name in row for row in rows), name
    assert "samples/s" in output and "images/s" in output and "upsampling" in output
    assert [row for row in rows if "differ" in row and not row.endswith("8s 0.000% |")] == []


def test_without_a_gpu_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    assert capsys.readouterr().out == "not run on a GPU\n"
