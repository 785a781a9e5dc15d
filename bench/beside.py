"""Small requests beside two clients that send bodies of 2 MB, through tidegate and through nginx.

usage: bench/beside.sh [--rounds N] [--seconds N]
Small ones come at 200 a second, evenly. A large one is a text in Chinese; or 270,000 nested values,
which tidegate refuses and nginx passes on.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import tempfile
import threading
import urllib.error
import urllib.request

from evenly import at_rate
from serving import serving
from throughput import model_server, plain_proxy, project

RATE = 200
PAUSE_S = 0.1


def asking(content, **members):
    """The body of a request."""
    message = {"role": "user", "content": content}
    body = {"model": "bench", "messages": [message], **members}
    return json.dumps(body, ensure_ascii=False).encode()


def nested(depth):
    """An object in an object, so many deep."""
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def send(port, body):
    """Sends a body; the answer's status."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


@contextlib.contextmanager
def sent_by_two(port, body):
    """Two clients that send the body again and again; gives the statuses of their answers."""
    ended, statuses = threading.Event(), []

    def client():
        while not ended.wait(PAUSE_S):
            statuses.append(send(port, body))

    clients = [threading.Thread(target=client) for _ in range(2)] if body else []
    for one in clients:
        one.start()
    try:
        yield statuses
    finally:
        ended.set()
        for one in clients:
            one.join()


def main():
    """Measures both in turn, and prints the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    loads = {"nothing": None, "texts of 2 MB": asking("退款需要七天。" * 95_000),
             "nested values of 2 MB": asking("x", x=[nested(90)] * 3000)}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        upstream, _ = stack.enter_context(model_server(folder / "upstream"))
        proxy, _ = stack.enter_context(plain_proxy(folder / "nginx", upstream))
        root = project(folder / "project", upstream, True)
        url, _ = stack.enter_context(serving(root))
        ours = int(url.rsplit(":", 1)[1].split("/")[0])
        times = {}
        for _ in range(options.rounds):
            for name, port in (("nginx", proxy), ("tidegate", ours)):
                for load, body in loads.items():
                    with sent_by_two(port, body) as statuses:
                        p50, p99 = at_rate(port, RATE, options.seconds)
                    print(f"{name} beside {load}: p50 {p50:.0f}, p99 {p99:.0f} µs", flush=True)
                    times.setdefault((name, load), []).append((p50, p99))
                    if set(statuses) - {200, 400}:
                        raise SystemExit(f"large bodies were answered {set(statuses)}")
    print("\n| small requests through | beside | p50 ms | p99 ms |\n|---|---|---|---|")
    for (name, load), all_of_it in times.items():
        p50, p99 = (statistics.median(one) / 1000 for one in zip(*all_of_it))
        print(f"| {name} | {load} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main()
