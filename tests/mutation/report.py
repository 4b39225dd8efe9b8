"""What a run of `scripts/mutate` found, for people.  Pure."""

from collections import Counter

from tests.mutation.plugin import AT_IMPORT, KILLED, NO_TESTS, SAME, SURVIVED, TIMED_OUT

NOTICED = (KILLED, TIMED_OUT)
UNNOTICED = (SURVIVED, NO_TESTS)


def table(rows):
    """A line per module in Markdown, and one for all; what counts is what Python can tell apart."""
    lines = [
        "| module | mutants | killed | survived | no test runs it | killed % |",
        "|---|---|---|---|---|---|",
    ]
    paths = sorted({row["path"] for row in rows})
    lines += [_line(f"`{path}`", [row for row in rows if row["path"] == path]) for path in paths]
    return "\n".join([*lines, _line("all", rows)])


def unnoticed(rows):
    """The mutants that no test noticed, a line each."""
    found = [row for row in rows if row["what"] in UNNOTICED]
    return "\n".join(
        f"{row['path']}:{row['line']}: {row['what']} ({row['tests']} tests): {row['shown']}"
        for row in sorted(found, key=lambda row: (row["path"], row["line"]))
    )


def left_out(rows):
    """How many say nothing: the same to Python, or only read at import."""
    counted = Counter(row["what"] for row in rows)
    return f"{counted[SAME]} are the same to Python; {counted[AT_IMPORT]} are read at import only"


def killed_percent(rows):
    """Of those that a test could notice; 100 when there are none."""
    noticed = sum(row["what"] in NOTICED for row in rows)
    told = noticed + sum(row["what"] in UNNOTICED for row in rows)
    return 100 * noticed / told if told else 100.0


def _line(name, rows):
    counted = Counter(row["what"] for row in rows)
    noticed, told = sum(counted[what] for what in NOTICED), len(rows)
    told -= counted[SAME] + counted[AT_IMPORT]
    survived, without = counted[SURVIVED], counted[NO_TESTS]
    return f"| {name} | {told} | {noticed} | {survived} | {without} | {killed_percent(rows):.1f} |"
