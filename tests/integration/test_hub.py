"""Weights travel over the Hugging Face hub, here a local server with its endpoints."""

import os
import subprocess
import sys

import pytest
import yaml

from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, WEIGHTS_FILE
from tests.support.hub_stub import TOKEN, hub_server

pytestmark = pytest.mark.slow


@pytest.fixture
def hub():
    with hub_server() as server:
        yield server


@pytest.fixture
def run(hub, registry, tmp_path):
    """Runs Python with arguments; the settings of the hub's client are read once, when it is imported."""

    def run(*arguments, weights=registry, **more):
        environment = os.environ | {
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",  # its protocol is not that of the server
            "SEG_WEIGHTS": str(weights),
            "SEG_CACHE": str(tmp_path / "cache"),
        }
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True)

    return run


def test_weights_are_pushed_and_pulled(hub, run, registry, tmp_path):
    pushed = run("-m", "seg", "push", DEFAULT_WEIGHTS, "owner/streets")
    assert pushed.returncode == 0, pushed.stderr
    files = hub.repositories["owner/streets"]
    for name in (CARD_FILE, WEIGHTS_FILE):
        assert files[name] == (registry / DEFAULT_WEIGHTS / name).read_bytes()
    metadata = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert metadata["library_name"] == "street-fcn" and metadata["pipeline_tag"] == "image-segmentation"
    assert 'from_pretrained("owner/streets")' in files["README.md"].decode()

    own = tmp_path / "own"
    for _ in range(2):  # again, they are there already
        pulled = run("-m", "seg", "pull", "owner/streets", weights=own)
        assert pulled.returncode == 0, pulled.stderr
    assert (own / DEFAULT_WEIGHTS / WEIGHTS_FILE).read_bytes() == files[WEIGHTS_FILE]
    assert [path.name for path in own.iterdir()] == [DEFAULT_WEIGHTS]


def test_a_predictor_is_loaded_by_the_name_of_a_repository(hub, run, registry):
    names = (CARD_FILE, WEIGHTS_FILE)
    hub.repositories["owner/streets"] = {n: (registry / DEFAULT_WEIGHTS / n).read_bytes() for n in names}
    program = """
from huggingface_hub import constants
from seg import Predictor
for offline in (False, True):
    constants.HF_HUB_OFFLINE = offline
    print(Predictor.from_pretrained("owner/streets", "cpu", precision="fp32").model.variants)
"""
    loaded = run("-c", program)
    assert loaded.stdout.count("8s") == 2, loaded.stderr


REFUSED = {
    "pull owner/missing": "There is no repository owner/missing",
    "pull owner/foreign": "contains no weights of this project: it has no card.json",
    "pull owner/broken": "its card.json is no model card",
    "pull owner/changed": "differs from the file that its card describes",
    "pull owner/foreign --revision v9": "has no such revision",
    "pull no-owner/too/long": "is no name of a repository",
    "pull no-owner": "is no name of a repository",
    "push missing owner/streets": "There are no weights named",
}


def test_what_cannot_be_exchanged_is_explained(hub, run, registry, tmp_path):
    card = (registry / DEFAULT_WEIGHTS / CARD_FILE).read_bytes()
    hub.repositories |= {
        "owner/foreign": {"config.json": b"{}"},
        "owner/broken": {CARD_FILE: b"[]"},
        "owner/changed": {CARD_FILE: card, WEIGHTS_FILE: b"other"},
    }
    program = """
import sys
from seg.cli.main import main
for command in sys.argv[1:]:
    try:
        main(command.split())
    except SystemExit as end:
        print("", end.code, file=sys.stderr)
"""
    done = run("-c", program, *REFUSED, weights=tmp_path / "own")
    printed = " ".join(done.stderr.split())
    assert [message for message in REFUSED.values() if message not in printed] == [], printed
    assert printed.count("error ") == len(REFUSED) and "Traceback" not in printed
    assert not list((tmp_path / "own").glob("*"))


def test_without_a_token_or_a_network_the_remedy_is_named(run, hub):
    refused = run("-m", "seg", "push", DEFAULT_WEIGHTS, "owner/streets", HF_TOKEN="wrong")
    assert "hf auth login" in refused.stderr and refused.returncode == 1
    unreachable = run("-m", "seg", "pull", "owner/streets", HF_ENDPOINT="http://127.0.0.1:9")
    assert "could not be reached" in unreachable.stderr and unreachable.returncode == 1
