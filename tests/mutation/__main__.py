"""`scripts/mutate`: change the code in thousands of small ways and say which changes no test sees.

    scripts/mutate                        everything of MUTATED, every mutant: hours
    scripts/mutate --sample 8             about one mutant in eight, the same ones each time
    scripts/mutate telcod/billing         one folder or file of it
    scripts/mutate --again                only those that nobody noticed the last time
    scripts/mutate --go-on                those that a run which was stopped did not come to
    scripts/mutate --at-import            also what is read at import only: a start of Python each

What it finds goes to `var/mutation/results.jsonl`, a line for each mutant.
"""

import argparse
import json
import pickle
import sys
import zlib
from pathlib import Path

import pytest

from tests.mutation.fresh import files_for, try_at_import
from tests.mutation.mutants import module_of, mutants_of, mutated, shown
from tests.mutation.plugin import AT_IMPORT, Killer, in_child, verdict_of
from tests.mutation.report import UNNOTICED, left_out, table, unnoticed

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
FOLDER = ROOT / "var" / "mutation"
RESULTS = FOLDER / "results.jsonl"
MUTATED = (
    "telcod/billing",
    "telcod/text",
    "telcod/msisdn.py",
    "telcod/dispatch.py",
    "handlers",
    "ussd/menu.py",
)
# Fast ones: no browser, no other process, no HTTP.  Each mutant meets those that run its line.
TESTS = (
    "tests/billing",
    "tests/text",
    "tests/handlers",
    "tests/dialogues",
    "tests/selfcare/test_logins.py",
    "tests/smpp/test_incoming.py",
    "tests/smpp/test_outgoing.py",
    "tests/ussd/test_menu.py",
    "tests/ussd/test_menu_file.py",
    "tests/ussd/test_screens.py",
    "tests/ussd/test_sessions.py",
    "tests/test_check.py",
    "tests/test_check_calls.py",
    "tests/test_check_payments.py",
    "tests/test_dispatch.py",
    "tests/test_engine.py",
    "tests/test_invoices.py",
    "tests/test_messages.py",
    "tests/test_msisdn.py",
    "tests/test_network.py",
    "tests/test_reports.py",
    "tests/test_rulebook.py",
    "tests/test_rulebook_risk.py",
    "tests/test_scheduler.py",
    "tests/test_supervision.py",
)
OPTIONS = (
    "-q",
    "-p", "no:cacheprovider",
    "-p", "no:xdist",
    # Why a test fails is not asked.
    "--assert=plain",
    "--tb=native",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
    "-o", "addopts=--import-mode=importlib -m 'not thorough'",
    "-o", "timeout=0",
    f"--basetemp={FOLDER / 'tmp'}",
)  # fmt: skip


def main(arguments):
    """Try the mutants that are asked for and print what came of them; 1 if not all were tried."""
    asked = _parser().parse_args(arguments)
    files = list(_files(asked.modules or MUTATED))
    if not files:
        print("There is nothing to mutate by that name.", file=sys.stderr)
        return 2
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in files}
    mutants = _drawn(sources, asked)
    print(f"{len(mutants)} mutants in {len(files)} files", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not asked.go_on:
        RESULTS.unlink(missing_ok=True)
    tests = asked.tests or TESTS
    # In a child: nothing of ours is imported here, for those of the second round.
    killer = Killer(ROOT, mutants, sources, FOLDER, warm)
    in_child(lambda: int(pytest.main([*OPTIONS, *tests], plugins=[killer])))
    rows = _read()
    if asked.at_import:
        rows = _tried_at_import(rows, mutants, sources)
    print(unnoticed(rows), table(rows), left_out(rows), sep="\n\n")
    return int(bool({mutant.name for mutant in mutants} - {row["name"] for row in rows}))


def warm():
    """The rules as shipped: nearly every test asks for them."""
    from tests.world import shipped_rules

    shipped_rules()


def _parser():
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help=f"among {', '.join(MUTATED)}; all of them")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="about one in N")
    parser.add_argument("--again", action="store_true", help="those unnoticed the last time")
    parser.add_argument("--go-on", action="store_true", help="those that a stopped run left")
    parser.add_argument("--at-import", action="store_true", help="those read at import too; slow")
    parser.add_argument("--tests", nargs="+", metavar="FILE", help="only these tests")
    return parser


def _files(asked):
    for name in asked:
        path = ROOT / name
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        yield from (str(file.relative_to(ROOT)) for file in found if file.is_file())


def _drawn(sources, asked):
    """The mutants to try: a sample by name, so the same ones each time; or those of `--again`, or
    what is left for `--go-on`.
    """
    again = {(row["path"], row["shown"]) for row in _read() if row["what"] in UNNOTICED}
    tried = {row["name"] for row in _read()} if asked.go_on else set()
    return [
        mutant
        for path, source in sources.items()
        for mutant in mutants_of(
            path, source, lambda name: zlib.crc32(name.encode()) % asked.sample == 0
        )
        if (mutant.late or asked.at_import)
        and (not asked.again or (path, shown(mutant)) in again)
        and mutant.name not in tried
    ]


def _tried_at_import(rows, mutants, sources):
    """The rows, with a verdict for those that had to wait for an import."""
    measured = pickle.loads((FOLDER / "measured").read_bytes())  # noqa: S301 - written by us
    by_name = {mutant.name: mutant for mutant in mutants}
    for row in rows:
        if row["what"] == AT_IMPORT:
            mutant = by_name[row["name"]]
            files = files_for(str(ROOT / mutant.path), measured)
            text = mutated(sources[mutant.path], mutant)
            code = try_at_import(module_of(mutant.path), text, OPTIONS, files)
            row["what"], row["by"] = verdict_of(code, "a new program")
            row["tests"] = len(files)
    RESULTS.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return rows


def _read():
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
