"""The risk rules come from a file, and every problem of it is said in one go with the others."""

import shutil
from pathlib import Path

import pytest

import telcod
from telcod.billing.risk import When
from telcod.rulebook import RulesError, load_rules
from telcod.settings import load
from tests.world import shipped_rules

pytestmark = pytest.mark.rule("PAY-6", "CFG-2", "CLI-3")

SHIPPED = Path(telcod.__file__).parent.parent / "config"
RULE = """
[[rule]]
name = "{name}"
when = "{when}"
then = "review"
"""


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "config"
    shutil.copytree(SHIPPED, copy)
    return copy


def rules_of(folder):
    return load_rules(load(folder / "telcod.toml", {"SMSC_A_PASSWORD": "x"}))


def problems_of(folder, text):
    (folder / "risk.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as refused:
        rules_of(folder)
    return [str(problem) for problem in refused.value.problems]


def test_the_shipped_rules_review_and_reject_nothing_by_themselves(folder):
    rules = rules_of(folder).risk.rule
    assert rules == shipped_rules().risk.rule
    assert {rule.then.value for rule in rules} == {"review"}
    assert {rule.when for rule in rules} == {When.CARD, When.ADDRESS}


def test_an_installation_without_the_file_has_the_shipped_rules(folder):
    (folder / "risk.toml").unlink()
    assert rules_of(folder).risk == shipped_rules().risk


def test_an_own_file_takes_the_place_of_the_shipped_one(folder):
    text = RULE.format(name="large", when="amount") + "amount_vnd = 5000000\n"
    (folder / "risk.toml").write_text(text, encoding="utf-8")
    assert [rule.name for rule in rules_of(folder).risk.rule] == ["large"]


def test_all_problems_are_said_in_one_go(folder):
    text = (
        RULE.format(name="a", when="amount")
        + RULE.format(name="a", when="card")
        + RULE.format(name="b", when="moon")
        + RULE.format(name="c", when="stop_address")
        + 'values = ["nowhere"]\n[settings]\n'
    )
    limits = folder / "limits.toml"
    limits.write_text("[payments]\nreview_min = 11\n", encoding="utf-8")
    told = "\n".join(problems_of(folder, text))
    for word in (
        "amount_vnd",
        "within_min",
        "another rule has this name",
        "moon",
        "nowhere",
        "settings",
        "review_min",
    ):
        assert word in told, word


@pytest.mark.parametrize("text", ["rule = 7", "[rule]\nname = 'x'", "[[rule]", "rule = [7]"])
def test_a_file_that_is_none_is_told_with_its_name(folder, text):
    assert all("risk.toml" in problem for problem in problems_of(folder, text))
