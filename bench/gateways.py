"""Tidegate beside LiteLLM (one worker) and Portkey at eight connections, in one run, and beside
nginx as a plain proxy, which shows what the machine allows.

usage: bench/gateways.sh [--rounds N] [--seconds N]
The upstream of all is an nginx that answers a fixed 1 KB chat completion; everything is on loopback.
Tidegate writes its records with their content, the others write none.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from serving import end, memory_mb, serving
from throughput import (
    free_port, load, machine, middle, model_server, plain_proxy, project)

CONNECTIONS = 8
# LiteLLM takes 25 s to start on a quiet machine.
STARTS_WITHIN_S = 180


def ask(port, headers):
    """One request; whether the upstream's own answer came back."""
    body = {"model": "bench", "messages": [{"role": "user", "content": "How long?"}]}
    pairs = dict(line.split(": ", 1) for line in headers)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json", **pairs})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return "Refunds take" in response.read().decode()
    except (OSError, urllib.error.URLError):
        return False


@contextlib.contextmanager
def gateway(folder, name, command, port, headers, env):
    """Runs a gateway until it answers; gives its process, which is ended with its children."""
    with open(folder / f"{name}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=log,
                                   stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not ask(port, headers):
            if process.poll() is not None or time.monotonic() > until:
                said = (folder / f"{name}.log").read_text()[-2000:]
                sys.exit(f"{name} did not answer:\n{said}")
            time.sleep(0.5)
        yield process
    finally:
        end(process)


def litellm(folder, installed, upstream):
    """One worker, no log, no key."""
    port = free_port()
    (folder / "litellm.yaml").write_text(json.dumps({
        "model_list": [{"model_name": "bench", "litellm_params": {
            "model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream}/v1",
            "api_key": "none"}}],
        "litellm_settings": {"set_verbose": False, "telemetry": False}}))
    command = [installed / "litellm/bin/litellm", "--config", folder / "litellm.yaml", "--host",
               "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
           "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    return port, (), command, env


def portkey(_folder, installed, upstream):
    """Its defaults."""
    port = free_port()
    start = installed / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    headers = ("x-portkey-provider: openai", "authorization: Bearer none",
               f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1")
    return port, headers, ["node", start, "--headless", f"--port={port}"], {
        "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}


def measure(folder, installed, rounds, seconds):
    """The table; 1 where a request failed."""
    with contextlib.ExitStack() as stack:
        upstream, _ = stack.enter_context(model_server(folder / "upstream"))
        proxy, proxy_process = stack.enter_context(plain_proxy(folder / "proxy", upstream))
        root = project(folder / "tidegate", upstream, True)
        url, process = stack.enter_context(serving(root))
        targets = {"direct": (upstream, (), None), "nginx": (proxy, (), proxy_process),
                   "tidegate": (int(url.rsplit(":", 1)[1].split("/")[0]), (), process)}
        for name, prepare in (("Portkey", portkey), ("LiteLLM", litellm)):
            port, headers, command, env = prepare(folder, installed, upstream)
            process = stack.enter_context(gateway(folder, name, command, port, headers, env))
            targets[name] = (port, headers, process)
        results = {name: [] for name in targets}
        for number in range(rounds):
            for name, (port, headers, process) in targets.items():
                load(port, CONNECTIONS, 1, headers=headers)
                results[name].append(load(port, CONNECTIONS, seconds, process, headers))
                print(f"round {number + 1}, {name}: {results[name][-1]['per_s']:.0f}/s",
                      file=sys.stderr, flush=True)
        ours = middle(results["tidegate"], "per_s")
        print(f"| c={CONNECTIONS} | requests/s | tidegate's rate is | p50 ms | p99 ms | memory MB |"
              "\n|---|---|---|---|---|---|")
        for name, rows in results.items():
            rate, process = middle(rows, "per_s"), targets[name][2]
            memory = f"{memory_mb(process):.0f}" if process else "–"
            print(f"| {name} | {rate:,.0f} | {ours / rate:.2f} x | "
                  f"{middle(rows, 'p50_us') / 1000:.2f} | {middle(rows, 'p99_us') / 1000:.2f} | "
                  f"{memory} |")
    failed = {name: sum(row["failed"] for row in rows) for name, rows in results.items()}
    if any(failed.values()):
        print(f"FAIL: requests without their 200: {failed}")
    return 1 if any(failed.values()) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--installed", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="tidegate-gateways-") as folder:
        return measure(pathlib.Path(folder), given.installed.resolve(), given.rounds,
                       min(given.seconds, 60))


if __name__ == "__main__":
    sys.exit(main())
