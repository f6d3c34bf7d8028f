"""``streamlit`` in a process that tells, when it gets SIGUSR1, how often a word lies in what it holds.

The word is ``WORD``; the answer is added to the file ``TOLD`` as a line: how many bytes objects have it, how many masks are kept.
"""

import gc
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from streamlit.web.cli import main

from pages.parts import leaving

leaving.LOOK = 0.5


def tell(*_) -> None:
    word = os.environ["WORD"].encode()
    gc.collect()
    held = gc.get_objects()
    found = {id(part) for one in held for part in gc.get_referents(one) if type(part) is bytes and word in part and part != word}
    answers = sum(type(one).__name__ == "Answer" for one in held)
    with open(os.environ["TOLD"], "a") as told:
        told.write(f"{len(found)} {answers}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell)
    sys.exit(main())
