"""Handlers and catalogue agree: what the code says exists, with exactly the values it is given."""

import ast
import tomllib
from pathlib import Path

import pytest

import handlers
from telcod.billing.lists import Verdict
from telcod.billing.packages import Refusal
from telcod.messages import Catalogue
from tests.world import shipped_rules

pytestmark = pytest.mark.rule("KW-6", "KW-2", "CFG-2")

FOLDER = Path(handlers.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))
# What `package_terms` gives.
TERMS = {"package", "price", "end"}
# How many positional arguments come before the key.
SAYS = {"say": 0, "tell": 2}


def calls(path):
    """(key, names given, line) of each `say` and `tell` whose key is written out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        place = SAYS.get(node.func.id)
        if place is None or len(node.args) <= place:
            continue
        names = {word.arg for word in node.keywords if word.arg} - {
            "kind",
            "short_code",
            "expires_at",
        }
        if any(word.arg is None for word in node.keywords):
            names |= TERMS
        for key in keys_of(node.args[place]):
            yield key, names, node.lineno


def keys_of(node):
    """The keys that an expression can be, as far as they are written out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*keys_of(node.body), *keys_of(node.orelse)]
    if isinstance(node, ast.JoinedStr):
        return patterns(node)
    return []


def patterns(node):
    """`list.{letter}.empty` is a key for each letter."""
    found = [""]
    for part in node.values:
        if isinstance(part, ast.Constant):
            found = [f"{text}{part.value!s}" for text in found]
        elif isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "letter":
            found = [text + letter for text in found for letter in "bw"]
        else:
            return []
    return found


WRITTEN = [
    (f"{path.name}:{line}", key, names) for path in FILES for key, names, line in calls(path)
]


@pytest.mark.parametrize(
    ("where", "key", "names"),
    WRITTEN,
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:40],
)
def test_a_key_that_a_handler_says_is_in_the_catalogue_with_the_values_it_gives(where, key, names):
    catalogue = shipped_rules().catalogue
    assert {key} <= catalogue.keys(), where
    assert catalogue.placeholders(key) == names, where


def test_the_keys_were_found_at_all():
    assert len(WRITTEN) >= 30
    assert {key for _, key, _ in WRITTEN} >= {"list.b.empty", "list.w.empty", "package.trial_ends"}


def test_keys_that_are_made_of_values_are_there():
    keys = shipped_rules().catalogue.keys()
    made = {refusal.value for refusal in Refusal}
    made |= {f"list.{letter}.{verdict.value}" for letter in "bw" for verdict in Verdict}
    made |= {route.usage for table in handlers.BY_SHORT_CODE.values() for route in table}
    made |= {f"name.{package}" for package in ("day", "week")}
    made |= {f"charge.package.{package}" for package in ("day", "week")}
    assert made <= keys


def test_every_route_explains_itself_and_has_one_name():
    for table in handlers.BY_SHORT_CODE.values():
        names = [route.name for route in table]
        assert len(set(names)) == len(names)
        assert all(route.usage.startswith("usage.") for route in table)
        assert all(route.handler.__doc__ for route in table)


def test_no_text_of_the_catalogue_is_left_that_nothing_says():
    sources = "".join(path.read_text(encoding="utf-8") for path in FILES)
    sources += "".join(
        (FOLDER.parent / "telcod" / name).read_text(encoding="utf-8")
        for name in (
            "dispatch.py",
            "engine.py",
            "messages.py",
            "billing/packages.py",
            "../ussd/sessions.py",
        )
    )
    made = ("list.", "name.", "charge.", "notices.")
    keys = shipped_rules().catalogue.keys()
    left = {key for key in keys if f'"{key}"' not in sources and not key.startswith(made)}
    assert left == set()


def test_a_catalogue_without_a_key_that_the_code_says_is_refused():
    path = FOLDER.parent / "config" / "messages" / "vi.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    del table["package.started"]
    with pytest.raises(ValueError, match=r"package\.started"):
        Catalogue.build({"vi": table}, required=shipped_rules().catalogue.keys())
