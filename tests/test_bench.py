"""The bench: what is measured, and that ratios are those of the times."""

import json

import pytest
import torch

from seg import bench
from seg.cli import main

SIZE = (64, 96)


def test_ratios_and_rates_are_those_of_the_times(tmp_path, capsys, monkeypatch):
    few = [(name, "fp32", SIZE) for name in (bench.ENCODER, bench.ALL, bench.TORCHVISION)]
    monkeypatch.setattr(bench, "kinds", lambda sizes, device: few)  # each is a process of its own for its memory
    drawn, written = tmp_path / "b.html", tmp_path / "b.json"
    main(["bench", "--sizes", "64x96", "--repeats", "1", "--device", "cpu", "--json", str(written), "--plot", str(drawn)])
    rows = json.loads(written.read_text())
    assert [(row["name"], row["precision"], tuple(row["size"])) for row in rows] == few
    time = {row["name"]: row["seconds"] for row in rows}
    for row in rows:
        assert row["seconds"] > 0 and 0 < row["share"] < 2 and (row["memory_bytes"] is None or row["memory_bytes"] >= 0)
        assert row["to_encoder"] == pytest.approx(row["seconds"] / time[bench.ENCODER])
        assert row["to_torchvision"] == pytest.approx(row["seconds"] / time[bench.TORCHVISION])
    flops = [row["flops"] for row in rows]
    assert 0 < flops[0] < flops[1] < flops[2]
    said = capsys.readouterr().out
    assert all(name in said for name, *_ in few) and "threads" in said
    assert "torchvision fcn_resnet50, fp32" in drawn.read_text()


def test_everything_is_measured_as_documented_and_in_our_precision():
    found = bench.kinds([SIZE], torch.device("cpu"))
    names = {name for name, precision, size in found if precision == "fp32" and size == SIZE}
    assert names == {bench.ENCODER, *bench.OURS, *bench.RIVALS}
    image = torch.zeros(1, 3, *SIZE)
    for name in names - {bench.ENCODER}:
        masks = bench.build(name, "fp32", torch.device("cpu"))(image)
        masks = masks if isinstance(masks, list) else [masks[0]]
        assert len(masks) == (3 if name == bench.ALL else 1) and all(mask.shape == SIZE for mask in masks)


def test_sizes_that_are_none_are_refused(capsys):
    for size in ("512", "0x64", "axb", "64x64x64"):
        with pytest.raises(SystemExit):
            main(["bench", "--sizes", size])
        assert "HEIGHTxWIDTH" in capsys.readouterr().err


def test_the_matrix_rate_is_a_rate():
    assert 1e8 < bench.matrix_rate("fp32", torch.device("cpu"), 256) < 1e16
