"""Looks for inputs that break a target, guided by coverage; `scripts/fuzz` calls it.

Each target runs in a process of its own, with telcod's modules instrumented by atheris.  An input
that reaches something new is kept in the corpus, and one that breaks a promise as `found-…`, where
the default tests will fail on it until it is mended.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.corpus import CORPUS, name_of, smallest_cover

SECONDS = 60
INPUT_S_MAX = 10
MEMORY_MB_MAX = 2_048
# Beyond its own limit a target may need so long to load, to be instrumented and to end: some
# seconds, but where everything else goes first, minutes.
SLACK_S = 900
SAID_CHARS_MAX = 6_000
INSTRUMENTED = ("telcod", "ussd", "ivr", "handlers")
LAST_LINE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+)")
WORD = re.compile(rb"[A-Za-z_]{3,30}")
FIRST_LINE = re.compile(r"#\d+\s+INITED cov: (\d+) ft: (\d+)")


def main(arguments=None):
    """Fuzz some targets; 1 if something was found."""
    options = _options(arguments)
    if options.within:
        _fuzz(options.targets[0], options.within)
    if options.replay:
        return _replay(options.replay)
    if options.minimise:
        for name in options.targets:
            _minimise(name)
        return 0
    broken = []
    for name in options.targets:
        told = fuzz(name, options.seconds)
        print(told.words, flush=True)
        broken += [name] * told.broken
    if broken:
        print(f"{', '.join(broken)}: see found-* in {CORPUS}")
    return 1 if broken else 0


def _options(arguments):
    # Only names here: the targets themselves are loaded where they are instrumented.
    known = sorted(folder.name for folder in CORPUS.iterdir() if folder.is_dir())
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(known))
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target; 60")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="only run a file of a corpus through its target"
    )
    parser.add_argument(
        "--minimise", action="store_true", help="only drop what a corpus has for nothing"
    )
    parser.add_argument("--within", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.targets = options.targets or known
    if unknown := set(options.targets) - set(known):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    return options


class Told(NamedTuple):
    """What came of fuzzing a target."""

    broken: bool
    words: str


def fuzz(name, seconds, *, keep=True):
    """Fuzz one target for so long, and keep what it found unless told otherwise."""
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        work = Path(folder)
        for part in ("new", "broken"):
            (work / part).mkdir()
        command = (sys.executable, "-m", "tests.fuzz.run", name, "--within", folder)
        done = subprocess.run(
            (*command, "--seconds", str(seconds)),
            cwd=CORPUS.parents[2],
            env=os.environ | {"TMPDIR": folder},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + SLACK_S,
            check=False,
        )
        broken = [path.read_bytes() for path in sorted((work / "broken").iterdir())]
        first, last = FIRST_LINE.search(done.stderr), LAST_LINE.search(done.stderr)
        if broken or done.returncode or last is None:
            if keep:
                _keep_broken(name, broken)
            said = "\n".join(_telling(done.stdout + done.stderr))[-SAID_CHARS_MAX:]
            ended = f"it ended with {done.returncode}"
            return Told(True, f"{name}: BROKEN by {broken}; {ended}\n{said}")
        added = _keep_new(name, work / "new") if keep else 0
    began = f"{first[1]} ({first[2]})" if first else "?"
    return Told(
        False,
        f"{name}: {last[1]} runs, coverage {began} to {last[2]} ({last[3]}), "
        f"{added} new in the corpus",
    )


def _telling(lines):
    """What was said, without what is said all the time."""
    dull = ("INFO: Instrumenting", "#")
    return [line for line in lines.splitlines() if not line.startswith(dull)]


def _replay(path):
    """Run one input that is kept; what it breaks is seen as an ordinary traceback."""
    from tests.fuzz.targets import TARGETS

    TARGETS[path.parent.name].one(path.read_bytes())
    print(f"{path.name} breaks nothing")
    return 0


def _minimise(name):
    """Drop what reaches nothing new beside the seeds, what was found, and what is smaller."""
    from tests.fuzz.targets import TARGETS

    _hush()
    paths = sorted((CORPUS / name).iterdir())
    inputs = {path: path.read_bytes() for path in paths}
    known = [inputs.pop(path) for path in paths if "-" in path.name]
    candidates = sorted(inputs.values(), key=_by_size)
    kept = smallest_cover(TARGETS[name].one, candidates, known=known)
    for path, octets in inputs.items():
        if octets not in kept:
            path.unlink()
    print(f"{name}: {len(known)} named and {len(kept)} of {len(inputs)} others kept", flush=True)


def _keep_broken(name, inputs):
    for octets in inputs:
        (CORPUS / name / f"found-{name_of(octets)}").write_bytes(octets)


def _by_size(octets):
    return len(octets), octets


def _keep_new(name, folder):
    """Keep those of the new inputs that reach what the corpus does not, the smallest first."""
    # Loaded only now: what is instrumented is another process.
    from tests.fuzz.targets import TARGETS

    _hush()
    corpus = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    candidates = sorted((path.read_bytes() for path in folder.iterdir()), key=_by_size)
    kept = smallest_cover(TARGETS[name].one, candidates, known=corpus)
    kept = kept[: max(0, TARGETS[name].files_max - len(corpus))]
    for octets in kept:
        (CORPUS / name / name_of(octets)).write_bytes(octets)
    return len(kept)


def _hush():
    """Nobody reads what is logged here, and there is much of it."""
    import structlog

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


def _words_of(name):
    """A dictionary for the fuzzer: the words that peers use, as they stand in the seeds."""
    seeds = [path.read_bytes() for path in (CORPUS / name).glob("seed-*")]
    words = {word for seed in seeds for word in WORD.findall(seed)}
    return "".join(f'"{word.decode()}"\n' for word in sorted(words))


def _fuzz(name, folder):
    """In the process of one target: never returns."""
    atheris = import_module("atheris")  # Has no types; and is not needed to keep what was found.
    with atheris.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    _hush()
    target = TARGETS[name]
    seconds = sys.argv[sys.argv.index("--seconds") + 1]
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={target.bytes_max}",
        f"-timeout={INPUT_S_MAX}",
        f"-rss_limit_mb={MEMORY_MB_MAX}",
        f"-artifact_prefix={folder}/broken/",
        "-len_control=20",
        "-print_final_stats=0",
    ]
    if words := _words_of(name):
        (Path(folder) / "words").write_text(words)
        flags.append(f"-dict={folder}/words")
    atheris.Setup([sys.argv[0], *flags, f"{folder}/new", str(CORPUS / name)], target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
