"""Every word that the page's script asks for is there, and none is there for nothing."""

import re
from pathlib import Path

import pytest

import telcod.demo
from telcod.types import Language
from telcod.web.pages import load_words

FOLDER = Path(telcod.demo.__file__).parent
WORDS = set(load_words(FOLDER / "words")[Language.VI])
USES = "".join(
    path.read_text(encoding="utf-8")
    for path in (*FOLDER.glob("*.py"), *FOLDER.glob("static/*.js"), *FOLDER.glob("templates/*"))
)
# Made of a beginning and a word of the program's: `state.${name}`.
FAMILIES = {
    "account", "bubble", "kind", "line", "package", "purse", "role", "stage", "state", "trouble",
    "try", "why",
}  # fmt: skip

pytestmark = pytest.mark.rule("DEMO-1")


def test_no_word_is_missing():
    named = set(re.findall(r"""\bt\("([a-z0-9_.]+)"[,)]""", USES))
    named |= set(re.findall(r"""\bsay\("([a-z0-9_.]+)"[,)]""", USES))
    assert len(named) > 40
    assert named - WORDS == set()


def test_no_word_is_there_for_nothing():
    alone = {word for word in WORDS if word.partition(".")[0] not in FAMILIES}
    assert {word for word in alone if not re.search(rf"[\"']{re.escape(word)}[\"']", USES)} == set()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_of_words_is_asked_for_by_its_beginning(family):
    assert re.search(rf"[`\"]{family}\.[$\"%]", USES) or f'"{family}.' in USES
