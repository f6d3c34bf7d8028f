"""The Train page without a browser: the form, what it refuses and offers, and how runs are shown."""

import json
import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import curves, form
from seg import cli, dataset, launch, publish, runs, train, weights
from seg.checkpoint import Run
from seg.recipe import TrainConfig, TrainError

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves the app as ``__main__``, and the processes that later tests start would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def place(monkeypatch, tmp_path, pairs, registry) -> Path:
    """Empty folders of the project's own, but for one data set; nothing is started for real."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets").symlink_to(pairs)
    monkeypatch.setattr(dataset, "FOLDER", tmp_path / "data")
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "runs")
    monkeypatch.setattr(weights, "FOLDER", registry)
    monkeypatch.setenv("SEG_TRAINING", "on")
    started: list[list[str]] = []

    class Started:
        pid = os.getppid()  # somebody who is alive

    monkeypatch.setattr(launch, "detached", lambda output, *words: started.append(list(words)) or Started)
    monkeypatch.setattr(sys.modules[__name__], "STARTED", started, raising=False)
    return tmp_path


def page(**query: str) -> AppTest:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page("pages/train.py")
    for key, value in query.items():
        at.query_params[key] = value
    return at.run()


def text(at: AppTest) -> str:
    shown = [*at.markdown, *at.caption, *at.error, *at.info, *at.success, *at.warning, *at.code]
    return "\n".join([*(one.value for one in shown), *(one.proto.body for one in at.get("html"))])


def button(at: AppTest, label: str):
    return next(one for one in at.button if one.label == label)


def field(at: AppTest, name: str):
    key = f"setting_{name}"
    return next(
        one for kind in (at.number_input, at.selectbox, at.text_input, at.toggle, at.slider) for one in kind if one.key == key
    )


def finished(out: Path, pairs: Path, **more) -> TrainConfig:
    chosen = {"encoder_weights": "none", "epochs": 2, "batch_size": 4, "height": 32, "holdout": 4} | more
    config = TrainConfig(data=pairs, out=out, **chosen)
    train.train(config)
    return config


def test_without_data_and_runs_it_says_what_to_do(place):
    (place / "data" / "streets").unlink()
    at = page()
    assert not at.exception and at.session_state["view"] == "New training"
    assert "No data set is in" in text(at)
    assert any(one.label.startswith("Render them as") for one in at.button)


def test_the_form_has_every_setting_with_the_command_lines_words(place):
    at = page(view="New training")
    assert not at.exception
    help = cli.__dict__["recipe"].TrainConfig.__annotations__
    for name in help.keys() - {"out", "variants"}:
        assert field(at, name).proto.help == form.words()[name], name
    assert "--epochs 1" in text(at) and "python -m seg train --data" in text(at)


@pytest.mark.parametrize("preset", form.PRESETS)
def test_every_preset_makes_a_training_and_its_command_line_makes_the_same(place, preset):
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
        words = shlex.split(line)[3:]
        parsed = cli.tyro.cli(cli.Train, args=words[1:])
        for name, value in form.PRESETS[preset].items():
            assert getattr(parsed, name) == (4 if name == "holdout" else value)
    if len(lines) == 3:
        assert "--parent" not in lines[0] and lines[2].count("-16s") == 1 and "--variants 8s" in lines[2]


def test_starting_makes_the_run_and_shows_it(place):
    at = page(view="New training")
    field(at, "holdout").set_value(4)
    field(at, "encoder_weights").select("none")
    at.text_input(key="new_name").set_value("mine")
    at.run()
    button(at, "Start training").click().run()
    assert not at.exception and STARTED == [["train", "--resume", str(place / "runs" / "mine")]]  # noqa: F821
    assert at.session_state["run"] == "mine" and "waits" in text(at)
    config = Run(place / "runs" / "mine").config()
    assert config["command"].startswith("python -m seg train --data") and config["holdout"] == 4


def test_a_number_typed_just_before_the_start_counts_and_the_form_is_kept(place):
    at = page(view="New training")
    field(at, "holdout").set_value(4)
    field(at, "encoder_weights").select("none")
    at.run()
    field(at, "epochs").set_value(3)  # the browser hands it over together with the click
    at.text_input(key="new_name").set_value("mine")
    button(at, "Start training").click().run()
    assert not at.exception and Run(place / "runs" / "mine").config()["epochs"] == 3
    at.segmented_control(key="view").set_value("New training").run()
    assert field(at, "epochs").value == 3 and at.text_input(key="new_name").value == "fcn"
    at.switch_page("app.py").run()
    at.switch_page("pages/train.py").run()
    at.segmented_control(key="view").set_value("New training").run()
    assert field(at, "epochs").value == 3 and field(at, "holdout").value == 4


def test_options_become_fields_and_commands_stay():
    said = "Lower --encoder-lr; go on with --resume runs/a b-1. Or: python -m seg train --resume runs/x."
    wanted = "Lower “Learning rate of the encoder”; go on with it"
    assert form.in_words(said.replace("a b-1", "b-1")) == f"{wanted}. Or: python -m seg train --resume runs/x."
    assert form.in_words("Go on with it by --resume runs/x, or delete it.") == "Go on with it, or delete it."


def test_what_cannot_be_is_said_in_the_forms_words(place, pairs):
    (place / "runs" / "taken").mkdir(parents=True)
    for settings, name, sentence in (
        ({"height": 40}, "mine", "Height of the views"),
        ({"holdout": 14}, "mine", "Pairs held out"),
        ({}, "../mine", "no name for a run"),
        ({}, "taken", "a run named taken already"),
        ({"mix": f"{pairs}:0.5"}, "mine", "is not a data set of this project"),
    ):
        at = page(view="New training")
        at.text_input(key="new_name").set_value(name)
        for key, value in {"holdout": 4, **settings}.items():
            field(at, key).set_value(value)
        at.run()
        for one in at.button:
            if one.label == "Start training" and not one.disabled:
                one.click().run()
        assert not at.exception
        assert sentence in text(at).replace("\\", ""), text(at)
        assert "--" not in "".join(one.value for one in at.error)
    assert STARTED == []  # noqa: F821


def test_what_the_form_does_not_offer_is_refused(place):
    values = {"data": Path("/etc"), "encoder_weights": "none", "parent": "", "mix": ()}
    for change in ({}, {"data": place / "data" / "streets", "encoder_weights": "/etc/x.safetensors"}, {"parent": "/etc"}):
        with pytest.raises(TrainError, match="is not among what this form offers"):
            form._stay_inside(values | change)


@pytest.mark.parametrize(("said", "address", "may"), [
    ("off", "localhost", False), ("", "0.0.0.0", False), ("", "localhost", True), ("on", "0.0.0.0", True),
])  # fmt: skip
def test_training_can_be_switched_off(place, pairs, monkeypatch, said, address, may):
    monkeypatch.setenv("SEG_TRAINING", said)
    monkeypatch.setattr("streamlit.get_option", lambda name: address)
    Run(place / "runs" / "one").create(TrainConfig(data=pairs, out=place / "runs" / "one").to_json())
    at = page(view="New training")
    field(at, "holdout").set_value(4).run()
    assert button(at, "Start training").disabled is not may
    at = page(run="one")
    assert any(one.label == "Go on" for one in at.button) is may
    assert ("SEG_TRAINING" in text(at)) is not may
    assert ("the administrator has set" in text(at)) is (said == "off")


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
        "color": 1.0,
        "scale": (0.5, 2.0),
    }
    for name, value in form_of.items():
        field(at, name).set_value(value)
    at.run()
    assert (
        "This recipe is trained already" in text(at)
        and at.code[-1].value.endswith(" --again")
        and button(at, "Train it once more")
    )
    button(at, "Show it").click().run()
    assert at.session_state["run"] == "one"


def test_how_publishing_stands_is_told(place, pairs, registry, monkeypatch):
    config = finished(place / "runs" / "one", pairs, epochs=1)
    publish.publish(config.out, "mine", 32, registry=place / "weights")  # before a page: its processes would run the app
    run = Run(config.out)
    said = {"name": "mine", "status": "running", "what": "scoring: val", "done": 1, "total": 2}
    run.note("publishing", said, os.getppid())
    assert "Publishing mine: scoring: val" in str(page(run="one").get("progress")[0].proto.text)
    run.note("publishing", said, 2**22 + 1)
    assert "is gone" in text(page(run="one"))
    run.note("publishing", {"name": "mine", "status": "failed", "message": "No room."})
    assert "No room" in text(page(run="one"))
    monkeypatch.setattr(weights, "FOLDER", place / "weights")
    run.note("publishing", {"name": "mine", "status": "finished"})
    assert "Published as **mine**" in text(page(run="one"))


def test_a_run_is_duplicated_renamed_and_deleted_when_asked_twice(place, pairs):
    config = finished(place / "runs" / "one", place / "data" / "streets", epochs=1, seed=7)
    at = page(run="one")
    button(at, "Duplicate").click().run()
    assert at.session_state["view"] == "New training" and field(at, "seed").value == 7 and field(at, "height").value == 32
    assert at.session_state["new_name"] == "one-2"
    at = page(run="one")
    at.text_input(key="rename_one").set_value("a/b").run()
    at.button(key="do_rename_one").click().run()
    assert "is no name for a run" in text(at).replace("\\", "")
    at.text_input(key="rename_one").set_value("two").run()
    at.button(key="do_rename_one").click().run()
    assert not at.exception and at.session_state["run"] == "two" and not config.out.exists()
    assert at.button(key="do_delete_two").disabled
    at.checkbox(key="sure_two").check().run()
    at.button(key="do_delete_two").click().run()
    assert not at.exception and runs.find(runs.FOLDER) == () and "There are no runs" in text(at)


def test_the_dead_and_the_failed_say_why_and_can_go_on(place, pairs):
    run = Run(place / "runs" / "one")
    run.create(TrainConfig(data=pairs, out=run.folder).to_json())
    run.log("training from step 0")
    for beat, sentence in (
        ({"status": "running", "pid": 2**22 + 1}, "Its process was killed"),
        ({"status": "failed", "pid": 1, "message": "Out of memory: choose a smaller --batch-size or --height."}, "“Batch size”"),
    ):
        (run.folder / "heartbeat.json").write_text(json.dumps({"time": time.time(), "step": 3, "steps": 9} | beat))
        at = page(run="one")
        assert sentence in text(at).replace("\\", "") and "training from step 0" in text(at)
        button(at, "Go on").click().run()
        assert STARTED[-1] == ["train", "--resume", str(run.folder)]  # noqa: F821
        assert "waits" in text(at)


def test_curves_of_several_runs_are_told_apart(place, pairs):
    one = finished(place / "runs" / "one", pairs)
    other = finished(place / "runs" / "other", pairs, seed=1, variants=("8s",))
    lines = {config.out.name: Run(config.out).metrics() for config in (one, replace(other))}
    figure = curves.scores(lines, "mean_iou", "Mean IoU")
    assert [trace.name for trace in figure.data] == ["one, FCN-32s", "one, FCN-16s", "one, FCN-8s", "other, FCN-8s"]
    assert list(figure.data[0].x) == [1, 2] and figure.data[0].line.color != figure.data[3].line.color
    assert list(curves.loss(lines, {"one": 4, "other": 4}).data[1].x) == [16]
    at = page(run="one")
    at.multiselect(key="beside_runs").select("other").run()
    assert not at.exception and '"other, FCN-8s"' in at.get("plotly_chart")[1].proto.spec
