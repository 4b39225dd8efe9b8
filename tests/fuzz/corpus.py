"""The corpora: a folder of small files for each target, of which none is there for nothing.

`seed-…` is what peers really send, `found-…` what once broke a promise; all others reach a line of
telcod, coming from another one, that no smaller one reaches.
"""

import hashlib
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
NAME_CHARS = 16
_ROOT = CORPUS.parents[2]
_OURS = tuple(f"{_ROOT / package}/" for package in ("telcod", "ussd", "ivr", "handlers"))


def name_of(octets):
    """The name of a file: by what is in it."""
    return hashlib.sha256(octets).hexdigest()[:NAME_CHARS]


def steps_of(one, octets):
    """Which steps from line to line of telcod's code an input makes."""
    steps = set()

    def in_frame(frame, event, _):
        if event == "line":
            steps.add((frame.f_code, last.get(frame), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return in_frame

    def at_call(frame, _, __):
        return in_frame if frame.f_code.co_filename.startswith(_OURS) else None

    last: dict[object, int] = {}
    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        one(octets)
    finally:
        sys.settrace(before)
    return steps


def smallest_cover(one, candidates, *, known):
    """Those candidates, in their order, that make a step which none before them makes.

    Args:
        one: The target.
        candidates: Inputs, smallest first.
        known: Inputs that are there already.
    """
    made = set().union(*(steps_of(one, octets) for octets in known))
    kept = []
    for octets in candidates:
        steps = steps_of(one, octets)
        if not steps <= made:
            made |= steps
            kept.append(octets)
    return kept
