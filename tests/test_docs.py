"""What README and the documents say to type can be typed, and prints what they say it prints."""

import re

import pytest

from telcod.settings import load
from telcod.simulator.card_gateway import WEBHOOK_SECRET
from tests.docs_walk import LONG, ROOT, Walk, blocks, missing_line

pytestmark = pytest.mark.rule("CLI-1", "CLI-3", "CLI-9")

FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WALKS = [path for path in FILES if "```console" in path.read_text(encoding="utf-8")]
# Here the reader begins with nothing; elsewhere telcod is installed and knows some subscribers.
BEGIN = {"README.md", "install.md"}
# A link for pieces of a configuration that have none of their own.
LINK = """\
[[smpp.links]]
name = "smsc-a"
host = "127.0.0.1"
system_id = "telcod"
password = "secret"
short_codes = ["1566"]
ussd = "standard"
"""
# What people read first is walked in every run, the rest in the thorough one.
ALWAYS = {"README.md", "install.md", "connect-smsc.md", "backup-and-restore.md"}
# Why a command may go without a test.
REASONS = {"needs root", "needs another machine", "runs these tests", "runs for hours"}


@pytest.mark.timeout(300)
@pytest.mark.rule("CLI-2", "CLI-4", "CLI-5", "CLI-6", "CLI-7", "CLI-8")
@pytest.mark.rule("USSD-1", "USSD-2", "IVR-3", "PAYAPI-1", "PAYAPI-2")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path, id=path.name, marks=() if path.name in ALWAYS else (pytest.mark.thorough,)
        )
        for path in WALKS
    ],
)
def test_every_command_of_a_document_runs_and_prints_what_it_says(path, tmp_path):
    with Walk(tmp_path, installed=path.name not in BEGIN) as walk:
        walk.read(path)
        assert walk.commands or walk.passed_over
        assert {reason for _, reason in walk.passed_over} <= REASONS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_that_a_document_links_to_is_there(path):
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_heading_that_a_document_links_to_is_there(path):
    for link, heading in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", path.read_text(encoding="utf-8")):
        target = path.parent / link if link else path
        heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads]


@pytest.mark.rule("CFG-1")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_piece_of_telcod_toml_in_a_document_is_right(path, tmp_path):
    pieces = [
        "\n".join(block.lines)
        for block in blocks(path.read_text(encoding="utf-8"))
        if block.kind == "toml" and block.said("keyword:") is None
    ]
    for piece in pieces:
        # Whatever a piece says of a link is said of this one, unless it brings its own.
        link = "" if "[[smpp.links]]" in piece else LINK
        for secret in re.findall(r'{ file = "([^"]+)" }', piece):
            text = WEBHOOK_SECRET if "webhook_secrets" in piece and "hook" in secret else "a-secret"
            (tmp_path / secret).write_text(text, encoding="utf-8")
        file = tmp_path / "telcod.toml"
        file.write_text(f"{link}\n{piece}\n", encoding="utf-8")
        assert load(file, {}).folder == tmp_path


def test_every_document_is_reached_from_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        for link in re.findall(r"\]\(([^)#\s]+\.md)", path.read_text(encoding="utf-8")):
            found = (path.parent / link).resolve()
            if "://" not in link and found not in reached:
                reached.add(found)
                waiting.append(found)
    assert {path.resolve() for path in FILES} - reached <= {(ROOT / "README.md").resolve()}


def test_only_what_needs_root_or_other_machines_is_passed_over():
    found: dict[str, list[str]] = {}
    for path in WALKS:
        for block in blocks(path.read_text(encoding="utf-8")):
            reason = block.said("not run:")
            if reason is not None:
                found.setdefault(reason, []).extend(command for command, _ in block.commands())
    assert found.keys() <= REASONS
    for command in found.get("needs root", []):
        assert re.search(r"/usr/|/etc/systemd|useradd|install -d -o|systemctl", command), command
    for command in found.get("needs another machine", []):
        assert re.search(r"\.example|hourly", command), command
    assert all(command.startswith("scripts/") for command in found.get("runs these tests", []))


# -- the reader of documents itself

PAGE = """\
Some words.

<!-- ends with 1 -->
```console
$ telcod status
not well
$ telcod top \\
>   --once
```

A line between ends what a comment says.

```toml
[http]
```
"""


def test_a_document_is_cut_into_blocks_and_commands():
    console, toml = blocks(PAGE)
    assert (console.kind, console.said("ends with")) == ("console", "1")
    assert console.commands() == [
        ("telcod status", ["not well"]),
        ("telcod top \\\n  --once", []),
    ]
    assert (toml.kind, toml.lines, toml.said("ends with")) == ("toml", ("[http]",), None)


def test_a_block_without_an_end_is_told():
    with pytest.raises(AssertionError, match="line 1: this block has no end"):
        blocks("```console\n$ telcod status\n")


@pytest.mark.parametrize(
    ("expected", "printed", "missing"),
    [
        (["a  b"], "x\na b\n", None),
        (["a", "b"], "b\na\n", "b"),
        (["a … c", "…"], "a bbb c\n", None),
        (["a"], "ab\n", "a"),
        (["a…"], "ab\n", None),
        (["1.5"], "1x5\n", "1.5"),
        (["…"], "", None),
    ],
)
def test_what_is_printed_is_compared_line_by_line_in_order(expected, printed, missing):
    assert missing_line(expected, printed) == missing


def test_a_document_that_says_what_is_not_printed_is_found_out(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one\ntwo\n```\n", encoding="utf-8")
    with (
        Walk(tmp_path, installed=False) as walk,
        pytest.raises(AssertionError, match=r"page\.md, line 1: .*echo one"),
    ):
        walk.read(page)


def test_a_command_that_fails_is_found_out(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ false | cat\n```\n", encoding="utf-8")
    with Walk(tmp_path, installed=False) as walk, pytest.raises(AssertionError, match="ended with"):
        walk.read(page)


@pytest.mark.parametrize(
    ("command", "long"),
    [
        ("telcod run --config x", True),
        ("scripts/run", True),
        ("scripts/run    # set-up", True),
        ("scripts/run --check", False),
        ("telcod status", False),
    ],
)
def test_what_goes_on_is_told_from_what_ends(command, long):
    assert bool(LONG.match(command)) is long
