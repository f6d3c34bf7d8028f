"""python -m seg"""

if __name__ == "__main__":  # the import too: processes that this one starts look in here as well
    from seg.stopping import orderly

    with orderly():
        from seg.cli import main  # takes seconds, in which ctrl-C may come

        main()
