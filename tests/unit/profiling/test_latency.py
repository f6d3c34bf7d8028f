"""The latency benchmark: its cases, and ratios that match the times."""

import json

import pytest
import torch

from seg.cli.main import main
from seg.profiling import engine_networks, latency, networks
from seg.profiling.latency import LatencyCase

SIZE = (64, 96)


@pytest.mark.slow
def test_ratios_and_rates_match_the_times(tmp_path, capsys, monkeypatch):
    names = (latency.ENCODER, latency.ALL, latency.TORCHVISION)
    few = [LatencyCase(name, "fp32", SIZE) for name in names] + [LatencyCase(latency.ALL, "fp32", SIZE, 3)]
    monkeypatch.setattr(
        latency, "latency_cases", lambda *_: few
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
    assert [(row["name"], row["precision"], tuple(row["size"]), row["batch"]) for row in rows] == few
    time = {row["name"]: row["seconds"] for row in rows if row["batch"] == 1}
    for row in rows:
        assert (
            row["seconds"] > 0
            and 0 < row["mfu"] < 2
            and (row["memory_bytes"] is None or row["memory_bytes"] >= 0)
        )
        assert row["relative_to_encoder"] == pytest.approx(row["seconds"] / time[latency.ENCODER])
        assert row["relative_to_torchvision"] == pytest.approx(row["seconds"] / time[latency.TORCHVISION])
    flops = [row["flops"] for row in rows]
    assert 0 < flops[0] < flops[1] == flops[3] < flops[2]  # those of one image
    output = capsys.readouterr().out
    assert all(name in output for name in names) and "threads" in output
    drawn = html_file.read_text()
    assert "torchvision fcn_resnet50, fp32" in drawn and "all three masks, fp32, 3 at once" in drawn


@pytest.mark.slow
def test_all_documented_networks_are_measured_in_our_precision():
    cases = latency.latency_cases([SIZE], torch.device("cpu"))
    names = {case.name for case in cases if case.precision == "fp32" and case.size == SIZE}
    assert names == {latency.ENCODER, *latency.MODELS, *latency.BASELINES}
    images = torch.rand(2, 3, *SIZE)
    for name in names - {latency.ENCODER}:
        masks = networks.build(name, "fp32", torch.device("cpu"))(images)
        assert len(masks) == (6 if name == latency.ALL else 2), name
        assert all(mask.shape == SIZE for mask in masks), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # warnings of torch.onnx and nncf
def test_engines_are_measured_in_every_precision(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(latency, "matmul_throughput", lambda *_: 1e9)
    monkeypatch.setattr(latency, "_peak", lambda *_: None)
    monkeypatch.setattr(engine_networks, "bf16_is_fast", lambda device: True)
    cases = [
        case
        for case in latency.latency_cases([SIZE], cpu, with_engines=True)
        if case.name in engine_networks.ENGINES or case[:2] == (latency.ALL, "fp32")
    ]
    by_case = {(row.name, row.precision): row for row in latency.measure(cases, 1, "cpu")}
    assert by_case.keys() == {
        (latency.ALL, "fp32"),
        *((engine_networks.ONNX_RUNTIME, precision) for precision in ("fp32", "int8")),
        *((engine_networks.OPENVINO, precision) for precision in ("fp32", "bf16", "int8")),
    }
    assert len({row.flops for row in by_case.values()}) == 1
    assert all((row.mfu is None) == (row.precision == "int8") for row in by_case.values())


def test_batch_sizes_apply_to_all_three_masks_only():
    cases = latency.latency_cases([SIZE], torch.device("cpu"), (1, 4))
    assert {case.name for case in cases if case.batch == 4} == {latency.ALL}
    assert {case.batch for case in cases if case.name == latency.ALL} == {1, 4}
    assert not {case.name for case in cases} & set(engine_networks.ENGINES)


def test_missing_engines_are_named_with_their_installation(monkeypatch, capsys):
    monkeypatch.setattr(engine_networks, "are_installed", lambda: False)
    monkeypatch.setattr(latency, "measure", lambda *_: [])
    main(["benchmark", "--sizes", "64x64", "--device", "cpu"])
    output = capsys.readouterr()
    assert "pip install -r requirements/engines.txt" in output.out + output.err
    with pytest.raises(SystemExit):
        main(["benchmark", "--batch-sizes", "0"])
    assert "--batch-sizes" in capsys.readouterr().err


def test_invalid_sizes_are_refused(capsys):
    for size in ("512", "0x64", "axb", "64x64x64"):
        with pytest.raises(SystemExit):
            main(["bench", "--sizes", size])
        assert "HEIGHTxWIDTH" in capsys.readouterr().err


def test_the_matrix_throughput_is_plausible():
    assert 1e8 < latency.matmul_throughput("fp32", torch.device("cpu"), 256) < 1e16
