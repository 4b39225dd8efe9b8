"""The mutants are put in where they say, met by the tests that run them, and told apart."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.lines import lines_of_statement
from tests.mutation.mutants import mutants_of, mutated, shown
from tests.mutation.plugin import EXIT_KILLED, EXIT_SURVIVED
from tests.mutation.report import killed_percent, left_out, table, unnoticed
from tests.mutation.swap import NotSwapped, living_functions, swap_in

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
SHOP = '''"""A shop."""
from functools import wraps

PRICE: int = 7


def checked(rule):
    @wraps(rule)
    def asked(count):
        return rule(count) if count >= 1 else 0

    return asked


@checked
def price(count):
    """Dear."""
    return PRICE * count


def greeting(name):
    if not name:
        return "nobody"
    return "hello"


def unused(count):
    return count + 1
'''
TESTS = '''"""Tests of a shop."""
from shop import greeting, price


def test_a_price():
    assert price(3) == 21
    assert price(0) == 0


def test_a_greeting():
    assert greeting("An")
'''


def test_every_mutant_is_python_and_differs_and_docstrings_are_left_alone():
    found = mutants_of("shop.py", SHOP)
    texts = {mutated(SHOP, mutant) for mutant in found}
    assert len(texts) == len(found) > 15
    assert all('"""Dear."""' in text and '"""A shop."""' in text for text in texts)
    changes = {shown(mutant): mutant.late for mutant in found}
    assert changes["PRICE * count  ->  PRICE / count"] is True
    assert changes[">= 1  ->  > 1"] is True
    assert changes["7  ->  8"] is False  # Read at import.


def test_a_sample_is_the_same_mutants_each_time():
    names = {mutant.name for mutant in mutants_of("shop.py", SHOP)}
    chosen = {name for name in names if name.endswith("1")}
    assert {each.name for each in mutants_of("shop.py", SHOP, chosen.__contains__)} == chosen


TEN_LINES = '''"""M."""
x = 1
y = [
    x,
]
if y:
    x = 2
match x:
    case 1:
        y = 3
'''


@pytest.mark.parametrize(
    ("line", "lines"),
    [(2, [2]), (3, [3, 4, 5]), (5, [3, 4, 5]), (6, [6]), (7, [7]), (8, [8]), (9, [9]), (10, [10])],
)
def test_a_line_stands_for_its_statement_and_a_head_for_itself(line, lines):
    assert list(lines_of_statement(TEN_LINES, line)) == lines


# ---------------------------------------------------------------------------------------- swapping


def lived_in(source, path="/shop.py"):
    names: dict[str, Any] = {}
    exec(compile(source, path, "exec"), names)  # noqa: S102 - as an import does
    return names


def test_a_mutant_gets_into_functions_wherever_they_are_kept():
    names = lived_in(SHOP)
    price = names["price"]
    found = []
    for before, after in (("PRICE * count", "PRICE - count"), (">= 1", "> 1")):
        new = SHOP.replace(before, after)
        found += swap_in("/shop.py", SHOP, new, living_functions({"/shop.py"}))
    assert [qualname for _, qualname, _ in found] == ["price", "checked.<locals>.asked"]
    assert (price(1), price(2)) == (0, 5)


def test_what_means_the_same_is_told_apart_from_what_cannot_be_swapped():
    lived_in(SHOP)
    living = living_functions({"/shop.py"})
    assert swap_in("/shop.py", SHOP, SHOP.replace("count + 1", "(count + 1)"), {}) == []
    with pytest.raises(NotSwapped):
        swap_in("/shop.py", SHOP, SHOP.replace("rule(count)", "count"), {})
    assert living


# ---------------------------------------------------------------------------------- a run of it all

DRIVE = """
import sys
from pathlib import Path
import pytest
sys.path[:0] = [{root!r}, "."]
from tests.mutation.mutants import mutants_of
from tests.mutation.plugin import Killer
here = Path.cwd()
source = (here / "shop.py").read_text()
killer = Killer(here, mutants_of("shop.py", source), {{"shop.py": source}}, here)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "test_shop.py"], plugins=[killer]))
"""


def test_a_shop_with_half_a_test_has_the_survivors_that_it_deserves(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(TESTS, encoding="utf-8")
    drive = [sys.executable, "-c", DRIVE.format(root=str(ROOT))]
    subprocess.run(drive, cwd=tmp_path, check=True, timeout=100, capture_output=True)
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    what = {row["shown"]: row["what"] for row in rows}
    assert what["PRICE * count  ->  PRICE / count"] == "killed"
    assert what["not name  ->  name"] == "survived"
    assert what['"hello"  ->  "XXhelloXX"'] == "survived"
    assert what["count + 1  ->  count - 1"] == "no tests"
    assert what["7  ->  8"] == "at import"
    assert what[">= 1  ->  > 1"] == "survived"
    by = {row["shown"]: row["by"] for row in rows}
    assert by["PRICE * count  ->  PRICE / count"] == "test_shop.py::test_a_price"


AT_IMPORT = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, "."]
from tests.mutation.fresh import try_at_import
source = Path("shop.py").read_text()
options = ["-q", "-p", "no:cacheprovider"]
for text in (source, source.replace("= 7", "= 8")):
    print(try_at_import("shop", text, options, ["test_shop.py"]))
"""


@pytest.mark.thorough
def test_what_is_read_at_import_is_tried_in_a_new_program(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(TESTS, encoding="utf-8")
    drive = [sys.executable, "-c", AT_IMPORT.format(root=str(ROOT))]
    ran = subprocess.run(
        drive, cwd=tmp_path, check=True, timeout=100, capture_output=True, text=True
    )
    assert ran.stdout.split() == [str(EXIT_SURVIVED), str(EXIT_KILLED)]


# --------------------------------------------------------------------------------------- reporting


def test_the_report_counts_what_python_can_tell_apart():
    kinds = ["killed"] * 6 + ["timeout", "survived", "no tests", "same", "at import"]
    rows = [
        {"path": "shop.py", "line": at, "what": what, "tests": 0, "shown": "a  ->  b"}
        for at, what in enumerate(kinds)
    ]
    assert table(rows).splitlines()[-1] == "| all | 9 | 7 | 1 | 1 | 77.8 |"
    assert unnoticed(rows).splitlines()[0] == "shop.py:7: survived (0 tests): a  ->  b"
    assert left_out(rows).startswith("1 are the same to Python; 1 are read at import")
    assert killed_percent([]) == 100
