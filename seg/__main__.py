"""python -m seg"""

if __name__ == "__main__":  # the import too: processes that this one starts look in here as well
    from seg.cli import main

    main()
