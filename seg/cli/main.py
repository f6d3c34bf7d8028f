"""The command line: ``street-fcn COMMAND`` or ``python -m seg COMMAND``.

Each command is a dataclass whose fields are its options. Its module is imported when the command is called,
so that ``--help`` does not load PyTorch.
"""

import difflib
import importlib
import os
import sys
from typing import Any, NamedTuple

import seg
from seg.errors import StreetFCNError

PROGRAM = "street-fcn"
DESCRIPTION = "Train, evaluate, publish and use U-Net, FCN on VGG-16 and FCN on ResNet-50 for street photos."


class Entry(NamedTuple):
    """Where a command is defined, and the first line of its help text."""

    module: str
    name: str
    summary: str


COMMANDS = {
    "app": Entry("app", "App", "Start the app; its address is printed, for the browser."),
    "predict": Entry(
        "predict",
        "Predict",
        "Segment photos, folders and zips of photos, or videos, and write their masks.",
    ),
    "data": Entry("data", "Data", "Download, check, describe or render a data set."),
    "train": Entry("training", "Train", "Train a network, or continue a run: --resume RUN alone."),
    "cost": Entry(
        "training",
        "Cost",
        "Estimate the time and memory of a training by a few of its steps; nothing is kept.",
    ),
    "runs": Entry("training", "Runs", "List the trainings and their states."),
    "publish": Entry(
        "training", "Publish", "Evaluate a finished run and publish it: float16 parameters and a card."
    ),
    "evaluate": Entry(
        "evaluation",
        "Evaluate",
        "Evaluate published weights on a data set, with labels at 256x256, or on photos of another one.",
    ),
    "leaderboard": Entry(
        "evaluation",
        "Leaderboard",
        "Compare all published networks and baselines; draw them as an HTML page.",
    ),
    "compare": Entry(
        "comparison",
        "Compare",
        "Compare two networks on the same photos: differences with intervals, slices, and worst regressions.",
    ),
    "robustness": Entry(
        "robustness",
        "Robustness",
        "Evaluate published weights on photos with fog, noise, blur and other corruptions.",
    ),
    "resolution": Entry(
        "evaluation", "Resolution", "Measure mean IoU by working height, aspect ratio and resize mode."
    ),
    "benchmark": Entry(
        "profiling", "Benchmark", "Measure time and memory of every network beside its baselines."
    ),
    "profile-size": Entry("profiling", "ProfileSize", "Measure latency and memory by image size."),
    "weights": Entry("weights", "Weights", "List, show, verify or calibrate published weights."),
    "push": Entry(
        "hub", "Push", "Upload published weights, with their card and a README, to the Hugging Face hub."
    ),
    "pull": Entry(
        "hub", "Pull", "Download weights from the Hugging Face hub; the commands and the app then offer them."
    ),
    "export": Entry(
        "weights",
        "Export",
        "Export published weights to ONNX or torch.export, and compare them with PyTorch.",
    ),
    "quantize": Entry(
        "weights",
        "Quantize",
        "Quantize published weights to int8 for `predict --engine onnx` or `openvino`, on this machine.",
    ),
}
ALIASES = {"table": "leaderboard", "bench": "benchmark", "growth": "profile-size"}
"""Names of commands before version 1.0."""


def parse(args: list[str]) -> Any:
    """The command that a command line asks for, with its options.

    Args:
        args: the words after ``street-fcn``.

    Returns:
        An object of the command's class; `run` carries it out.

    Raises:
        SystemExit: after ``--help`` or ``--version`` (0), or if the words are no command line (2).
    """
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        raise SystemExit(0)
    if args[0] == "--version":
        print(seg.__version__)
        raise SystemExit(0)
    name = ALIASES.get(args[0], args[0])
    if name not in COMMANDS:
        similar = difflib.get_close_matches(args[0], [*COMMANDS, *ALIASES], 1)
        hint = f' Did you mean "{similar[0]}"?' if similar else f" `{PROGRAM} --help` lists them."
        print(f'error There is no command "{args[0]}".{hint}', file=sys.stderr)
        raise SystemExit(2)
    import tyro

    entry = COMMANDS[name]
    return tyro.cli(
        getattr(importlib.import_module(f"seg.cli.{entry.module}"), entry.name),
        prog=f"{PROGRAM} {name}",
        args=_variants_last(args[1:]),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )


def main(args: list[str] | None = None) -> None:
    """Run one command. If it fails, print why in a sentence and exit with code 1.

    Args:
        args: the words after ``street-fcn``; by default those of this process.
    """
    try:
        parse(sys.argv[1:] if args is None else args).run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as head, has ended; Rich exits silently as well
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        from rich.markup import escape

        from seg.cli.console import SafeConsole, error_message
        from seg.inference.device import out_of_memory

        # any other error is a fault of the program and keeps its traceback
        if not isinstance(error, (StreetFCNError, OSError)) and not out_of_memory(error):
            raise
        SafeConsole(stderr=True).print(f"[bold red]error[/] {escape(error_message(error))}", soft_wrap=True)
        sys.exit(1)


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = "\n".join(f"  {name:{width}}{entry.summary}" for name, entry in COMMANDS.items())
    return (
        f"usage: {PROGRAM} COMMAND [OPTIONS]\n\n{DESCRIPTION}\n\ncommands:\n{lines}\n\n"
        f"`{PROGRAM} COMMAND --help` lists the options of a command."
    )


def _variants_last(args: list[str]) -> list[str]:
    """Move ``--variants`` behind the positional arguments, which tyro would take for more variants.

    Raises `CommandError` for an unknown variant.
    """
    options = args[: args.index("--")] if "--" in args else args
    if "--variants" not in options:
        return args
    from seg.cli.console import CommandError
    from seg.models.factory import DISPLAY_NAMES

    first = len(options) - 1 - options[::-1].index("--variants")
    last = next(
        (at for at in range(first + 1, len(options)) if options[at] not in DISPLAY_NAMES), len(options)
    )
    if last == first + 1 < len(options) and not options[last].startswith("-"):
        raise CommandError(
            f"There is no variant {options[last]}; the variants are {', '.join(DISPLAY_NAMES)}."
        )
    return options[:first] + options[last:] + options[first:last] + args[len(options) :]
