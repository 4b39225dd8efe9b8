"""A pytest plugin that runs, in place of all tests once, for each mutant the tests it concerns.

Tests are collected once.  Then each mutant gets a child of this process (`fork`): the mutant is put
in there, and the tests that run its line are run, quickest first, until one fails.  So a mutant
costs what its tests cost, not a start of Python.
"""

import gc
import json
import os
import pickle
import resource
import signal
import sys
from collections import Counter, defaultdict
from contextlib import contextmanager
from itertools import zip_longest
from time import perf_counter, process_time

import coverage
import pytest
import structlog
from _pytest.runner import runtestprotocol

from tests.mutation.lines import lines_of_statement
from tests.mutation.mutants import mutated, shown
from tests.mutation.swap import NotSwapped, living_caches, living_functions, swap_in, top_level

KILLED, SURVIVED, TIMED_OUT, NO_TESTS = "killed", "survived", "timeout", "no tests"
SAME = "same"  # Python makes the same code of it.
AT_IMPORT = "at import"  # It can't be put into a running program.
EXIT_SURVIVED, EXIT_KILLED, EXIT_SAME, EXIT_AT_IMPORT = 0, 1, 10, 11
CPU_S_LEAST, CPU_TIMES = 20, 10
WALL_S_LEAST, WALL_TIMES = 120, 40
MEMORY_BYTES_MAX = 4 << 30
EXAMPLES = 50

Place = tuple[str, str, int]


class Measured:
    """What the tests do without a mutant: `seconds` by test, `runs` (tests by file and line),
    `failed`, and the functions that are run already when the tests are read (`early`).
    """

    def __init__(self, seconds, runs, failed, early):
        self.seconds = seconds
        self.runs = runs
        self.failed = failed
        self.early = early


def in_child(work):
    """Run it in a child; its exit code, negative for the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = work()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def limit(expected_s):
    """What a mutant may use before it counts as one that never ends."""
    cpu_s = int(process_time() + CPU_S_LEAST + CPU_TIMES * expected_s)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(WALL_S_LEAST + WALL_TIMES * expected_s))


def verdict_of(code, by):
    """What a child's end says of its mutant, and which test or signal said so."""
    if code == EXIT_SURVIVED:
        return SURVIVED, ""
    if code == EXIT_SAME:
        return SAME, ""
    if code == EXIT_AT_IMPORT:
        return AT_IMPORT, ""
    if -code in {signal.SIGXCPU, signal.SIGALRM}:
        return TIMED_OUT, ""
    # Out of memory, or the interpreter gave up: nobody would take that for right.
    return KILLED, by if code == EXIT_KILLED else f"exit {code}"


@contextmanager
def noted(places, paths):
    """Put the functions of these files that run meanwhile into `places`."""

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename in paths:
            places.add((code.co_filename, code.co_qualname, code.co_firstlineno))

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


