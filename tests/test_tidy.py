"""House rules that no off-the-shelf linter knows.  Each ban names its replacement."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
PACKAGES = ("telcod", "handlers", "ussd", "ivr")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)
CLOCK = ROOT / "telcod" / "clock.py"
FUNCTION_LINES_MAX = 70
BANNED = {
    "time.time(": "the Clock port",
    "time.monotonic(": "the Clock port",
    "datetime.now(": "the Clock port",
    "float(": "int đồng",
    "asyncio.create_task(": "asyncio.TaskGroup",
    "asyncio.ensure_future(": "asyncio.TaskGroup",
    "FIXME": "the fix, or an issue",
}
BANNED_IN_TESTS = {
    "time.sleep(": "an event, or a clock set by hand",
    "mock": "a fake that passes the real thing's tests",
    "monkeypatch": "an argument",
    "time.time(": "ManualClock",
    "datetime.now(": "ManualClock",
}
# This file names what it bans.
THIS = Path(__file__).resolve()


def name_of(path):
    return str(path.relative_to(ROOT))


def found_in(text, banned):
    # A word of its own: `my_time.time(` or `afloat(` are something else.
    return [
        f"{bad!r}: use {good}"
        for bad, good in banned.items()
        if re.search(rf"(?<![\w.]){re.escape(bad)}", text)
    ]


def long_functions(tree):
    return [
        f"{node.name} is {length} lines long"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_tidy(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = [] if path == CLOCK else found_in(text, BANNED)
    found += long_functions(tree)
    if not ast.get_docstring(tree):
        found.append("no module docstring: what is it, and is it pure?")
    elif tree.body[0].lineno != 1:
        found.append("something stands before the module docstring")
    assert not found


@pytest.mark.parametrize("path", [path for path in TESTS if path != THIS], ids=name_of)
def test_a_test_file_is_tidy(path):
    text = path.read_text(encoding="utf-8")
    found = found_in(text, BANNED_IN_TESTS)
    if not ast.get_docstring(ast.parse(text)):
        found.append("no module docstring: what does it show?")
    assert not found


def test_a_ban_is_seen_where_it_is_broken():
    assert found_in("x = time.time()", BANNED) == ["'time.time(': use the Clock port"]
    assert found_in("def total(x): return float(x)", BANNED) == ["'float(': use int đồng"]
    assert not found_in("clock.wall_time.time(); afloat(1); x: float = 1", BANNED)


def test_a_long_function_is_seen():
    body = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
    assert long_functions(ast.parse(body)) == ["f is 71 lines long"]


def test_there_are_no_other_top_level_folders():
    known = {*PACKAGES, "config", "scripts", "tests", "docs", "requirements"}
    # Made by tools and ignored by git.
    made = {"build", "dist", "var", "node_modules", "__pycache__"}
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and not path.name.endswith(".egg-info")
    }
    assert folders - made <= known


# ------------------------------------------------------------------------------- import contracts


def contracts():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    linter = settings["tool"]["importlinter"]
    return linter["root_packages"], {row["id"]: row for row in linter["contracts"]}


def calls_itself_pure(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    # Its first paragraph says so, as a sentence: "Pure." or "Pure: ..." or "...; pure."
    return bool(re.search(r"(?<!not )\b[Pp]ure\b", docstring.partition("\n\n")[0]))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_top_level_package_is_under_the_import_contracts():
    there = {package for package in PACKAGES if (ROOT / package / "__init__.py").is_file()}
    assert there <= set(contracts()[0])


def test_what_calls_itself_pure_is_held_to_it():
    sources = contracts()[1]["pure"]["source_modules"]
    pure = [
        module_name(path)
        for path in FILES
        if calls_itself_pure(path)
        and path.relative_to(ROOT).parts[0] == "telcod"
        # A package's docstring speaks for the package; its modules speak for themselves.
        and path.name != "__init__.py"
    ]
    forgotten = [
        name for name in pure if not any(f"{name}.".startswith(f"{source}.") for source in sources)
    ]
    assert not forgotten, "add them to the contract `pure` in pyproject.toml"


# ---------------------------------------------------------------------------- dependencies, config


def test_a_lock_names_no_address_and_hashes_everything():
    for path in sorted((ROOT / "requirements").glob("*.lock")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if "://" in line or line.startswith("-")], path.name
        pins = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert pins
        assert not [pin for pin in pins if not re.fullmatch(r"[a-z0-9._-]+==\S+( ;.*)? \\", pin)]


def test_the_locks_name_every_dependency_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        "runtime.lock": project["dependencies"],
        "dev.lock": project["dependencies"] + project["optional-dependencies"]["test"],
    }
    for name, requirements in wanted.items():
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        locked = set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
        names = {re.split(r"[<>=\[; ]", requirement)[0] for requirement in requirements}
        assert names <= locked, name


def test_both_locks_pin_the_same_versions():
    pins = [
        dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in (ROOT / "requirements" / "runtime.lock", ROOT / "requirements" / "dev.lock")
    ]
    assert pins[0].items() <= pins[1].items()


# Addresses of package indexes and folders of one machine are nobody else's business.
@pytest.mark.parametrize(
    "path",
    [*FILES, *TESTS, *sorted((ROOT / "config").rglob("*.toml")), ROOT / "pyproject.toml"],
    ids=name_of,
)
def test_a_file_names_no_folder_of_a_developer(path):
    if path == THIS:
        return
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(home|root|Users|opt)/\w|pypi\.org|find-links", text)
