"""``streamlit`` in a process that counts the objects containing a word on SIGUSR1.

The word is ``WORD``. The process appends a line to the file ``REPORT``: the number of bytes objects that
contain the word, and the number of cached predictions.
"""

import gc
import os
import signal
import sys

from streamlit.web.cli import main

from ui.state import session_cleanup

session_cleanup.INTERVAL = 0.5


def count_word(*_) -> None:
    word = os.environ["WORD"].encode()
    gc.collect()
    held = gc.get_objects()
    matches = {
        id(part)
        for holder in held
        for part in gc.get_referents(holder)
        if type(part) is bytes and word in part and part != word
    }
    answers = sum(type(item).__name__ == "CachedPrediction" for item in held)
    with open(os.environ["REPORT"], "a") as report:
        report.write(f"{len(matches)} {answers}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, count_word)
    sys.exit(main())
