"""The prover against many pairs, and its times: bench.py [count] [seed], or bench.py times.

The truth of drawn pairs is that of pairs.py. It prints every wrong answer, and fails on one, on an
error, or if two of a hundred are unknown. The times are those of the pairs of ordinary.py.
"""

import sys
import time
from collections import Counter

from ordinary import CHAINS, LAYERS
from pairs import pairs
from test_ordinary import decide
from test_pairs import answer, wrong

RUNS = 5


def main(count=1000, seed=0):
    relations, seconds, bad = Counter(), [], 0
    for number, pair in enumerate(pairs(seed, count)):
        start = time.perf_counter()
        found = answer(pair)
        seconds.append(time.perf_counter() - start)
        relations[found.relation] += 1
        if wrong(pair, found.relation):
            bad += 1
            print(f"wrong, number {number}: {pair}\n{found}", flush=True)
    seconds.sort()
    print(f"{count} pairs of seed {seed}: {bad} wrong, {dict(relations)}")
    print(f"{1e3 * seconds[len(seconds) // 2]:.0f} ms at the median, {seconds[-1]:.1f} s at most")
    return int(bad > 0 or relations["unknown"] * 50 >= count)


def times():
    """The median time of each pair of ordinary sizes, in ms."""
    for title, each in (("two layers", LAYERS), ("chains of ten", CHAINS)):
        print(title)
        for a, b, shape, _ in each:
            seconds = []
            for _ in range(RUNS):
                start = time.perf_counter()
                found = decide(a, b, shape)
                seconds.append(time.perf_counter() - start)
            middle = 1e3 * sorted(seconds)[RUNS // 2]
            print(f"{middle:8.1f} {found.relation:10s} {a[:46]:46s} | {b[:46]}", flush=True)


if __name__ == "__main__":
    sys.exit(times() if sys.argv[1:] == ["times"] else main(*map(int, sys.argv[1:])))