class Examples:
    """The plugin that says how hard Hypothesis tries."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self):
        """Examples as in CI, but no time for making a failing one small."""
        # Not earlier: pytest wants to be the first to import it.
        from hypothesis import HealthCheck, Phase, settings

        settings.register_profile(
            "mutation",
            deadline=None,
            derandomize=True,
            database=None,
            max_examples=EXAMPLES,
            suppress_health_check=[HealthCheck.too_slow],
            phases=[Phase.explicit, Phase.generate],
        )
        settings.load_profile("mutation")
        # Nobody reads them, and a traceback drawn in a frame costs more than the test.
        structlog.configure(processors=[structlog.processors.KeyValueRenderer()])


class Killer(Examples):
    """The plugin.

    Args:
        root: The checkout; mutants name their files from there.
        mutants: Those to try.
        sources: The text of every file that is mutated.
        folder: Where `results.jsonl` gets a line for each mutant, and `measured` goes.
        warm: Makes what tests keep for one another, so that not every child has to.
    """

    def __init__(self, root, mutants, sources, folder, warm=lambda: None):
        self._mutants = mutants
        self._sources = {str(root / path): source for path, source in sources.items()}
        self._root = root
        self._folder = folder
        self._warm = warm
        self._early: set[Place] = set()
        self._warming: set[Place] = set()
        self._seen: dict[str, Counter[str]] = defaultdict(Counter)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self):
        """Note what is run while test files are read: a mutant comes too late for that."""

        with noted(self._early, self._sources):
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        """In place of running all tests once."""
        measured = self._measured(session.items)
        with noted(self._warming, self._sources):
            self._warm()
        items = {each.nodeid: each for each in session.items if each.nodeid not in measured.failed}
        # A test's caches hold what the old code made, like its rules.
        paths = {*self._sources, *(str(item.path) for item in session.items)}
        paths |= {str(path) for path in (self._root / "tests").glob("*.py")}
        self._living, self._caches = living_functions(self._sources), living_caches(paths)
        for source in self._sources.values():
            top_level(source)  # Once here, not in every child.
        gc.collect()
        gc.freeze()
        with (self._folder / "results.jsonl").open("a", encoding="utf-8") as out:
            for mutant in self._mutants:
                row = self._tried(mutant, items, measured)
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                out.flush()
        return True

    def _measured(self, items):
        path = self._folder / "measured"

        def work():
            path.write_bytes(pickle.dumps(self._measure(items)))
            return 0

        if in_child(work) != 0:
            pytest.exit("the tests could not be measured", returncode=3)
        return pickle.loads(path.read_bytes())  # noqa: S301 - written above

    def _measure(self, items):
        cover = coverage.Coverage(data_file=None, include=sorted(self._sources), config_file=False)
        seconds, failed = {}, set()
        cover.start()
        for item, following in zip_longest(items, items[1:]):
            cover.switch_context(item.nodeid)
            began = perf_counter()
            reports = runtestprotocol(item, nextitem=following, log=False)
            seconds[item.nodeid] = perf_counter() - began
            if any(report.failed for report in reports):
                failed.add(item.nodeid)
        cover.stop()
        data = cover.get_data()
        runs = {path: data.contexts_by_lineno(path) for path in self._sources}
        return Measured(seconds, runs, failed, self._early)

    def _tried(self, mutant, items, measured):
        path = str(self._root / mutant.path)
        by_line = measured.runs[path]
        names = {
            name
            for line in lines_of_statement(self._sources[path], mutant.line)
            for name in by_line.get(line, ())
        }
        # What has seen much of this file sees this too, often; else the quickest first.
        seen = self._seen[path]
        quickest = sorted(
            names & items.keys(), key=lambda name: measured.seconds[name] / (1 + 3 * seen[name])
        )
        row = {"name": mutant.name, "path": mutant.path, "line": mutant.line}
        row |= {"shown": shown(mutant), "tests": len(quickest), "what": NO_TESTS, "by": ""}
        if not mutant.late:
            return row | {"what": AT_IMPORT}
        said = self._folder / "by"
        tests = [items[name] for name in quickest]
        expected_s = sum(measured.seconds[name] for name in quickest)
        code = in_child(lambda: self._run(mutant, path, tests, expected_s, said))
        by = said.read_text(encoding="utf-8") if code == EXIT_KILLED else ""
        row["what"], row["by"] = verdict_of(code, by)
        if row["what"] == SURVIVED and not quickest:
            row["what"] = NO_TESTS
        seen[by] += 1
        return row

    def _run(self, mutant, path, items, expected_s, said):
        limit(expected_s)
        gc.disable()
        source = self._sources[path]
        try:
            swapped = swap_in(path, source, mutated(source, mutant), self._living)
        except NotSwapped:
            return EXIT_AT_IMPORT
        if not swapped:
            return EXIT_SAME
        if self._warming & set(swapped):
            for cache in self._caches:
                cache.cache_clear()
        for item, following in zip_longest(items, items[1:]):
            for report in runtestprotocol(item, nextitem=following, log=False):
                if report.failed:
                    said.write_text(item.nodeid, encoding="utf-8")
                    return EXIT_KILLED
        # Its results stand in tables already: only a new program shows what it does.
        return EXIT_AT_IMPORT if self._early & set(swapped) else EXIT_SURVIVED
