"""Throughput and added latency of tidegate beside nginx and haproxy as plain proxies, in one run.

usage: bench/throughput.sh [--rounds N] [--seconds N]
The upstream of all is another nginx that answers a fixed 1 KB chat completion. Everything is on
loopback; each load is bounded in time. haproxy is left out where it is not installed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from evenly import at_rate
from serving import end, get, memory_mb, metric, serving, tidegate, write_cases, write_project

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 64
TICKS = os.sysconf("SC_CLK_TCK")


def answer():
    """A chat completion of 1,024 bytes."""
    def body(text):
        message = {"role": "assistant", "content": text}
        return json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 64, "completion_tokens": 170, "total_tokens": 234},
        })

    text = "Refunds take five working days after the parcel is back. "
    text = (text * 20)[:1024 - len(body(""))]
    return body(text)


def free_port():
    """A port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def nginx(folder, server):
    """A private nginx with one server block; gives its port and its processes."""
    folder.mkdir()
    port = free_port()
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in (
        "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; default_type application/json;
  {paths}
  {server.replace("PORT", str(port))}
}}
""")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")],
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                sys.exit(f"nginx did not start: {(folder / 'error.log').read_text()}")
            time.sleep(0.05)
        yield port, process
    finally:
        end(process)


def model_server(folder):
    """An nginx that answers everything with the same completion."""
    return nginx(folder, """server {
      listen 127.0.0.1:PORT backlog=1024;
      client_max_body_size 64m;
      location / { return 200 '%s'; }
    }""" % answer())


def plain_proxy(folder, upstream):
    """An nginx that passes everything on over kept connections."""
    return nginx(folder, """
    upstream up { server 127.0.0.1:%d; keepalive 256; keepalive_requests 100000000; }
    server {
      listen 127.0.0.1:PORT backlog=1024;
      client_max_body_size 64m;
      location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }""" % upstream)


@contextlib.contextmanager
def haproxy(folder, upstream):
    """A private haproxy before the upstream; gives its port and its process."""
    folder.mkdir()
    port = free_port()
    (folder / "haproxy.cfg").write_text(f"""
global
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend up
backend up
  server up 127.0.0.1:{upstream}
""")
    process = subprocess.Popen(
        [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(folder / "haproxy.cfg")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                sys.exit("haproxy did not start")
            time.sleep(0.05)
        yield port, process
    finally:
        end(process)


def installed(program):
    """Whether a program is there; Debian keeps servers in a folder that is not on every PATH."""
    return bool(shutil.which(program)) or os.path.exists(f"/usr/sbin/{program}")


def cpu_s(pid):
    """User and system seconds that a process and its children's processes have used."""
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0.0
    for one in [str(pid), *found]:
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def load(port, connections, seconds, process=None, headers=()):
    """One bounded load; what came of it, with the CPU time of each request at the process."""
    before = cpu_s(process.pid) if process else 0.0
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "throughput.lua",
         f"http://127.0.0.1:{port}/v1/chat/completions", "--", *headers],
        capture_output=True, text=True, timeout=seconds + 30, check=False)
    line = [text for text in done.stdout.splitlines() if text.startswith('{"requests"')]
    if not line:
        sys.exit(f"wrk said nothing of use:\n{done.stdout}{done.stderr}")
    result = json.loads(line[0])
    result["per_s"] = result["requests"] / result["seconds"]
    if process:
        result["cpu_us"] = (cpu_s(process.pid) - before) / result["requests"] * 1e6
    return result


def middle(results, key):
    """The median over the rounds."""
    return statistics.median(result[key] for result in results)


