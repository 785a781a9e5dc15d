"""The engine's numbers beside confseq's and scipy's, which know nothing of Tidegate.

    python3 bench/oracle.py            # computes the references anew, holds the file against them
    python3 bench/oracle.py --write    # writes the file
    python3 bench/oracle.py --engine   # and runs the Rust test that holds the engine against it

The file is crates/core/tests/oracle/reference.json; `cargo test -p tidegate-core
decide::tests::oracle` reads it, so the engine is held against it wherever neither package is
installed.

Exit: 0 all agree, 1 something differs, 2 usage, 4 a package is missing.
"""

import json
import math
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE = ROOT / "crates" / "core" / "tests" / "oracle" / "reference.json"

MISSING = """error: python package `{name}` is not installed
hint: confseq has a source package only, and needs Boost's headers (Debian: libboost-dev):
  python3 -m venv /tmp/oracle && . /tmp/oracle/bin/activate
  pip install ninja scikit-build "setuptools<75" wheel "pybind11>=2.11" "cmake<4" \\
      numpy scipy pandas matplotlib multiprocess
  pip install --no-build-isolation confseq==0.0.11     # BOOST_ROOT=… if not in /usr
  python3 bench/oracle.py
"""

try:
    from scipy.optimize import brentq
    from scipy.special import betaln, log_ndtr
    import confseq.boundaries as confseq
except ImportError as error:
    sys.stderr.write(MISSING.format(name=error.name))
    sys.exit(4)


def normal_log():
    points = [-60, -37.5, -12, -4.000001, -4, -3.2, -1, -0.1, 0, 0.3, 1.7, 4, 9]
    return [{"z": float(z), "value": float(log_ndtr(z))} for z in points]


def half_normal():
    """confseq's one-sided normal mixture. Its scale is told by an optimal time; what that is as a
    standard deviation is read off its value at a score of 0."""
    rows = []
    for v_opt, alpha_opt in [(10.0, 0.05), (400.0, 0.01), (3.0, 0.2)]:
        at_zero = float(confseq.normal_log_mixture(0.0, v_opt, v_opt, alpha_opt, True))
        share = math.exp(2 * at_zero)
        drift = 1 / math.sqrt(v_opt * share / (1 - share))
        for score in [-30.0, -2.0, 0.0, 5.0, 40.0, 250.0]:
            for information in [1.0, 50.0, 3000.0]:
                value = confseq.normal_log_mixture(score, information, v_opt, alpha_opt, True)
                rows.append({"score": score, "information": information, "drift": drift,
                             "value": float(value)})
    return rows


def mixture(total, n):
    return betaln(0.5 + total, 0.5 + n - total) - betaln(0.5, 0.5)


def likelihood(total, n, p):
    bad = total * math.log(p) if total else 0.0
    return bad + ((n - total) * math.log1p(-p) if n > total else 0.0)


def evidence_of_rate():
    """confseq's beta-binomial mixture is a Beta(1/2, 1/2) at p = 1/2 when its rho is 1/2; at other
    rates its prior moves with p, so there scipy's Beta function is the reference."""
    alpha = 0.05
    log = 2 * math.log(1 / alpha)
    v_opt = 0.5 * (log + math.log(1 + log))
    rows = []
    for total, n in [(0, 20), (30, 40), (10, 100), (50, 100), (600, 1000), (10300, 20000)]:
        value = confseq.beta_binomial_log_mixture(
            total - n / 2, n / 4, v_opt, 0.5, 0.5, alpha, False)
        rows.append({"by": "confseq", "sum": float(total), "n": float(n), "p": 0.5,
                     "value": float(value)})
    points = [(0, 500, 0.001), (3, 40, 0.2), (20.5, 1000, 0.01), (5, 1e6, 1e-5), (90, 90, 0.95)]
    for total, n, p in points:
        value = mixture(total, n) - likelihood(total, n, p)
        rows.append({"by": "scipy", "sum": float(total), "n": float(n), "p": p,
                     "value": float(value)})
    return rows


