"""The report of all benchmarks: what is drawn, what is told beside its target, what grows."""

import json

import pytest
from click.testing import CliRunner
from lxml import etree

from telcod.simulator.bench import main
from telcod.simulator.bench_all import parts_of
from telcod.simulator.bench_books import open_store
from telcod.simulator.bench_compare import INSTALL
from telcod.simulator.bench_machine import facts
from telcod.simulator.bench_report import page, rows_of
from telcod.simulator.bench_soak import growth_of, growths
from telcod.simulator.bench_start import keep_books
from telcod.simulator.plot import curves, nice_top, short

TIMES = {"p50": 20.0, "p99": 75.0, "max": 90.0}
SMS = {
    "runs": [
        {"window": w, "texts_per_s": 4_000 + w, "answer_ms": TIMES, "cpu_us_each": 90 + w}
        for w in (1, 200)
    ]
}
HTTP = [{"connections": n, "answer_ms": {"all": TIMES}, "cpu_us_each": n} for n in (1, 32)]
FLOOD = {"offered_per_s": 9e4, "done_per_s": 8e3, "p99_ms": 1.5}
PARTS = {
    "sms": SMS,
    "sms_1000": {"runs": SMS["runs"][1:]},
    "sms_1000000": {"runs": SMS["runs"][1:]},
    "calls": {"runs": [run | {"calls_per_s": 900} for run in HTTP]},
    "ussd": {"runs": [run | {"steps_per_s": 4_000} for run in HTTP]},
    "renewals": {
        "runs": [
            {"renewals_per_s": 19_000, "cpu_us_each": 45.4},
            {"renewals_per_s": 25_000, "cpu_us_each": 30},
        ]
    },
    "start": {"runs": {"cold": [{"listens_s": 1.0}, {"listens_s": 1.5}]}},
    "overload": {
        "runs": [
            {
                "edge": "sms",
                "sustained_per_s": 9_000,
                "phases": [{"name": "flood", "flood": FLOOD, "others": FLOOD}],
                "rss_most_mb": 120,
                "recovered_s": {"others": 0.5},
                "acknowledged": 12_345,
                "lost": 3,
                "faults": ["lost"],
            }
        ]
    },
}
REPORT = {"parts": PARTS, "failed": {"soak": "grows: <b>"}, "machine": {"cores": 2}}


def test_what_was_measured_stands_beside_its_target():
    rows = {row.what: (row.found, row.ratio, row.met, row.cpu_us) for row in rows_of(REPORT)}
    assert rows == {
        "texts answered, window 200": ("4,200 /s", "0.42", False, "290"),
        "p99 of a text, window 200": ("75 ms", "1.25", False, ""),
        "renewals": ("19k /s", "0.95", False, "45"),
        "start on 5,000,000 subscribers": ("1.25 s", "0.62", True, ""),
        "calls": ("900 /s", "1.12", True, "32"),
        "USSD steps": ("4,000 /s", "0.80", False, "32"),
    }


def test_the_page_is_whole_and_holds_its_plots():
    document = etree.fromstring(page(REPORT), etree.HTMLParser())
    assert len(document.findall(".//svg")) == 8
    bad = [cell.text for cell in document.iterfind(".//td[@class='number bad']")]
    assert bad == ["0.42", "1.25", "0.95", "0.80", "3"]
    assert "soak: grows: <b>" in "".join(document.itertext())
    assert not [node for node in document.iter() if node.get("src") or node.get("href")]


def test_a_report_of_nothing_is_a_page_too():
    empty: dict[str, dict[str, str]] = {"parts": {}, "failed": {}, "machine": {}}
    assert "telcod, measured" in page(empty)
    assert rows_of(empty) == []


def test_every_part_is_a_command_with_options_that_it_knows(tmp_path):
    for part in parts_of(1.0, tmp_path):
        asked = main.make_context("bench", list(part.words))
        command, words = main.commands[part.words[0]], list(part.words[1:])
        with command.make_context(part.words[0], words, parent=asked) as context:
            assert context.params


def test_curves_are_a_picture_with_each_value_where_it_belongs():
    drawn = curves("a & b", "window", ["1", "10"], {"p50": [0, 50], "p99": [25, 100]}, unit="ms")
    picture = etree.fromstring(drawn)
    lines = [line.get("points") for line in picture.iterfind(".//{*}polyline")]
    assert len(lines) == 2
    assert lines[0].split()[0].endswith(",216")  # none is at the foot
    assert lines[1].split()[1].endswith(",40")  # the most is at the head
    assert "a & b (ms)" in picture.itertext()


