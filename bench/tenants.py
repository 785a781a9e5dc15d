"""What keys, tenants, bounds, budgets and guards cost, and what a noisy tenant does to the others.

usage: bench/tenants.sh [--rounds N] [--seconds N]
One server asks for nothing; the other asks for a key and keeps the bounds and budgets of the key,
its tenant and the service, looks for words, and stops all that `risk.block` can stop. Both call
the same nginx. Then one tenant sends 20 times what it may while another asks 100 times a second.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

from evenly import at_rate
from serving import serving, tidegate
from throughput import CONNECTIONS, HERE, load, middle, model_server, project

# More than any load here reaches: what is measured is how they are kept, not how they refuse.
WIDE = {"requests_per_min": 10**9, "tokens_per_min": 10**12, "concurrent": 10**6,
        "budget_day_usd": 10**6, "budget_month_usd": 10**6}
NOISY_PER_MIN = 6_000
NOISE = 20
QUIET_PER_S = 100


def guarded(root, upstream):
    """The same service with all that it can look at and count."""
    project(root, upstream, True)
    path = root / "tidegate.yaml"
    config = json.loads(path.read_text())
    config["require_keys"] = True
    config["prices"] = {"m-1": {"input_per_million": 0.4, "output_per_million": 1.6}}
    config["bounds"] = WIDE
    config["tenants"] = {"acme": WIDE, "noisy": {"requests_per_min": NOISY_PER_MIN}}
    config["risk"] = {
        "planted": ["canary-7f3a"], "words": ["guaranteed profit", "内部文件", "社外秘"],
        "block": ["planted", "tools", "prompt", "secrets", "ids", "personal", "words", "injection",
                  "hidden_text"]}
    path.write_text(json.dumps(config, ensure_ascii=False))
    return root


def key(root, name, tenant, *more):
    """A new key, as the header that shows it."""
    made = tidegate(root, "key", "create", name, "--tenant", tenant, *more, "--json").stdout
    return f"authorization: Bearer {json.loads(made)['new_key']}"


def cost(bare, full, header, rounds, seconds):
    """Requests a second and CPU of each, with and without; rounds in turn."""
    found = {"bare": [], "full": []}
    for _ in range(rounds):
        for name, (port, process), headers in (("bare", bare, ()), ("full", full, (header,))):
            got = load(port, CONNECTIONS, seconds, process, headers)
            if got["failed"]:
                sys.exit(f"{name}: {got['failed']} requests failed")
            found[name].append(got)
    for name, got in found.items():
        print(f"{name}: {middle(got, 'per_s'):,.0f} requests/s, {middle(got, 'cpu_us'):.1f} µs CPU "
              "a request")
    cpu = middle(found["full"], "cpu_us") / middle(found["bare"], "cpu_us")
    speed = middle(found["full"], "per_s") / middle(found["bare"], "per_s")
    print(f"all of it: {cpu:.2f} times the CPU, {speed:.2f} of the throughput")


def noise(port, header, seconds):
    """A tenant that sends 20 times what it may, for so long; ends by itself."""
    connections = 20
    pause_ms = connections * 60_000 // (NOISY_PER_MIN * NOISE)
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "throughput.lua",
         f"http://127.0.0.1:{port}/v1/chat/completions", "--", header, f"pause-ms: {pause_ms}"],
        stdout=subprocess.PIPE, text=True)


def neighbours(port, quiet, noisy, seconds):
    """The latency of a tenant beside a noisy one."""
    alone = at_rate(port, QUIET_PER_S, seconds, quiet)
    # It may have a minute's requests at once; what is looked at is what follows.
    load(port, CONNECTIONS, 3, None, (noisy,))
    noise_ends = noise(port, noisy, seconds + 2)
    beside = at_rate(port, QUIET_PER_S, seconds, quiet)
    sent = json.loads(noise_ends.communicate(timeout=30)[0].splitlines()[-1])
    served = sent["requests"] - sent["failed"]
    print(f"the noisy tenant sent {sent['requests'] / sent['seconds']:,.0f} requests/s and was "
          f"answered {served / sent['seconds']:,.0f} of them, {NOISY_PER_MIN // 60} may be")
    print(f"the other's p50, p99 at {QUIET_PER_S}/s: alone {alone[0] / 1000:.2f}, "
          f"{alone[1] / 1000:.2f} ms; beside it {beside[0] / 1000:.2f}, {beside[1] / 1000:.2f} ms; "
          "no error")


def main():
    """Measures both and prints."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=4)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        folder = pathlib.Path(folder)
        upstream, _ = running.enter_context(model_server(folder / "up"))

        def server(root):
            url, process = running.enter_context(serving(root))
            return int(url.rsplit(":", 1)[1].split("/")[0]), process

        bare = server(project(folder / "bare", upstream, True))
        root = guarded(folder / "full", upstream)
        full = server(root)
        app = key(root, "app", "acme", "--requests-per-min", "1000000000", "--tokens-per-min",
                  "1000000000000", "--concurrent", "1000000", "--budget-day", "1000000usd")
        noisy = key(root, "batch", "noisy")
        for port, headers in ((bare[0], ()), (full[0], (app,))):
            load(port, CONNECTIONS, 2, None, headers)
        cost(bare, full, app, given.rounds, given.seconds)
        neighbours(full[0], app, noisy, 10)


if __name__ == "__main__":
    main()
