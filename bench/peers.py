#!/usr/bin/env python3
"""How often the benchmark's peers go back, computed a second time, with numpy and scipy.

    python3 -m venv venv && venv/bin/pip install numpy scipy && venv/bin/python bench/peers.py

An hour of 1,200 requests a minute of which the candidate has 5 %, stable's errors 0.5 %. The tests in
crates/simulate/src/peers/tests.rs hold the Rust peers against these shares.
"""
import numpy as np
from scipy.stats import norm, rankdata

RUNS, MINUTES, SEED = 2000, 60, 1
LIMIT = 0.01


def statistic(x, y, by):
    """Tie- and continuity-corrected Mann-Whitney statistic of x - by against y."""
    n, m = len(x), len(y)
    ranks = rankdata(np.concatenate([x - by, y]))
    above = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
    ties = np.unique(ranks, return_counts=True)[1].astype(float)
    tied = (ties**3 - ties).sum() / ((n + m) * (n + m - 1))
    sd = np.sqrt(n * m / 12 * (n + m + 1 - tied))
    return (above - 0.5 * np.sign(above)) / sd if sd > 0 else 0.0


def crossing(x, y, z):
    low, high = x.min() - y.max(), x.max() - y.min()
    if statistic(x, y, low) <= z:
        return low
    if statistic(x, y, high) >= z:
        return high
    while high - low > 1e-4:
        middle = (low + high) / 2
        at = statistic(x, y, middle) - z
        if at == 0:
            return middle
        low, high = (middle, high) if at > 0 else (low, middle)
    return (low + high) / 2


def kayenta(candidate, stable):
    """Whether the metric, in percent a minute, is High."""
    if candidate.mean() == 0 or stable.mean() == 0 or candidate.mean() < stable.mean():
        return False
    if sorted(candidate) == sorted(stable):
        return False
    low = crossing(candidate, stable, norm.ppf(0.99))
    return low > 0.25 * abs(crossing(candidate, stable, 0.0))


def first(flags):
    """Whether any is set."""
    return bool(np.any(flags))


def window(n, bad):
    requests = errors = 0
    for more, more_bad in zip(n, bad):
        requests, errors = requests + more, errors + more_bad
        if requests >= 500:
            if errors / requests > 0.005 + 0.005:
                return True
            requests = errors = 0
    return False


def argo(bad, limit):
    return any(sum(bad[at : at + 10]) > limit for at in range(0, len(bad), 10))


def z_test(n, bad, m, stable_bad):
    n, bad, m, stable_bad = map(np.cumsum, (n, bad, m, stable_bad))
    pooled = (bad + stable_bad) / (n + m)
    sd = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    with np.errstate(divide="ignore", invalid="ignore"):
        return first(norm.sf((bad / n - stable_bad / m) / sd) < 0.05)


def growthbook(n, bad, m, stable_bad):
    n, bad, m, stable_bad = map(np.cumsum, (n, bad, m, stable_bad))
    p, q, both = bad / n, stable_bad / m, n + m
    log = -2 * np.log(0.1)
    rho2 = (log + np.log(log + 1)) / 5000
    s2 = (p * (1 - p) / n + q * (1 - q) / m) * both
    half = np.sqrt(s2 * 2 * (both * rho2 + 1) / (both**2 * rho2)
                   * np.log(1 + np.sqrt(both * rho2 + 1) / 0.1))
    return first((p - q > half) & (bad > 0) & (stable_bad > 0))


def track_and_stop(n, bad, m, stable_bad):
    for n, bad, m, stable_bad in list(zip(*map(np.cumsum, (n, bad, m, stable_bad))))[4::5]:
        p, q = bad / n, stable_bad / m
        v = max(p * (1 - p) * n / (n - 1), 1e-12) / n + max(q * (1 - q) * m / (m - 1), 1e-12) / m
        if (p - q) ** 2 / 2 / v > np.log((1 + np.log(n + m)) / 0.05):
            return p > q
    return False


def main():
    draw = np.random.default_rng(SEED)
    for rate in (0.005, 0.015):
        found = {}
        for _ in range(RUNS):
            n = draw.binomial(1200, 0.05, MINUTES)
            m = 1200 - n
            bad, stable_bad = draw.binomial(n, rate), draw.binomial(m, 0.005)
            over = bad / n > LIMIT
            percent, stable_percent = 100 * bad / n, 100 * stable_bad / m
            looks = range(5, MINUTES + 1, 5)
            arms = (n, bad, m, stable_bad)
            outcome = {
                # Failed checks of the minutes before the last one count.
                "flagger_5": over[:-1].sum() >= 5,
                "flagger_10": over[:-1].sum() >= 10,
                "argo_0": argo(over[:10], 0),
                "argo_3": argo(over, 3),
                "window_500": window(n, bad),
                "z_test": z_test(*arms),
                "growthbook": growthbook(*arms),
                "track_and_stop": track_and_stop(*arms),
                "kayenta_once": kayenta(percent, stable_percent),
                "kayenta_5m": any(kayenta(percent[:k], stable_percent[:k]) for k in looks),
            }
            for name, went_back in outcome.items():
                found[name] = found.get(name, 0) + bool(went_back)
        for name, count in found.items():
            print(f"{rate} {name:15} {100 * count / RUNS:5.1f} %")


if __name__ == "__main__":
    main()
