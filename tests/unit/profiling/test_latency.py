"""The latency benchmark: its cases, and ratios that match the times."""

import json

import pytest
import torch

from seg.cli.main import main
from seg.profiling import latency

SIZE = (64, 96)


@pytest.mark.slow
def test_ratios_and_rates_match_the_times(tmp_path, capsys, monkeypatch):
    few = [(name, "fp32", SIZE) for name in (latency.ENCODER, latency.ALL, latency.TORCHVISION)]
    monkeypatch.setattr(
        latency, "latency_cases", lambda sizes, device: few
    )  # each case runs in a separate process to measure its memory
    throughput = latency.matmul_throughput
    monkeypatch.setattr(latency, "matmul_throughput", lambda *case: throughput(*case, side=256))
    html_file, json_file = tmp_path / "b.html", tmp_path / "b.json"
    main(
        [
            "bench",
            "--sizes",
            "64x96",
            "--repeats",
            "1",
            "--device",
            "cpu",
            "--json",
            str(json_file),
            "--plot",
            str(html_file),
        ]
    )
    rows = json.loads(json_file.read_text())
    assert [(row["name"], row["precision"], tuple(row["size"])) for row in rows] == few
    time = {row["name"]: row["seconds"] for row in rows}
    for row in rows:
        assert (
            row["seconds"] > 0
            and 0 < row["mfu"] < 2
            and (row["memory_bytes"] is None or row["memory_bytes"] >= 0)
        )
        assert row["relative_to_encoder"] == pytest.approx(row["seconds"] / time[latency.ENCODER])
        assert row["relative_to_torchvision"] == pytest.approx(row["seconds"] / time[latency.TORCHVISION])
    flops = [row["flops"] for row in rows]
    assert 0 < flops[0] < flops[1] < flops[2]
    output = capsys.readouterr().out
    assert all(name in output for name, *_ in few) and "threads" in output
    assert "torchvision fcn_resnet50, fp32" in html_file.read_text()


@pytest.mark.slow
def test_all_documented_networks_are_measured_in_our_precision():
    cases = latency.latency_cases([SIZE], torch.device("cpu"))
    names = {name for name, precision, size in cases if precision == "fp32" and size == SIZE}
    assert names == {latency.ENCODER, *latency.MODELS, *latency.BASELINES}
    image = torch.zeros(1, 3, *SIZE)
    for name in names - {latency.ENCODER}:
        masks = latency.build(name, "fp32", torch.device("cpu"))(image)
        masks = masks if isinstance(masks, list) else [masks[0]]
        assert len(masks) == (3 if name == latency.ALL else 1) and all(mask.shape == SIZE for mask in masks)


def test_invalid_sizes_are_refused(capsys):
    for size in ("512", "0x64", "axb", "64x64x64"):
        with pytest.raises(SystemExit):
            main(["bench", "--sizes", size])
        assert "HEIGHTxWIDTH" in capsys.readouterr().err


def test_the_matrix_throughput_is_plausible():
    assert 1e8 < latency.matmul_throughput("fp32", torch.device("cpu"), 256) < 1e16
