"""Commands of the program, called in the process of the test."""

from seg.cli import main


def run_command(*arguments: object) -> int:
    """Return the exit code of a command."""
    try:
        main.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
