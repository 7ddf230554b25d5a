"""The prover against many pairs: python tests/equivalence/bench.py [count] [seed].

The truth is that of pairs.py. It prints every wrong answer, and fails on one, on an error, or if
two of a hundred are unknown.
"""

import sys
import time
from collections import Counter

from pairs import pairs
from test_pairs import answer, wrong


def main(count=1000, seed=0):
    relations, seconds, bad = Counter(), [], 0
    for number, pair in enumerate(pairs(seed, count)):
        start = time.process_time()
        found = answer(pair)
        seconds.append(time.process_time() - start)
        relations[found.relation] += 1
        if wrong(pair, found.relation):
            bad += 1
            print(f"wrong, number {number}: {pair}\n{found}", flush=True)
    seconds.sort()
    print(f"{count} pairs of seed {seed}: {bad} wrong, {dict(relations)}")
    print(f"{1e3 * seconds[len(seconds) // 2]:.0f} ms at the median, {seconds[-1]:.1f} s at most")
    return int(bad > 0 or relations["unknown"] * 50 >= count)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
