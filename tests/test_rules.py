"""`scripts/rules`: a rule without a test, and a test without a rule, are both found."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())

PAGE = """\
# Rules

- **NUM-1** Accepted forms; see also NUM-9.
- **KW-2** One table.
| PFM-30 | A text for B |
Something about XYZ-1.
"""

TESTS = """\
import pytest
from hypothesis.stateful import rule

pytestmark = pytest.mark.rule("NUM-1")

@pytest.mark.rule("KW-2", "PFM-30")
def test_a(): ...

class Machine:
    @rule(x="NOT-1")
    def step(self): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.rule("KW-9"))])
def test_b(x): ...
"""


@pytest.fixture(scope="module")
def rules():
    loader = importlib.machinery.SourceFileLoader("rules_script", str(ROOT / "scripts" / "rules"))
    spec = importlib.util.spec_from_loader("rules_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def tree(folder, *, page=PAGE, tests=TESTS):
    (folder / "docs").mkdir()
    (folder / "tests").mkdir()
    (folder / "docs" / "rules.md").write_text(page)
    (folder / "tests" / "test_x.py").write_text(tests)
    return folder


def test_ids_are_read_from_lists_and_tables_but_not_from_prose(rules):
    assert rules.rules_of(PAGE) == ["NUM-1", "KW-2", "PFM-30"]


def test_marks_are_found_on_modules_tests_and_parameters_and_hypothesis_rules_are_not(rules):
    claims = list(rules.claims_of(TESTS, "test_x.py"))
    assert {(claim.rule, claim.test) for claim in claims} == {
        ("NUM-1", ""),
        ("KW-2", "test_a"),
        ("PFM-30", "test_a"),
        ("KW-9", "test_b"),
    }


def test_an_unknown_rule_is_a_failure_that_names_file_and_line(rules, tmp_path, capsys):
    assert rules.main(tree(tmp_path), []) == 1
    assert "test_x.py:13 test_b: there is no rule KW-9" in capsys.readouterr().out


def test_a_rule_without_a_test_is_a_failure(rules, tmp_path, capsys):
    tests = TESTS.replace("KW-9", "KW-2").replace('"KW-2", "PFM-30"', '"KW-2"')
    assert rules.main(tree(tmp_path, tests=tests), []) == 1
    assert "PFM-30: no test" in capsys.readouterr().out


def test_an_id_that_is_not_written_out_is_a_failure(rules, tmp_path, capsys):
    tests = TESTS.replace('"KW-9"', "RULE")
    assert rules.main(tree(tmp_path, tests=tests), []) == 1
    assert "write the rule's id out" in capsys.readouterr().out


def test_a_rule_that_is_defined_twice_is_a_failure(rules, tmp_path, capsys):
    page = PAGE + "- **KW-9** x\n- **KW-2** again\n"
    assert rules.main(tree(tmp_path, page=page), []) == 1
    assert "KW-2: defined twice" in capsys.readouterr().out


def test_nothing_wrong_is_no_failure(rules, tmp_path, capsys):
    assert rules.main(tree(tmp_path, page=PAGE + "- **KW-9** x\n"), []) == 0
    assert capsys.readouterr().out == "4 rules, 4 claims, 0 problems\n"


def test_the_tests_of_one_rule_can_be_listed(rules, tmp_path, capsys):
    assert rules.main(tree(tmp_path), ["KW-2"]) == 0
    assert capsys.readouterr().out.splitlines() == ["KW-2", "  tests/test_x.py:6 test_a"]


def test_without_the_page_of_rules_it_fails(rules, tmp_path, capsys):
    assert rules.main(tmp_path, []) == 1
    assert "docs/rules.md is missing" in capsys.readouterr().out
