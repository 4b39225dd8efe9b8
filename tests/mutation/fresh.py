"""Try a mutant of what is read at import: a price, a limit, a table, what a decorator made.

It is too late for these in a running program.  So a child is forked that has imported nothing of
ours yet; the mutant's text is what its import finds, and the tests that run the module are run.
"""

import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader

import pytest

from tests.mutation.plugin import EXIT_KILLED, EXIT_SURVIVED, Examples, in_child, limit

EXPECTED_S = 60


def try_at_import(module, text, options, files):
    """How a child ends in which `module` has this text and these test files are run.

    Args:
        module: Its dotted name; nothing of ours may be imported in this process.
        text: The mutant's.
        options: For pytest.
        files: Test files, in the order in which they are run until one test fails.
    """

    def work():
        limit(EXPECTED_S)
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.meta_path.insert(0, _Finder(module, text))
        code = pytest.main([*options, "-x", *files], plugins=[Examples()])
        return EXIT_SURVIVED if code == pytest.ExitCode.OK else EXIT_KILLED

    return in_child(work)


def files_for(path, measured):
    """The test files that run anything of the module at `path`, those that run most of it first."""
    lines_of: dict[str, set[int]] = {}
    for line, tests in measured.runs.get(path, {}).items():
        for test in tests:
            lines_of.setdefault(test.partition("::")[0], set()).add(line)
    return sorted(filter(None, lines_of), key=lambda file: (-len(lines_of[file]), file))


class _Finder:
    """Finds one module where it is, and reads another text of it."""

    def __init__(self, module, text):
        self._module = module
        self._text = text

    def find_spec(self, name, path=None, target=None):
        if name != self._module:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(name)
        spec.loader = _Loader(name, spec.origin, self._text)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name, path, text):
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname):
        return compile(self._text, self.path, "exec", dont_inherit=True)