def test_values_that_differ_a_hundredfold_stand_on_a_scale_by_tens():
    drawn = curves("t", "x", ["1", "2"], {"t": [0.5, 50]}, unit="ms", by_tens=True)
    picture = etree.fromstring(drawn)
    (line,) = [line.get("points").split() for line in picture.iterfind(".//{*}polyline")]
    assert [int(point.split(",")[1]) for point in line] == [175, 58]
    assert [text.text for text in picture.iterfind(".//{*}text[@class='end']")] == [
        "0.1",
        "1",
        "10",
        "100",
    ]


@pytest.mark.parametrize("values", [[], [0, 0], [5]])
def test_a_scale_by_tens_takes_what_there_is(values):
    places = [str(at) for at in range(len(values))]
    drawn = curves("t", "x", places, {"t": values}, unit="ms", by_tens=True)
    assert etree.fromstring(drawn) is not None


def test_a_target_is_drawn_even_where_nothing_comes_near():
    drawn = etree.fromstring(curves("t", "x", ["1"], {"t": [1]}, unit="/s", target=500))
    assert drawn.find(".//{*}line[@class='target']").get("y1") == "106"  # five eighths of 800


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.03, 0.04), (1, 1), (1.1, 2), (9_000, 10_000), (10_001, 20_000)]
)
def test_an_axis_ends_at_a_round_number(value, top):
    assert nice_top(value) == pytest.approx(top)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.25"), (12.34, "12.3"), (512, "512"), (9_999, "9,999"), (20_000, "20k"), (5e6, "5M")],
)
def test_values_are_short(value, text):
    assert short(value) == text


# -- what grows


def samples(value_of, count=40):
    return [(at / 360, value_of(at)) for at in range(count)]


def test_what_climbs_steadily_grows():
    growth = growth_of(samples(lambda at: 100 + at), 0.03)
    assert growth.grows
    assert growth.per_h == pytest.approx(360)


def test_what_goes_up_and_down_is_flat():
    assert not growth_of(samples(lambda at: 100 + at % 5), 0.03).grows


def test_what_falls_is_flat():
    assert not growth_of(samples(lambda at: 100 - at), 0.03).grows


def test_what_grows_by_less_than_it_may_is_flat():
    assert not growth_of(samples(lambda at: 1_000 + at / 10), 0.03).grows


def test_the_warm_up_does_not_count():
    rows = [
        {"hours": at / 360, "rss_mb": min(at, 6) * 100, "wal_mb": 0, "files": 5, "p99_ms": 2}
        for at in range(60)
    ]
    assert [name for name, growth in growths(rows).items() if growth["grows"]] == []
    assert growths(rows[:1]) == {}


@pytest.mark.parametrize(
    ("minutes", "a_minute_mb", "grows"), [(2, 8, False), (2, 90, True), (60, 0.2, True)]
)
def test_a_short_run_may_fill_its_memory_and_a_long_one_may_not_grow(minutes, a_minute_mb, grows):
    rows = [
        {
            "hours": at / 360,
            "rss_mb": 100 + at / 6 * a_minute_mb,
            "wal_mb": 0,
            "files": 5,
            "p99_ms": 2,
        }
        for at in range(6 * minutes + 1)
    ]
    assert growths(rows)["rss_mb"]["grows"] is grows


# -- the machine, the kept books, what is not installed


def test_a_machine_says_what_it_is(tmp_path):
    found = facts(tmp_path)
    assert found["fsync_ms"] <= found["fsync_p99_ms"]
    assert found["file_system"] != "unknown"
    assert list(tmp_path.iterdir()) == []


def test_big_books_are_made_once(tmp_path):
    keep_books(tmp_path / "books", 1_000)
    path = tmp_path / "books" / "telcod.db"
    made_at = path.stat().st_mtime_ns
    keep_books(tmp_path / "books", 1_000)
    assert path.stat().st_mtime_ns == made_at
    open_store(path).close()


def test_who_has_no_kannel_is_told_how_to_get_it():
    said = CliRunner().invoke(main, ["compare"], env={"PATH": ""})
    assert said.exit_code == 1
    assert INSTALL in said.output


def test_a_part_that_there_is_not_is_told(tmp_path):
    said = CliRunner().invoke(main, ["all", "--only", "nothing", "--out", str(tmp_path / "out")])
    assert said.exit_code == 1
    assert "no such part: nothing; there are sms" in said.output


def test_only_some_parts_leave_the_others_as_they_were(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "benchmarks.json").write_text(json.dumps(REPORT))
    said = CliRunner().invoke(
        main, ["all", "--only", "compare", "--out", str(out)], env={"PATH": ""}
    )
    # Without Kannel there is no such part, and nothing is touched.
    assert "no such part: compare" in said.output
    assert json.loads((out / "benchmarks.json").read_text()) == REPORT