def project(root, upstream, content):
    """A service whose prompt passes through, without an output contract, with an eval that holds."""
    contract = {name: "see bench/throughput.py" for name in (
        "endpoint", "request_shape", "response_shape", "limits", "stop_path")}
    write_project(
        root, {"up": {"kind": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1"}},
        records={"content": content}, contract=contract,
        # Every switch below is an order; nothing may climb or fall by itself in between.
        release={"rungs": [{"weight_pct": w, "look_s": 600} for w in (10, 25, 50, 100)]})
    write_cases(root, ["x"])
    return root


def switches(root, url, port, cycles):
    """Starts, promotes and rolls back under load; the times the server gives for each switch."""
    times = []
    by = ["--by", "bench", "--reason", "bench"]
    orders = [["release", "start", "--model", "m-2", "--override", *by],
              ["release", "promote", *by], ["rollback", *by]]
    seconds = 3 + cycles * (len(orders) + 4)
    under = subprocess.Popen(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", HERE / "throughput.lua",
         f"http://127.0.0.1:{port}/v1/chat/completions"], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1)
        for _ in range(cycles):
            # A release that ended wrote cases, so the last eval is older than they are.
            tidegate(root, "eval", "--model", "m-2")
            for order in orders:
                tidegate(root, *order)
                time.sleep(0.3)
                page = get(url.replace("/v1", "/metrics"))
                times.append((order[0] if order[0] == "rollback" else order[1], *(
                    metric(page, "tidegate_switch_seconds", step=step)
                    for step in ("table", "drained"))))
        # The load's own count of failures is only whole when it ran to its end.
        said, _ = under.communicate(timeout=seconds + 30)
    finally:
        end(under)
    failed = json.loads([t for t in said.splitlines() if t.startswith('{"requests"')][0])["failed"]
    candidates = metric(get(url.replace("/v1", "/metrics")), "tidegate_arm_requests_total",
                        arm="candidate", status="ok")
    return times, failed, candidates


def measure(folder, rounds, seconds):
    with contextlib.ExitStack() as stack:
        upstream, _ = stack.enter_context(model_server(folder / "upstream"))
        proxy, proxy_process = stack.enter_context(plain_proxy(folder / "proxy", upstream))
        targets = {"direct": (upstream, None), "nginx": (proxy, proxy_process)}
        if installed("haproxy"):
            targets["haproxy"] = stack.enter_context(haproxy(folder / "haproxy", upstream))
        gates = {}
        for name, content in (("tidegate", True), ("tidegate, content: false", False)):
            root = project(folder / f"content-{content}", upstream, content)
            url, process = stack.enter_context(serving(root))
            targets[name] = (int(url.rsplit(":", 1)[1].split("/")[0]), process)
            gates[name] = (root, url, process)
        time.sleep(5)
        idle = memory_mb(gates["tidegate"][2])
        wide = {name: [] for name in targets}
        narrow = {name: [] for name in targets}
        for number in range(rounds):
            for name, (port, process) in targets.items():
                load(port, CONNECTIONS, 1)
                wide[name].append(load(port, CONNECTIONS, seconds, process))
                narrow[name].append(load(port, 1, max(2, seconds // 3)))
                shown = wide[name][-1]
                print(f"round {number + 1}, {name}: {shown['per_s']:.0f}/s, "
                      f"p99 {shown['p99_us'] / 1000:.1f} ms", file=sys.stderr, flush=True)
        gate = gates["tidegate"]
        after = memory_mb(gate[2])
        dropped = {}
        for name, (_, url, _) in gates.items():
            page = get(url.replace("/v1", "/metrics"))
            dropped[name] = (metric(page, "tidegate_records_dropped_total"),
                             metric(page, "tidegate_arm_requests_total", arm="stable"))
        report(wide, narrow, dropped)
        fixed_rate(targets, rounds, seconds)
        times, failed, candidates = switches(gate[0], gate[1], targets["tidegate"][0], 4)
    print(f"\nmemory of tidegate: {idle:.1f} MB 5 s after its start, {after:.1f} MB after the load")
    print(f"{len(times)} switches under load (start, promote, rollback; failed requests: {failed}, "
          f"on the candidate: {candidates:.0f})")
    for place, step in ((1, "decision → the new table serves"),
                        (2, "decision → the last request on the old table has ended")):
        for order in ("start", "promote", "rollback"):
            known = [one[place] * 1000 for one in times if one[0] == order and one[place] is not None]
            print(f"  {order}: {step}: median {statistics.median(known):.1f} ms, "
                  f"longest {max(known):.1f} ms")
    broken = failed + sum(one["failed"] for results in (*wide.values(), *narrow.values())
                          for one in results)
    if broken:
        print(f"FAIL: {broken} requests did not get their 200")
    return 1 if broken or not candidates else 0


def report(wide, narrow, dropped):
    best = middle(wide["nginx"], "per_s")
    base = middle(narrow["direct"], "p50_us")
    print(f"| c={CONNECTIONS} | requests/s (each round) | of nginx's | p50 ms | p99 ms "
          "| CPU µs a request | c=1 p50 µs | added µs | c=1 p99 µs | records dropped |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, results in wide.items():
        rate = middle(results, "per_s")
        each = ", ".join(f"{one['per_s']:.0f}" for one in results)
        lost = "–"
        if name in dropped:
            count, of = dropped[name]
            lost = f"{count:.0f} of {of:.0f} ({100 * count / of:.1f} %)"
        cpu = f"{middle(results, 'cpu_us'):.0f}" if "cpu_us" in results[0] else "–"
        p50 = middle(narrow[name], "p50_us")
        print(f"| {name} | {rate:.0f} ({each}) | {rate / best:.2f} "
              f"| {middle(results, 'p50_us') / 1000:.2f} | {middle(results, 'p99_us') / 1000:.2f} "
              f"| {cpu} | {p50:.0f} | {p50 - base:.0f} | {middle(narrow[name], 'p99_us'):.0f} "
              f"| {lost} |")


def fixed_rate(targets, rounds, seconds):
    """What each adds at a rate far below what it can do."""
    # In turn, as above: a machine that gets busy meanwhile is busy for all of them.
    times = {name: [] for name in targets}
    for _ in range(rounds):
        for name, (port, _) in targets.items():
            times[name].append(at_rate(port, 1000, seconds))
    medians = {name: [statistics.median(column) for column in zip(*rows)]
               for name, rows in times.items()}
    print("\n| 1,000 requests/s | p50 µs | added | p99 µs | added |\n|---|---|---|---|---|")
    for name, (p50, p99) in medians.items():
        base50, base99 = medians["direct"]
        print(f"| {name} | {p50:.0f} | {p50 - base50:.0f} | {p99:.0f} | {p99 - base99:.0f} |")


def machine():
    """The machine, and how busy it is with other things: ratios hold across machines, figures not."""
    cpu = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text()
           .splitlines() if line.startswith("model name")]
    server = subprocess.run([shutil.which("nginx") or "/usr/sbin/nginx", "-v"], check=False,
                            capture_output=True, text=True).stderr.strip().rpartition("/")[2]
    return (f"{len(cpu)} x {cpu[0] if cpu else 'CPU'}, nginx {server}, "
            f"load average before: {os.getloadavg()[0]:.1f}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="tidegate-throughput-") as folder:
        return measure(pathlib.Path(folder), given.rounds, min(given.seconds, 60))


if __name__ == "__main__":
    sys.exit(main())
