"""The dialplans and documents that the docs give are those that telcod understands."""

import re
from pathlib import Path

import pytest
from lxml import etree

from ivr.agi_scripts import SCRIPTS
from telcod.settings import FastAgiSettings

pytestmark = pytest.mark.rule("IVR-5")

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
ASTERISK = (ROOT / "docs" / "asterisk.md").read_text(encoding="utf-8")
AGI, CURL = re.findall(r"```asterisk\n(.*?)```", ASTERISK, re.DOTALL)
SET_BY_SCRIPTS = re.findall(
    r'line\.set\("(TELCOD_[A-Z_]+)"', (ROOT / "ivr" / "agi_scripts.py").read_text(encoding="utf-8")
)


def variables(dialplan):
    return set(re.findall(r"\$\{(TELCOD[A-Z_]*)\}", dialplan))


def assigned(dialplan):
    return set(re.findall(r"(?:Set\((?:__)?|^)(TELCOD[A-Z_]*)=", dialplan, re.MULTILINE))


def test_the_dialplan_calls_every_script_and_no_other():
    assert set(re.findall(r"AGI\(\$\{TELCOD\}/([a-z]+),", AGI)) == SCRIPTS.keys()


def test_every_variable_of_a_dialplan_is_set_by_it_or_by_telcod():
    assert variables(AGI) <= assigned(AGI) | set(SET_BY_SCRIPTS)
    assert variables(CURL) <= assigned(CURL)


@pytest.mark.parametrize("dialplan", [AGI, CURL], ids=["AGI", "CURL"])
def test_every_label_and_context_of_a_dialplan_is_there(dialplan):
    contexts = set(re.findall(r"^\[([a-z-]+)\]", dialplan, re.MULTILINE))
    assert set(re.findall(r"telcod-[a-z]+(?=[,^]s)", dialplan)) <= contexts
    for body in re.split(r"^\[[a-z-]+\]", dialplan, flags=re.MULTILINE):
        labels = set(re.findall(r"same => n\(([a-z]+)\)", body))
        jumps = re.findall(r"Goto(?:If\([^\n]*\?|\()([a-z]*)(?::([a-z]+))?\)", body)
        assert {label for jump in jumps for label in jump if label} <= labels


def test_nobody_is_connected_but_on_connect():
    for dialplan in (AGI, CURL):
        before = dialplan.partition("Bridge(")[0]
        assert (
            'GotoIf($["${TELCOD_ACTION}" = "connect"]?:end)'
            in before.rpartition("[telcod-payer]")[2]
        )


def test_the_address_of_the_dialplan_is_the_one_of_the_settings():
    settings = FastAgiSettings()
    assert f"agi://{settings.host}:{settings.port}/SECRET" in AGI
    assert f"Playback({settings.sounds}/vi/unavailable" in AGI


@pytest.mark.rule("IVR-4")
def test_the_subdialog_of_the_docs_is_xml():
    text = (ROOT / "docs" / "voicexml.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```xml\n(.*?)```", text, re.DOTALL)
    assert etree.fromstring(example).tag == "subdialog"
