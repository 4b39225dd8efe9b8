"""Play seeds, as many as wanted, and say which of them fail: `scripts/simulate`.

scripts/simulate --seeds 10000 --from 1 --processes 2
scripts/simulate --seed 1234 --verbose
scripts/simulate --seeds 500 --plant evidence_does_not_outlive_a_kill
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext

from tests.simulation.bugs import BUGS
from tests.simulation.world import simulate

SHOWN = 3  # Complaints of one seed, unless all are asked for.
PLANTS = {bug.__name__: bug for bug in BUGS}


def play(seed, plant=""):
    """One seed, with a planted bug or without."""
    with PLANTS[plant]() if plant else nullcontext():
        return simulate(seed)


def play_many(seeds, processes, plant):
    """How each of them went, in order."""
    if processes == 1:
        yield from (play(seed, plant) for seed in seeds)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(play, seeds, [plant] * len(seeds), chunksize=10)


def main(arguments):
    """Return the exit code: 1 if a seed fails."""
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, help="play this one only")
    parser.add_argument("--verbose", action="store_true", help="with the conversation")
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="with this mistake")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return one(chosen.seed, chosen.plant, verbose=chosen.verbose)
    return many(range(chosen.first, chosen.first + chosen.seeds), chosen.processes, chosen.plant)


def one(seed, plant, *, verbose):
    """Replay a seed; the same seed gives the same hash."""
    with PLANTS[plant]() if plant else nullcontext():
        outcome = simulate(seed, print if verbose else None)
    print(f"seed {seed}, trace {outcome.trace_hash}, {outcome.simulated_s / 3_600:.0f} h simulated")
    print(", ".join(f"{name} {count}" for name, count in outcome.counts.items()))
    print(*outcome.complaints, sep="\n")
    return 1 if outcome.complaints else 0


def many(seeds, processes, plant):
    """All of them, and what they amounted to."""
    began_s = time.perf_counter()
    total: Counter[str] = Counter()
    failed, simulated_s = [], 0.0
    for outcome in play_many(seeds, processes, plant):
        total.update(outcome.counts)
        simulated_s += outcome.simulated_s
        if outcome.complaints:
            failed.append(outcome.seed)
            print(f"seed {outcome.seed} (trace {outcome.trace_hash}):", flush=True)
            for complaint in outcome.complaints[:SHOWN]:
                print(f"  {complaint}", flush=True)
    took_s = time.perf_counter() - began_s
    print(
        f"{len(seeds)} seeds, {len(failed)} failed; {simulated_s / 86_400:.0f} days simulated "
        f"in {took_s:.0f} s; " + ", ".join(f"{name} {count}" for name, count in total.items())
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
