#!/usr/bin/env python3
"""How many rated answers does the line on likes need? A simulation beside real_answers.py.

    python3 bench/real_answers_power.py               # under a minute, no data needed

The interval is that of crates/core/src/decide/interval.rs (method of mixtures, Beta(1/2, 1/2)),
written again: a change there must be made here as well. Like shares are those of the four models
in the data. Prints the median over 15 simulated releases, all answers of both arms together.
"""

import math
import random

ALPHA, RULES, ADVANCE = 0.01, 9, 0.05
PASS, PAUSE, ROLLBACK = 0.0, 0.03, 0.05
RUNS, MOST = 15, 400_000

GPT4, GPT35, VICUNA, ALPACA = 0.500, 0.096, 0.042, 0.026


def ln_beta(a, b):
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def interval(bad, count, alpha):
    budget, rest = math.log(1 / alpha), count - bad
    mixture = ln_beta(0.5 + bad, 0.5 + rest) - ln_beta(0.5, 0.5)

    def outside(p):
        of = lambda n, log: n * log if n else 0.0
        return mixture - of(bad, math.log(p)) - of(rest, math.log1p(-p)) >= budget

    def edge(out, inside):
        if not outside(out):
            return None
        for _ in range(45):
            middle = (out + inside) / 2
            out, inside = (middle, inside) if outside(middle) else (out, middle)
        return out

    mean = min(max(bad / count, 1e-9), 1 - 1e-9)
    low, high = edge(1e-12, mean), edge(1 - 1e-12, mean)
    return (0.0 if low is None else low), (1.0 if high is None else high)


def harm(stable, candidate, unit):
    if unit == "points":
        return candidate - stable
    return 1 - (1 - candidate) / (1 - stable) if stable < 1 else -math.inf


def needed(old_like, new_like, weight, unit, seed):
    """Answers until it is proven over rollback, or shown to pass; which of the two."""
    draw = random.Random(seed)
    arms = {False: [0, 0], True: [0, 0]}
    looked = 50
    for total in range(1, MOST + 1):
        arm = draw.random() < weight
        arms[arm][0] += draw.random() >= (new_like if arm else old_like)
        arms[arm][1] += 1
        if total < looked or not all(count for _, count in arms.values()):
            continue
        looked = total * 1.03
        level = ALPHA / RULES / 2
        old, new = interval(*arms[False], level), interval(*arms[True], level)
        if harm(old[1], new[0], unit) > ROLLBACK:
            return total, "rolled back"
        old, new = (interval(*arms[side], ADVANCE / 2) for side in (False, True))
        high = harm(old[0], new[1], unit)
        means = [bad / count for bad, count in (arms[False], arms[True])]
        if high <= ROLLBACK and (harm(*means, unit) <= PASS or high <= PAUSE):
            return total, "passes"
    return MOST, "undecided"


def main():
    print(f"| likes, stable → candidate | weight | band | median answers of {RUNS} | says |")
    print("|---|---|---|---|---|")
    pairs = ((GPT35, ALPACA), (VICUNA, GPT35), (GPT35, GPT4), (GPT35, GPT35), (GPT4, GPT4),
             (0.90, 0.90), (0.90, 0.80))
    for old, new in pairs:
        for weight, unit in ((0.2, "relative"), (0.5, "relative"), (0.5, "points")):
            found = sorted(needed(old, new, weight, unit, seed) for seed in range(RUNS))
            says = {}
            for _, what in found:
                says[what] = says.get(what, 0) + 1
            total = found[RUNS // 2][0]
            shown = f"over {MOST:,}" if total == MOST else f"{total:,}"
            told = ", ".join(f"{what} {count}" for what, count in sorted(says.items()))
            print(f"| {old:.1%} → {new:.1%} | {weight:.0%} | {unit} | {shown} | {told} |",
                  flush=True)


if __name__ == "__main__":
    main()
