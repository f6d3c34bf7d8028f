"""Results for the hostile files: `python -m tests.support.hostile_survey` prints them."""

import io
import itertools
import json
import re
import resource
import sys
import time
import warnings
from collections import Counter

from seg.data.archives import ArchiveError, members
from seg.data.image_io import EXIF_ORIENTATION, REDUCED_FROM, PhotoError, read_photo
from tests.support.hostile_files import FILES, corpus

KNOWN_INFO = {EXIF_ORIENTATION, REDUCED_FROM}


def is_a_sentence(message: str) -> bool:
    """Whether this is a message for a person: one or two sentences, without internals of the program."""
    return bool(re.fullmatch(r'[A-Z"][^\n]{10,300}\.|[A-Z"][^\n]{10,300}picture', message)) and not re.search(
        r"Error|Traceback|0x|line \d", message
    )


def photo_fate(data: bytes) -> str:
    """The fate of a photo's file."""
    photo = read_photo(data)
    return "photo" if photo.mode == "RGB" and photo.info.keys() <= KNOWN_INFO else "strange photo"


def zip_fate(data: bytes) -> str:
    """The fate of a zip: its files are photos if one of them is extracted."""
    errors, fate = [], "refused"
    for _, member in members(io.BytesIO(data)):
        errors += [member.error] * bool(member.error)
        fate = fate if member.error else "photo"
    return next((refusal for refusal in map(refusal_fate, errors) if refusal != "refused"), fate)


def refusal_fate(message: str) -> str:
    """The fate of a refused file, according to its message."""
    return "refused" if is_a_sentence(message) else f"refused, but not in a sentence: {message}"


def survey(every: int = 1) -> dict:
    """Results for every nth file: counts by family and fate, errors, the longest time and the memory used."""
    counts, wrong, slowest = Counter(), [], ("", 0.0)
    warnings.simplefilter("ignore")  # Pillow warns about broken files
    read_photo(FILES["jpeg"])
    for case in itertools.islice(corpus(), 0, None, every):
        began = time.perf_counter()
        try:
            fate = zip_fate(case.data) if case.family == "zip" else photo_fate(case.data)
        except (PhotoError, ArchiveError) as error:
            fate = refusal_fate(str(error))
        except BaseException as error:
            fate = f"{type(error).__name__}: {error}"
        slowest = max(slowest, (case.name, time.perf_counter() - began), key=lambda timing: timing[1])
        counts[case.family, fate] += 1
        if fate != case.fate and not (case.fate == "either" and fate in ("photo", "refused")):
            wrong.append((case.family, case.name, fate))
    return {
        "cases": sum(counts.values()),
        "counts": [(family, fate, n) for (family, fate), n in counts.items()],
        "wrong": wrong,
        "slowest": slowest,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    if sys.argv[1:2] == ["--json"]:  # followed by the step between files
        print(json.dumps(survey(int(sys.argv[2]))))
        return
    results = survey()
    print(
        f"\n## {results['cases']} hostile files\n\n| family | read as a photo | refused with a sentence"
        " |\n|---|---|---|"
    )
    counts = {(family, fate): n for family, fate, n in results["counts"]}
    for family in dict.fromkeys(family for family, _ in counts):
        print(f"| {family} | {counts.get((family, 'photo'), 0)} | {counts.get((family, 'refused'), 0)} |")
    name, took = results["slowest"]
    print(f"\nOtherwise than they should: {len(results['wrong'])}. The slowest took {took:.1f} s ({name}).")
    print(f"At most {results['peak_mb']:.0f} MB were held, the reader and the corpus included.")


if __name__ == "__main__":
    main()
