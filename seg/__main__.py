"""python -m seg"""

from seg.cli import main

if __name__ == "__main__":
    main()