def rate():
    """The ends by scipy's root finder; beside them confseq's interval for bounded outcomes, tuned
    to this very n, which ours is not."""
    rows = []
    seen = [(0, 500), (2, 100), (3, 40), (50, 100), (10, 1000), (200, 10000), (5000, 10000),
            (70, 70)]
    for alpha in [0.05, 0.001]:
        for total, n in seen:
            def excess(p):
                return mixture(total, n) - likelihood(total, n, p) - math.log(1 / alpha)
            middle = min(max(total / n, 1e-300), 1 - 1e-15)
            low = brentq(excess, 1e-300, middle, xtol=1e-18) if total else 0.0
            high = brentq(excess, middle, 1 - 1e-15, xtol=1e-15) if total < n else 1.0
            best = confseq.bernoulli_confidence_interval(float(total), int(n), alpha, n, alpha)
            rows.append({"sum": float(total), "n": float(n), "alpha": alpha,
                         "low": low, "high": high, "confseq_low": float(best[0]), "confseq_high": float(best[1])})
    return rows


def mean():
    """The asymptotic interval is the two-sided normal mixture's with the variance seen."""
    rows = []
    for alpha in [0.05, 0.001]:
        for n in [50, 1000, 40000]:
            for spread in [1.0, 35.0]:
                bound = confseq.normal_mixture_bound(float(n), alpha, 1000.0, alpha, False)
                rows.append({"n": float(n), "mean": 100.0, "spread": spread, "alpha": alpha,
                             "radius": float(bound) / n * spread})
    return rows


def quantile():
    """By its definition: a value may be the quantile unless the counts at or below it, or below it,
    are refuted as that quantile's. Small whole numbers, which have a bucket each."""
    rows = []
    shapes = {
        "even": [30] * 40,
        "falling": [int(400 * 0.85 ** i) for i in range(50)],
        "two peaks": [100] * 5 + [0] * 20 + [15] * 6,
        "few": [1] * 25,
    }
    for name, counts in shapes.items():
        for q in [0.5, 0.95, 0.99]:
            for effect in [1.0, 3.0]:
                alpha = 0.02
                n = sum(counts) / effect

                def refuted(count):
                    return mixture(count, n) - likelihood(count, n, q) >= math.log(2 / alpha)

                def at_or_below(value):
                    return sum(counts[: value + 1]) / effect

                seen = [value for value, count in enumerate(counts) if count]
                def too_low(value):
                    return at_or_below(value) < q * n and refuted(at_or_below(value))

                def too_high(value):
                    return at_or_below(value - 1) > q * n and refuted(at_or_below(value - 1))

                low = next(value for value in seen if not too_low(value))
                high = max(value for value in seen if not too_high(value))
                rows.append({"shape": name, "counts": counts, "q": q, "alpha": alpha,
                             "effect": effect, "low": float(low),
                             "high": float(high) if refuted(n) else None})
    return rows


PARTS = [normal_log, half_normal, evidence_of_rate, rate, mean, quantile]


def differs(given, computed):
    if isinstance(computed, float) and isinstance(given, float):
        return abs(given - computed) > 1e-9 * max(1.0, abs(computed))
    return given != computed


def main():
    wanted = set(sys.argv[1:])
    if wanted - {"--write", "--engine"}:
        print(f"error: given {sorted(wanted)}; allowed: --write, --engine", file=sys.stderr)
        return 2
    computed = {part.__name__: part() for part in PARTS}
    if "--write" in wanted:
        parts = ",\n".join(
            f' "{name}": [\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "\n ]"
            for name, rows in computed.items())
        FILE.write_text("{\n" + parts + "\n}\n")
        print(f"wrote {FILE.relative_to(ROOT)}")
    given = json.loads(FILE.read_text())
    failed = False
    for name, rows in computed.items():
        old = given.get(name, [])
        wrong = [(a, b) for a, b in zip(old, rows)
                 if a.keys() != b.keys() or any(differs(a[key], b[key]) for key in b)]
        bad = bool(wrong) or len(old) != len(rows)
        failed |= bad
        print(f"{name:17} {len(rows):3} references  {'DIFFERENT' if bad else 'as in the file'}")
        for a, b in wrong[:3]:
            print(f"  file {a}\n  now  {b}")
    if "--engine" in wanted:
        test = ["cargo", "test", "-q", "-p", "tidegate-core", "--lib", "decide::tests::oracle"]
        failed |= subprocess.run(test, cwd=ROOT, check=False).returncode != 0
    print("differs" if failed else "all agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
