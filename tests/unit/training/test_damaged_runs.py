"""Run folders that are damaged or come from elsewhere, and settings that no training can use."""

import itertools
import json
import math
import os
from pathlib import Path

import pytest

from seg.cli.main import main
from seg.system import status_file
from seg.system.json_file import MAX_BYTES
from seg.training import lineage, run_status
from seg.training.config import TrainConfig, TrainError
from seg.training.run import Run, RunError

DEEP = "[" * 100_000 + "]" * 100_000
DAMAGED = {
    "list": "[]",
    "null": "null",
    "text": '"text"',
    "deep": '{"a":' + DEEP + "}",
    "cut off": '{"epochs": 2',
    "not UTF-8": b"\xff\xfe",
    "huge": " " * (MAX_BYTES + 1),
    "wrong types": '{"epochs": "two"}',
    "created": '{"created": "yesterday"}',
    "created list": '{"created": []}',
    "infinite": '{"created": Infinity}',
    "too many digits": '{"epochs": 1' + "0" * 5000 + "}",
    "zero epochs": '{"epochs": 0, "batch_size": 0}',
    "command": '{"command": {"a": 1}}',
    "start": '{"start": {"unknown": 1}}',
    "teacher": '{"distilled_from": {"name": "some"}}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_one_damaged_run_is_named_and_the_others_are_listed(tmp_path: Path, content, capsys):
    Run(tmp_path / "sound").create({"epochs": 2})
    (tmp_path / "broken").mkdir()
    file = tmp_path / "broken" / "config.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert len(run_status.find_runs(tmp_path)) == 2
    statuses, faults = run_status.list_statuses(tmp_path)
    assert [status.folder.name for status in statuses] == ["sound"]
    assert len(faults) == 1 and "config.json is damaged" in faults[0] and len(faults[0]) < 600
    main(["runs", str(tmp_path)])
    output = capsys.readouterr().out
    assert "sound" in output and "is damaged" in output
    run_status.delete(tmp_path / "broken")
    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    ["[]", DEEP, "{}", '{"status": []}', '{"step": "x", "status": "running", "time": 0, "pid": 1}', "1"],
    ids=lambda text: text[:20],
)
@pytest.mark.parametrize("name", ["heartbeat", "publishing"])
def test_a_damaged_status_counts_as_none(tmp_path: Path, name: str, content: str):
    run = Run(tmp_path / "run")
    run.create({"epochs": 2})
    (run.folder / f"{name}.json").write_text(content)
    assert run_status.get_status(run.folder).state == "crashed"
    assert run.read_heartbeat() == {}
    assert name != "publishing" or not run.read_publishing().get("what")


WRONG_VALUES = ([], {}, None, True, -1, 10**400, -(10**400), math.nan, math.inf, "", "x" * 10_000, {"a": [1]})


@pytest.mark.parametrize("name", ["heartbeat", "publishing"])
def test_any_value_of_a_status_may_be_wrong(tmp_path: Path, name: str):
    run = Run(tmp_path / "run")
    run.create({"epochs": 2})
    values = {"name": "x", "what": "y", "step": 1, "steps": 9, "done": 1, "total": 2, "status": "running"}
    status_file.write_status(run.folder, name, values | {"message": "z"}, os.getppid())
    file = run.folder / f"{name}.json"
    status = json.loads(file.read_text())
    for key, wrong in itertools.product(status, WRONG_VALUES):
        file.write_text(json.dumps(status | {key: wrong}))
        assert len(run_status.list_statuses(tmp_path)[0]) == 1
        assert status_file.is_active(run.folder, name) in (True, False)
        assert isinstance(run.read_publishing(), dict)


def test_only_valid_lines_of_metrics_count(tmp_path: Path):
    run = Run(tmp_path / "run")
    run.create({"epochs": 2})
    good = {"step": 5, "epoch": 0, "loss": 1.0, "8s": 1.0, "lr": 0.1, "seconds": 2.0}
    lines = ["[]", DEEP, "1", "{}", '{"step": "5"}', '{"step": 5, "8s": {"mean_iou": "high"}}']
    lines += ['{"step": -1}', '{"step": 1e999}', '{"step": 5, "loss": 1}', json.dumps(good), '{"step"']
    lines += ['{"step": 6, "epoch": 0, "seconds": 3.0, "unknown": {"mean_iou": 0.5}}']
    (run.folder / "metrics.jsonl").write_text("\n".join(lines))
    assert run.metrics()[0] == good and len(run.metrics()) == 2
    assert run_status.get_status(run.folder).metrics == {}


def test_damaged_checkpoints_are_no_state(tmp_path: Path):
    run = Run(tmp_path / "run")
    run.create({"epochs": 2})
    for step, content in enumerate(("[]", DEEP, '{"digests": []}', '{"step": "1"}', "{")):
        folder = run.checkpoints / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(content)
    assert run.state() is None
    with pytest.raises(RunError, match="None of the checkpoints"):
        run.load_latest()


def test_a_run_without_its_records_is_refused_with_a_sentence(tmp_path: Path):
    run = Run(tmp_path / "run")
    run.create({"epochs": 2})
    (run.folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="it lacks batch_size, command, decoder_version, start"):
        lineage.resolve_init(TrainConfig(init_from=str(run.folder)))


@pytest.mark.parametrize(
    "settings",
    [
        *(
            {"extra_data": (f"data/x:{share}",)}
            for share in ("inf", "-inf", "nan", "1e300", "1e999", "0", "")
        ),
        *(
            {name: value}
            for name in ("lr", "minutes", "weight_decay")
            for value in (float("inf"), float("nan"))
        ),
        {"scale": (0.5, float("inf"))},
        {"scale": (float("nan"), 1.0)},
        {"color_jitter": float("inf")},
        {"epochs": 10**30},
        {"batch_size": 10**12},
        {"height": 32 * 10**9},
        {"seed": 2**70},
    ],
    ids=str,
)
def test_numbers_that_no_training_can_use_are_refused_with_a_sentence(settings: dict):
    with pytest.raises(TrainError, match="--"):
        TrainConfig(**settings)
