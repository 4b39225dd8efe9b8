"""The developer's page adds a keyword; here it is added, to a copy of telcod, as the page says."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.docs_walk import ROOT

pytestmark = pytest.mark.rule("KW-2", "CFG-2", "USSD-3")

PAGE = (ROOT / "docs" / "developer.md").read_text(encoding="utf-8")
PIECES = dict(re.findall(r"<!-- keyword: (\w+) -->\n```\w*\n(.*?)```", PAGE, re.DOTALL))
# Where each goes: the file, and what it stands in front of (nothing: the end).
PLACES = {
    "handler": ("handlers/info.py", ""),
    "route": ("handlers/__init__.py", ")\nEPAYMENT: Final"),
    "keywords": ("config/keywords.toml", '\n["9223"]'),
    "vi": ("config/messages/vi.toml", ""),
    "en": ("config/messages/en.toml", ""),
    "menu": ("config/ussd/1566.toml", "\n[screens.yes]"),
    "dialogue": ("tests/dialogues/info.txt", ""),
}
COPIED = ("telcod", "handlers", "ussd", "ivr", "config", "tests")
WAIT_S = 120


@pytest.fixture
def copy(tmp_path):
    for name in COPIED:
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def add(copy, *names):
    for name in names:
        file, before = PLACES[name]
        path = copy / file
        text = path.read_text(encoding="utf-8")
        assert before in text
        head, mark, tail = text.partition(before) if before else (f"{text}\n", "", "")
        path.write_text(head + PIECES[name] + mark + tail, encoding="utf-8")


def run(copy, *words):
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=copy,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


def test_the_page_shows_every_piece_of_a_keyword():
    assert PIECES.keys() == PLACES.keys()


@pytest.mark.timeout(300)
@pytest.mark.rule("KW-6")
def test_the_keyword_of_the_page_is_understood_answered_and_complete(copy):
    add(copy, *PLACES)
    checked = run(copy, "-m", "telcod", "check", "--config", "config")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    played = run(
        copy,
        *("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"),
        *("tests/dialogues/test_dialogues.py", "-k", "test_info"),
    )
    assert played.returncode == 0, played.stdout
    assert "GIA shows the prices" in (copy / "tests/dialogues/info.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("forgotten", ["keywords", "vi", "en", "menu"])
def test_check_tells_what_was_forgotten(copy, forgotten):
    add(copy, *(name for name in PLACES if name != forgotten))
    checked = run(copy, "-m", "telcod", "check", "--config", "config")
    assert checked.returncode != 0
    file, _ = PLACES[forgotten]
    assert file in checked.stdout + checked.stderr
