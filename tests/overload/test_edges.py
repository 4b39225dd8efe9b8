"""Each edge flooded with ten times of what it can do: memory, others, books, refusals, recovery."""

from types import SimpleNamespace

import pytest

from telcod.simulator.bench_books import make_books
from telcod.simulator.bench_options import Place
from telcod.simulator.bench_overload import DOCUMENTED_FOR_FLOOD, RSS_MB_MAX, Plan, run_edge
from telcod.simulator.load_overload import EDGES

PEOPLE = 3_000
SAMPLE = Plan(0.6, 0.3, 1.0, 0.5, times=10, others_per_s=20)
LONG = Plan(3, 5, 60, 10, times=10, others_per_s=50)
RECOVERY_S_MAX = 15
"""How long it may take on a machine that does a lot besides; a quiet one needs less than one."""

edges = pytest.mark.parametrize(
    "edge",
    [
        pytest.param("sms", marks=pytest.mark.rule("SMPP-2", "SMPP-5")),
        pytest.param("calls", marks=[pytest.mark.rule("HTTP-1", "IVR-3"), pytest.mark.thorough]),
        pytest.param("ussd", marks=[pytest.mark.rule("HTTP-1", "USSD-1"), pytest.mark.thorough]),
        pytest.param("mqtt", marks=[pytest.mark.rule("MQTT-1"), pytest.mark.thorough]),
        pytest.param("pay", marks=[pytest.mark.rule("HTTP-1", "PAYAPI-1"), pytest.mark.thorough]),
    ],
)


def test_every_edge_is_flooded():
    assert {case.values[0] for case in edges.args[1]} == set(EDGES)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    base = tmp_path_factory.mktemp("overload")
    return Place(base, make_books(base / "books.db", PEOPLE), None)


def flooded(place, edge, plan):
    run = run_edge(place, edge, plan, PEOPLE)
    phases = {phase["name"]: SimpleNamespace(**phase) for phase in run["phases"]}
    return SimpleNamespace(**run), SimpleNamespace(normal=phases["normal"], flood=phases["flood"])


@pytest.mark.timeout(240)
@edges
def test_a_flood_hurts_nobody_but_who_floods(place, edge):
    run, during = flooded(place, edge, SAMPLE)
    assert run.faults == []
    assert run.lost == 0
    assert run.acknowledged > 0
    assert run.rss_most_mb <= RSS_MB_MAX
    assert during.flood.flood["offered"] > 5 * run.sustained_per_s
    assert during.flood.flood["refused"].keys() <= DOCUMENTED_FOR_FLOOD
    others = during.flood.others
    assert others["done"] == others["offered"] > 0


@pytest.mark.thorough
@pytest.mark.timeout(600)
@edges
def test_a_long_flood_leaves_memory_bounded_and_all_as_usual_soon(tmp_path, place, edge):
    run, during = flooded(place._replace(base=tmp_path), edge, LONG)
    assert run.faults == []
    assert run.lost == 0
    assert run.rss_most_mb <= RSS_MB_MAX
    assert during.flood.others["done"] == during.flood.others["offered"]
    assert max(run.recovered_s.values()) <= RECOVERY_S_MAX
