#!/usr/bin/env python3
"""Writes crates/core/tests/metrics/t_tests.jsonl: samples, and what scipy's t-tests say of them.

    python3 -m venv /tmp/pairs && /tmp/pairs/bin/pip install scipy==1.17.1
    /tmp/pairs/bin/python bench/pairs.py
"""

import json
import pathlib
import random
import warnings

from scipy import stats

RANDOM = random.Random(20261129)


def sample(count, kind, shift):
    draw = {
        "score": lambda: round(RANDOM.random(), 3),
        "right": lambda: float(RANDOM.random() < 0.7),
        "latency": lambda: round(RANDOM.lognormvariate(6, 0.8), 1),
        "near": lambda: 1e4 + RANDOM.gauss(0, 1),
    }[kind]
    return [round(draw() + shift, 6) for _ in range(count)]


def rows():
    for number in range(200):
        kind = RANDOM.choice(["score", "right", "latency", "near"])
        size = {"score": 0.05, "right": 0.1, "latency": 300, "near": 0.5}[kind]
        shift = RANDOM.choice([0, 0, size, -size, 5 * size])
        count = RANDOM.choice([2, 3, 5, 10, 30, 60] if number % 40 else [1000])
        other = max(2, RANDOM.choice([count, count // 2, count + 7]))
        a, b = sample(count, kind, 0), sample(other, kind, shift)
        yield "welch", a, b, stats.ttest_ind(b, a, equal_var=False)
        noise = sample(count, kind, 0)
        b = [round(x + shift + 0.3 * (y - noise[0]), 6) for x, y in zip(a, noise)]
        yield "paired", a, b, stats.ttest_rel(b, a)


def main():
    warnings.simplefilter("ignore")
    path = pathlib.Path(__file__).parent.parent / "crates/core/tests/metrics/t_tests.jsonl"
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for test, a, b, found in rows():
            result = [float(found.statistic), float(found.df), float(found.pvalue)]
            if not all(abs(number) < 1e300 for number in result) or result[2] == 0.0:
                continue
            row = {"test": test, "a": a, "b": b, "result": result}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
            count += 1
    print(f"{count} tests in {path}")


if __name__ == "__main__":
    main()
