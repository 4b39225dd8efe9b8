"""`scripts/bench sms`: what several loads report is one report."""

import click.testing

from telcod.simulator.bench import _together, main


def report(**changed):
    counts = {"sent": 10, "answered": 9, "refused": 1, "missing": 0, "doubled": 0, "seconds": 5.0}
    times = {"response_ms": {"p50": 1.0, "p99": 9.0}, "answer_ms": {}}
    return counts | times | changed


def test_counts_of_several_loads_are_added_and_of_latencies_the_worst_is_told():
    other = report(sent=5, missing=2, response_ms={"p50": 2.0, "p99": 3.0}, answer_ms={"p50": 4.0})
    assert _together([report(), other]) == {
        "sent": 15,
        "answered": 18,
        "refused": 2,
        "missing": 2,
        "doubled": 0,
        "seconds": 5.0,
        "response_ms": {"p50": 2.0, "p99": 9.0},
        "answer_ms": {"p50": 4.0},
    }


def test_several_daemons_on_a_file_are_refused():
    done = click.testing.CliRunner().invoke(main, ["sms", "--daemons", "2"])
    assert done.exit_code == 2
    assert "several need --store postgresql" in done.output
