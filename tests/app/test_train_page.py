"""The Train page without a browser: the form, its checks and choices, and the display of runs."""

import json
import os
import shlex
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from seg import jobs, paths
from seg.cli.main import parse
from seg.models.registry import DEFAULT_WEIGHTS, METHODS, read_card
from seg.publishing import publish
from seg.system.status_file import write_status
from seg.training import lifecycle, run_status
from seg.training.config import SETTINGS, TrainConfig, TrainError
from seg.training.run import Run
from tests.support.app_pages import open_page, text
from ui.training import curves, form


@pytest.fixture
def place(monkeypatch, tmp_path, pairs, registry) -> Path:
    """Empty project folders except for one dataset. No process is started."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets").symlink_to(pairs)
    monkeypatch.setenv("SEG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEG_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    monkeypatch.setenv("SEG_TRAINING", "on")
    started: list[list[str]] = []

    class Started:
        pid = os.getppid()  # a process that is alive

    monkeypatch.setattr(
        jobs, "spawn_detached", lambda output, *arguments: started.append(list(arguments)) or Started
    )
    monkeypatch.setattr(sys.modules[__name__], "STARTED", started, raising=False)
    return tmp_path


page = partial(open_page, "pages/train.py")


def button(at: AppTest, label: str):
    return next(candidate for candidate in at.button if candidate.label == label)


def field(at: AppTest, name: str):
    key = f"setting_{name}"
    return next(
        element
        for kind in (at.number_input, at.selectbox, at.text_input, at.toggle, at.slider)
        for element in kind
        if element.key == key
    )


def finished(out: Path, pairs: Path, **more) -> TrainConfig:
    chosen = {"encoder_weights": "none", "epochs": 2, "batch_size": 4, "height": 32, "holdout": 4} | more
    config = TrainConfig(data=pairs, out=out, evaluate_every=1, **chosen)
    lifecycle.train(config)
    return config


def test_without_data_and_runs_published_trainings_are_shown(place, monkeypatch):
    (place / "data" / "streets").unlink()
    monkeypatch.setenv("SEG_WEIGHTS", "")  # the shipped ones
    at = page()
    assert not at.exception and at.session_state["view"] == "Published"
    for name in METHODS:
        at.session_state["trained"] = name
        at.run()
        card = read_card(name)
        assert not at.exception
        assert f"{card.training['steps']:,} steps" in text(at) and f"{card.samples_seen:,}" in text(at)
        assert [metric.value for metric in at.metric] == [
            f"{card.metrics['variants'][variant]['mean_iou']:.3f}" for variant in card.variants
        ]
        figures = {
            figure["layout"]["title"]["text"]: figure["data"]
            for figure in (json.loads(chart.spec) for chart in at.get("plotly_chart"))
        }
        shown = max(figures["Training loss, all variants"][0]["x"])
        assert 0.99 * card.samples_seen < shown <= card.samples_seen
        assert figures["Learning rate"]
        assert len(figures["IoU by class, val, 500 samples"]) == len(card.variants)


def test_a_published_training_is_duplicated(place, monkeypatch):
    assert "without the records of their training" in text(page(view="Published"))
    monkeypatch.setenv("SEG_WEIGHTS", "")
    card = read_card(DEFAULT_WEIGHTS)
    at = page(view="Published", trained=DEFAULT_WEIGHTS)
    button(at, "Duplicate").click().run()
    assert not at.exception and at.session_state["view"] == "New training"
    assert at.session_state["new_name"] == DEFAULT_WEIGHTS
    for name in ("height", "epochs", "batch_size", "lr"):
        assert field(at, name).value == card.config[name]


def test_without_data_and_weights_the_page_gives_instructions(place, monkeypatch):
    (place / "data" / "streets").unlink()
    (place / "none").mkdir()
    monkeypatch.setenv("SEG_WEIGHTS", str(place / "none"))
    at = page()
    assert not at.exception and at.session_state["view"] == "New training"
    assert "No dataset in" in text(at)
    assert any(element.label.startswith("Render as") for element in at.button)


def test_the_form_has_every_setting_with_its_description(place):
    at = page(view="New training")
    assert not at.exception
    help = TrainConfig.__annotations__
    for name in help.keys() - {"out", "variants"}:
        assert field(at, name).proto.help == SETTINGS[name].description, name
    assert "--epochs 1" in text(at) and "python -m seg train --data" in text(at)


@pytest.mark.parametrize("preset", form.PRESETS)
def test_every_preset_agrees_with_its_command_line(place, preset):
    at = page(view="New training")
    at.session_state["preset"] = preset
    at.session_state["staged"] = "staged" in preset
    for name, value in form.PRESETS[preset].items():
        at.session_state[f"setting_{name}"] = value
    at.session_state["setting_holdout"] = 4
    at.run()
    assert not at.exception and not at.error
    lines = at.code[0].value.splitlines()
    assert len(lines) == (3 if "staged" in preset else 1)
    for line in lines:
        arguments = shlex.split(line)[3:]
        parsed = parse(arguments)
        for name, value in form.PRESETS[preset].items():
            assert getattr(parsed, name) == (4 if name == "holdout" else value)
    if len(lines) == 3:
        assert "--init-from" not in lines[0] and lines[2].count("-16s") == 1 and "--variants 8s" in lines[2]


def test_starting_creates_the_run_and_shows_it(place):
    at = page(view="New training")
    field(at, "holdout").set_value(4)
    field(at, "encoder_weights").select("none")
    at.text_input(key="new_name").set_value("mine")
    at.run()
    button(at, "Start training").click().run()
    assert not at.exception and STARTED == [["train", "--resume", str(place / "runs" / "mine")]]  # noqa: F821
    assert at.session_state["run"] == "mine" and "queued" in text(at)
    config = Run(place / "runs" / "mine").config()
    assert config["command"].startswith("python -m seg train --data") and config["holdout"] == 4


def test_a_late_entry_counts_and_the_form_is_kept(place):
    at = page(view="New training")
    field(at, "holdout").set_value(4)
    field(at, "encoder_weights").select("none")
    at.run()
    field(at, "epochs").set_value(3)  # the browser sends it together with the click
    at.text_input(key="new_name").set_value("mine")
    button(at, "Start training").click().run()
    assert not at.exception and Run(place / "runs" / "mine").config()["epochs"] == 3
    at.segmented_control(key="view").set_value("New training").run()
    assert field(at, "epochs").value == 3 and at.text_input(key="new_name").value == "fcn"
    at.switch_page("app.py").run()
    at.switch_page("pages/train.py").run()
    at.segmented_control(key="view").set_value("New training").run()
    assert field(at, "epochs").value == 3 and field(at, "holdout").value == 4


def test_messages_name_form_fields_but_keep_commands():
    message = "Lower --encoder-lr; resume with --resume runs/b-1. Or: python -m seg train --resume runs/x."
    expected = "Lower “Encoder learning rate”; resume it. Or: python -m seg train --resume runs/x."
    assert form.in_form_terms(message).replace(form.label("encoder_lr"), "Encoder learning rate") == expected
    assert form.in_form_terms("Resume it with --resume runs/x, or delete it.") == "Resume it, or delete it."


def test_invalid_settings_are_reported_in_form_terms(place, pairs):
    (place / "runs" / "taken").mkdir(parents=True)
    for settings, name, sentence in (
        ({"height": 40}, "mine", "Crop height"),
        ({"holdout": 14}, "mine", "Validation (hold-out) samples"),
        ({}, "../mine", "cannot name a run"),
        ({}, "taken", "A run named taken already exists"),
        ({"extra_data": f"{pairs}:0.5"}, "mine", "is not a dataset of this project"),
    ):
        at = page(view="New training")
        at.text_input(key="new_name").set_value(name)
        for key, value in {"holdout": 4, **settings}.items():
            field(at, key).set_value(value)
        at.run()
        for element in at.button:
            if element.label == "Start training" and not element.disabled:
                element.click().run()
        assert not at.exception
        assert sentence in text(at).replace("\\", ""), text(at)
        assert "--" not in "".join(element.value for element in at.error)
    assert STARTED == []  # noqa: F821


def test_values_outside_the_form_choices_are_refused(place):
    values = {"data": Path("/etc"), "encoder_weights": "none", "init_from": "", "extra_data": ()}
    for change in (
        {},
        {"data": place / "data" / "streets", "encoder_weights": "/etc/x.safetensors"},
        {"parent": "/etc"},
    ):
        with pytest.raises(TrainError, match="is not one of the choices of this form"):
            form._check_choices(values | change)


@pytest.mark.parametrize(("setting", "address", "permitted"), [
    ("off", "localhost", False), ("", "0.0.0.0", False), ("", "localhost", True), ("on", "0.0.0.0", True),
])  # fmt: skip
def test_training_can_be_switched_off(place, pairs, monkeypatch, setting, address, permitted):
    monkeypatch.setenv("SEG_TRAINING", setting)
    monkeypatch.setattr("streamlit.get_option", lambda name: address)
    Run(place / "runs" / "one").create(TrainConfig(data=pairs, out=place / "runs" / "one").to_json())
    at = page(view="New training")
    field(at, "holdout").set_value(4).run()
    assert button(at, "Start training").disabled is not permitted
    at = page(run="one")
    assert any(element.label == "Resume" for element in at.button) is permitted
    assert ("SEG_TRAINING" in text(at)) is not permitted
    assert ("the administrator has set" in text(at)) is (setting == "off")


def test_a_finished_run_is_shown_published_and_recognised(place, pairs):
    config = finished(place / "runs" / "one", place / "data" / "streets")
    at = page(run="one")
    assert not at.exception and "finished" in text(at)
    assert len(at.metric) == 3 and at.select_slider[0].value == 2
    assert len(at.get("plotly_chart")) == 5
    assert text(at).count("data:image/png") == 16 and text(at).count("data:image/jpeg") == 4
    at.select_slider[0].set_value(1).run()
    assert not at.exception
    button(at, "Publish").click().run()
    assert STARTED[-1] == ["publish", str(config.out), "--name", "one"]  # noqa: F821
    at = page(view="New training")
    form_of = {
        "epochs": 2,
        "batch_size": 4,
        "height": 32,
        "holdout": 4,
        "encoder_weights": "none",
        "color_jitter": 1.0,
        "scale": (0.5, 2.0),
    }
    for name, value in form_of.items():
        field(at, name).set_value(value)
    at.run()
    assert (
        "has these settings and is finished" in text(at)
        and at.code[-1].value.endswith(" --again")
        and button(at, "Train again")
    )
    button(at, "Show run").click().run()
    assert at.session_state["run"] == "one"


def test_the_publishing_status_is_shown(place, pairs, registry, monkeypatch):
    config = finished(place / "runs" / "one", pairs, epochs=1)
    publish.publish(
        config.out, "mine", 32, registry=place / "weights"
    )  # before a page, because processes would run the app
    run = Run(config.out)
    status = {"name": "mine", "status": "running", "what": "scoring: val", "done": 1, "total": 2}
    write_status(run.folder, "publishing", status, os.getppid())
    assert "Publishing mine: scoring: val" in str(page(run="one").get("progress")[0].proto.text)
    write_status(run.folder, "publishing", status, 2**22 + 1)
    assert "Publishing crashed" in text(page(run="one"))
    write_status(run.folder, "publishing", {"name": "mine", "status": "failed", "message": "No room."})
    assert "No room" in text(page(run="one"))
    monkeypatch.setenv("SEG_WEIGHTS", str(place / "weights"))
    write_status(run.folder, "publishing", {"name": "mine", "status": "finished"})
    assert "Published as **mine**" in text(page(run="one"))


def test_a_run_is_duplicated_renamed_and_deleted_after_confirmation(place, pairs):
    config = finished(place / "runs" / "one", place / "data" / "streets", epochs=1, seed=7)
    at = page(run="one")
    button(at, "Duplicate").click().run()
    assert (
        at.session_state["view"] == "New training"
        and field(at, "seed").value == 7
        and field(at, "height").value == 32
    )
    assert at.session_state["new_name"] == "one-2"
    at = page(run="one")
    at.text_input(key="rename_one").set_value("a/b").run()
    at.button(key="do_rename_one").click().run()
    assert "cannot name a run" in text(at).replace("\\", "")
    at.text_input(key="rename_one").set_value("two").run()
    at.button(key="do_rename_one").click().run()
    assert not at.exception and at.session_state["run"] == "two" and not config.out.exists()
    assert at.button(key="do_delete_two").disabled
    at.checkbox(key="sure_two").check().run()
    at.button(key="do_delete_two").click().run()
    assert not at.exception and run_status.find_runs(paths.runs()) == () and "No runs yet" in text(at)


def test_crashed_and_failed_runs_give_reasons_and_can_resume(place, pairs):
    run = Run(place / "runs" / "one")
    run.create(TrainConfig(data=pairs, out=run.folder).to_json())
    run.log("training from step 0")
    for beat, sentence in (
        ({"status": "running", "pid": 2**22 + 1}, "The process was killed"),
        (
            {
                "status": "failed",
                "pid": 1,
                "message": "Out of memory: choose a smaller --batch-size or --height.",
            },
            "“Batch size”",
        ),
    ):
        (run.folder / "heartbeat.json").write_text(
            json.dumps({"time": time.time(), "step": 3, "steps": 9} | beat)
        )
        at = page(run="one")
        assert sentence in text(at).replace("\\", "") and "training from step 0" in text(at)
        button(at, "Resume").click().run()
        assert STARTED[-1] == ["train", "--resume", str(run.folder)]  # noqa: F821
        assert "queued" in text(at)


def test_curves_of_several_runs_are_distinct(place, pairs):
    first = finished(place / "runs" / "one", pairs)
    second = finished(place / "runs" / "other", pairs, seed=1, variants=("8s",))
    lines = {config.out.name: Run(config.out).metrics() for config in (first, replace(second))}
    figure = curves.scores(lines, "mean_iou", "Mean IoU")
    assert [trace.name for trace in figure.data] == [
        "one, FCN-32s",
        "one, FCN-16s",
        "one, FCN-8s",
        "other, FCN-8s",
    ]
    assert list(figure.data[0].x) == [1, 2] and figure.data[0].line.color != figure.data[3].line.color
    assert list(curves.loss(lines, {"one": 4, "other": 4}).data[1].x) == [16]
    at = page(run="one")
    at.multiselect(key="beside_runs").select("other").run()
    assert not at.exception and '"other, FCN-8s"' in at.get("plotly_chart")[1].proto.spec


def test_damaged_and_foreign_runs_are_named_and_their_text_is_no_markdown(place):
    runs = place / "runs"
    Run(runs / "sound").create({"epochs": 2, "created": 3e9})
    Run(runs / "foreign").create({"epochs": 2, "created": 2e9})
    picture = "![x](https://example.org/track.png)"
    status = {"name": picture, "status": "running", "what": picture, "done": 9, "total": 1}
    write_status(runs / "foreign", "publishing", status, os.getppid())
    for number, content in enumerate(("[]", "[" * 100_000, '{"epochs": "two"}', '{"created": []}')):
        (runs / f"broken-{number}").mkdir(parents=True)
        (runs / f"broken-{number}" / "config.json").write_text(content)
    for name in ("sound", "foreign", "broken-0", "broken-1"):
        for view in ("Runs", "New training"):
            at = page(view=view, run=name)
            assert not at.exception, (name, view)
        at = page(run=name)
        assert (
            len([warning for warning in at.warning if "config.json is damaged" in plain_text(warning)]) == 4
        )
    at = page(run="broken-0")
    assert "config.json is damaged" in plain_text(at.error[0])
    at = page(run="foreign")
    shown = [element.proto.text for element in at.get("progress")]
    assert len(shown) == 1 and "![x](" not in shown[0] and "example" in shown[0]


def plain_text(element) -> str:
    return element.value.replace("\\", "").replace("\u2060", "")


def test_an_interrupted_first_run_leaves_a_whole_form(place):
    """Streamlit may end a run between two assignments; entries that were made meanwhile stay."""
    at = AppTest.from_file(Path(__file__).parents[2] / "app.py", default_timeout=60).switch_page(
        "pages/train.py"
    )
    at.session_state["setting_epochs"] = 3
    at.run()
    assert not at.exception
    assert (field(at, "epochs").value, field(at, "batch_size").value, field(at, "height").value) == (
        3,
        4,
        128,
    )
    at.run()
    assert field(at, "epochs").value == 3
