"""``python -m seg`` and ``street-fcn``."""


def run() -> None:
    """Run the command line; Ctrl-C and SIGTERM end it without a traceback."""
    from seg.system.signals import graceful_exit

    with graceful_exit():
        from seg.cli.main import main  # takes seconds for most commands; Ctrl-C may come meanwhile

        main()


if __name__ == "__main__":  # worker processes import this module as well
    run()
