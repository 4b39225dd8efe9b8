"""The page of `scripts/bench all`: one file with its plots in it, and a table against the targets.

Pure: a report in, HTML out.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any, Final, NamedTuple

from telcod.simulator.plot import curves, short

STYLE: Final = """
:root { color-scheme: light dark; --line: #d0d7de; --ink: #1f2328; --paper: #fff; --soft: #656d76; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1; }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1000px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { border-bottom: 1px solid var(--line); padding: 4px 12px 4px 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 12px; }
svg { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); }
svg .title { font-size: 13px; font-weight: 600; }
svg .small { font-size: 10px; }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; }
svg .grid { stroke: var(--line); } svg .target { stroke: #cf222e; stroke-dasharray: 5 4; }
.bad { color: #cf222e; font-weight: 600; } .note { color: var(--soft); }
"""
NOTE: Final = (
    "The load runs on the same cores. Every answer was given after its COMMIT had synced the disk."
)
_SIZES: Final = "sms_"


class Target(NamedTuple):
    """Something that has a target: how it is found in the parts, and whether less is better."""

    what: str
    wanted: float
    unit: str
    less: bool = False


class Row(NamedTuple):
    """A line of the table."""

    what: str
    target: str
    found: str
    ratio: str
    met: bool
    cpu_us: str = ""


TARGETS: Final[Mapping[str, Target]] = {
    "texts": Target("texts answered, window 200", 10_000, "/s"),
    "texts_p99": Target("p99 of a text, window 200", 60, "ms", less=True),
    "renewals": Target("renewals", 20_000, "/s"),
    "start": Target("start on 5,000,000 subscribers", 2, "s", less=True),
    "calls": Target("calls", 800, "/s"),
    "steps": Target("USSD steps", 5_000, "/s"),
}


def rows_of(report: Mapping[str, Any]) -> list[Row]:
    """The table: what was found of what is wanted."""
    rows = []
    cpu_us = cpu_us_of(report["parts"])
    for name, found in measured_of(report["parts"]).items():
        target = TARGETS[name]
        ratio = found / target.wanted
        met = ratio <= 1 if target.less else ratio >= 1
        sign = "≤" if target.less else "≥"
        rows.append(
            Row(
                target.what,
                f"{sign} {short(target.wanted)} {target.unit}",
                f"{short(found)} {target.unit}",
                f"{ratio:.2f}",
                met,
                f"{cpu_us[name]:,.0f}" if name in cpu_us else "",
            )
        )
    return rows


def measured_of(parts: Mapping[str, Any]) -> dict[str, float]:
    """By the name of a target, the best that was measured."""
    found: dict[str, float] = {}
    if "sms" in parts:
        widest = parts["sms"]["runs"][-1]
        found["texts"] = widest["texts_per_s"]
        found["texts_p99"] = widest["answer_ms"]["p99"]
    if "renewals" in parts:
        found["renewals"] = max(run["renewals_per_s"] for run in parts["renewals"]["runs"][:1])
    if "start" in parts:
        found["start"] = median(run["listens_s"] for run in parts["start"]["runs"]["cold"])
    if "calls" in parts:
        found["calls"] = max(run["calls_per_s"] for run in parts["calls"]["runs"])
    if "ussd" in parts:
        found["steps"] = max(run["steps_per_s"] for run in parts["ussd"]["runs"])
    return found


def cpu_us_of(parts: Mapping[str, Any]) -> dict[str, float]:
    """By the name of a target, telcod's processor time for each, in microseconds.

    It hardly depends on what else a machine is doing, as rates do.
    """
    found: dict[str, float] = {}
    for name, part in (("texts", "sms"), ("calls", "calls"), ("steps", "ussd")):
        runs = parts.get(part, {}).get("runs", [])
        each = [run["cpu_us_each"] for run in runs if "cpu_us_each" in run]
        if each:
            found[name] = each[-1]
    if "renewals" in parts:
        found["renewals"] = parts["renewals"]["runs"][0]["cpu_us_each"]
    return found


def page(report: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = report["parts"]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>telcod, measured</title><style>{STYLE}</style></head><body>",
            "<h1>telcod, measured</h1>",
            f"<p>{NOTE}</p>",
            _targets(rows_of(report)),
            '<div class="plots">',
            *_plots(parts),
            "</div>",
            *_overload(parts.get("overload")),
            *_compare(parts.get("compare")),
            *_soak(parts.get("soak")),
            *_failed(report["failed"]),
            "<h2>The machine</h2>",
            _table(("", ""), [(name, value) for name, value in report["machine"].items()]),
            "</body></html>\n",
        ]
    )


def _targets(rows: Sequence[Row]) -> str:
    cells = [
        (
            row.what,
            row.target,
            row.found,
            row.ratio if row.met else _Bad(row.ratio),
            row.cpu_us,
        )
        for row in rows
    ]
    heads = ("", "target", "measured", "measured / target", "telcod's CPU for each, µs")
    return _table(heads, cells)


def _plots(parts: Mapping[str, Any]) -> Iterator[str]:
    if "sms" in parts:
        runs = parts["sms"]["runs"]
        yield from _rate_and_p99(
            "texts answered", "window", [str(run["window"]) for run in runs], runs, "texts_per_s",
            "answer_ms", targets=("texts", "texts_p99"),
        )  # fmt: skip
    sizes = {int(name.removeprefix(_SIZES)): parts[name] for name in parts if _SIZES in name}
    if sizes:
        ordered = sorted(sizes)
        runs = [sizes[size]["runs"][-1] for size in ordered]
        yield from _rate_and_p99(
            "texts answered, window 200", "subscribers", [short(size) for size in ordered], runs,
            "texts_per_s", "answer_ms", targets=("texts", "texts_p99"),
        )  # fmt: skip
    for name, title, rate, target in (
        ("calls", "calls", "calls_per_s", "calls"),
        ("ussd", "USSD steps", "steps_per_s", "steps"),
    ):
        if name in parts:
            runs = parts[name]["runs"]
            places = [str(run["connections"]) for run in runs]
            yield from _rate_and_p99(
                title, "connections", places, runs, rate, "answer_ms", targets=(target, "")
            )


def _rate_and_p99(
    title: str,
    along: str,
    places: Sequence[str],
    runs: Sequence[Mapping[str, Any]],
    rate: str,
    times: str,
    *,
    targets: tuple[str, str],
) -> Iterator[str]:
    """Two drawings over the same places."""
    wanted = [TARGETS[name].wanted if name else 0 for name in targets]
    yield curves(
        title, along, places, {title: [run[rate] for run in runs]}, unit="/s", target=wanted[0]
    )
    shown = [run[times].get("all", run[times]) for run in runs]
    series = {each: [times_[each] for times_ in shown] for each in ("p50", "p99")}
    time = f"{title}: time to the answer"
    yield curves(time, along, places, series, unit="ms", target=wanted[1], by_tens=True)


def _overload(part: Mapping[str, Any] | None) -> Iterator[str]:
    if part is None:
        return
    yield "<h2>Overload: ten times of it, from one source</h2>"
    lines = []
    for run in part["runs"]:
        flood = next(phase for phase in run["phases"] if phase["name"] == "flood")
        lines.append(
            (
                run["edge"],
                f"{run['sustained_per_s']:,.0f}",
                f"{flood['flood']['offered_per_s']:,.0f}",
                f"{flood['flood']['done_per_s']:,.0f}",
                f"{flood['others']['p99_ms']:,.0f}",
                f"{run['rss_most_mb']}",
                ", ".join(f"{s} s" for s in run["recovered_s"].values()),
                f"{run['acknowledged']:,}",
                f"{run['lost']}" if not run["faults"] else _Bad(str(run["lost"])),
            )
        )
    heads = (
        "edge", "sustained/s", "offered/s", "done/s", "p99 of others, ms", "most MB",
        "as usual again after", "acknowledged", "of them lost",
    )  # fmt: skip
    yield _table(heads, lines)


def _compare(part: Mapping[str, Any] | None) -> Iterator[str]:
    if part is None:
        return
    yield "<h2>Kannel on the same job</h2>"
    names = ("texts_per_s", "p50_ms", "p99_ms", "cpu_us_each", "rss_mb")
    lines = [
        (who, *(f"{median(run[name] for run in runs):,.1f}" for name in names))
        for who, runs in part["runs"].items()
    ]
    yield _table(("", "texts/s", "p50 ms", "p99 ms", "CPU µs each", "MB"), lines)
    yield (
        '<p class="note">Kannel answers a constant sentence, keeps no books, and acknowledges a '
        "text while it is in memory only.</p>"
    )


def _soak(part: Mapping[str, Any] | None) -> Iterator[str]:
    if part is None or not part["samples"]:
        return
    yield f"<h2>At one rate for {part['minutes']:g} minutes</h2>"
    yield '<div class="plots">'
    rows = part["samples"]
    places = [f"{60 * row['hours']:.1f}" for row in rows]
    for name, title, unit in (
        ("rss_mb", "memory", "MB"),
        ("wal_mb", "write-ahead log", "MB"),
        ("p99_ms", "p99 of texts", "ms"),
        ("files", "open files", "files"),
    ):
        growth = part["growth"].get(name)
        said = "" if growth is None else (": grows" if growth["grows"] else ": flat")
        yield curves(title + said, "minutes", places, {title: [r[name] for r in rows]}, unit=unit)
    yield "</div>"


def _failed(failed: Mapping[str, str]) -> Iterator[str]:
    for name, said in failed.items():
        yield f'<p class="bad">{escape(name)}: {escape(said)}</p>'


class _Bad(str):
    """A cell that is not as it must be."""

    __slots__ = ()


def _table(heads: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    def cell(at: int, value: object) -> str:
        classes = " ".join(
            name for name, on in (("number", at > 0), ("bad", isinstance(value, _Bad))) if on
        )
        return f'<td class="{classes}">{escape(str(value))}</td>'

    head = "".join(
        f'<th class="{"number" if at else ""}">{escape(name)}</th>' for at, name in enumerate(heads)
    )
    body = "".join(
        f"<tr>{''.join(cell(at, value) for at, value in enumerate(line))}</tr>" for line in lines
    )
    return f"<table><tr>{head}</tr>{body}</table>"
