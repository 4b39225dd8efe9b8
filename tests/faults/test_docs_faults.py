"""docs/faults.md has a row for each fault, and each test that it names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
PAGE = ROOT / "docs" / "faults.md"
FAULTS = [f"F{number}" for number in range(1, 41)]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(text):
    """The table's cells, by fault."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"F\d+", cells[0]):
            assert cells[0] not in found, f"{cells[0]} has two rows"
            found[cells[0]] = cells
    return found


@cache
def names_in(path):
    """The names of the tests in a file; none if there is no such file."""
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def missing_from(cell):
    """The tests that a cell names and that are not there."""
    return [
        f"{file}::{name}" for file, name in NAMED.findall(cell) if name not in names_in(ROOT / file)
    ]


def test_every_fault_has_one_row_in_order():
    assert list(rows(PAGE.read_text(encoding="utf-8"))) == FAULTS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_says_how_it_is_made_what_comes_out_and_which_test_shows_it(fault):
    cells = rows(PAGE.read_text(encoding="utf-8"))[fault]
    assert len(cells) == 5
    assert all(cells)
    assert NAMED.search(cells[4])
    assert not NAMED.sub("", cells[4]).strip(), "the last cell names tests, and nothing else"
    assert missing_from(cells[4]) == []


def test_every_file_and_every_test_that_the_page_names_is_there():
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert missing_from(text) == []


def test_a_test_that_is_not_there_is_seen():
    here = f"tests/faults/{Path(__file__).name}"
    assert missing_from(f"`{here}::test_that_nobody_wrote`") == [f"{here}::test_that_nobody_wrote"]
    assert missing_from(f"`{here}::test_a_test_that_is_not_there_is_seen`") == []
