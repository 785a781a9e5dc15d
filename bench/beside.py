"""Small requests beside clients that take much or long, through tidegate and through nginx.

usage: bench/beside.sh [--rounds N] [--seconds N] [--only WORD]
Small ones come at 200 a second, evenly. Beside them are, in turn: two clients that send bodies of
2 MB, a text in Chinese or 270,000 nested values (which tidegate refuses and nginx passes on); 1,000
clients that send a byte of their request's head every two seconds; 50 that read streams of 8 MB
with 4 KB a second each.
"""

import argparse
import contextlib
import functools
import json
import pathlib
import socket
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request

from evenly import at_rate
from serving import serving
from throughput import answer, nginx, plain_proxy, project

RATE = 200
PAUSE_S = 0.1
# Requests of this trace are answered with a long stream.
SLOW_TRACE = "00-51000000000000000000000000000051-5100000000000051-01"
SLOW_HEADS, SLOW_READERS = 1_000, 50


def model_server(folder):
    """An nginx that answers with the same completion, or with the same long stream."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
             "choices": [{"index": 0, "delta": {"content": "退款需要七天。" * 8}}]}
    event = f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
    folder.mkdir()
    (folder / "stream").write_text(event * (8_000_000 // len(event.encode())) + "data: [DONE]\n\n")
    return nginx(folder / "nginx", """server {
      listen 127.0.0.1:PORT backlog=1024;
      client_max_body_size 64m;
      error_page 405 =200 $uri;
      location / {
        if ($http_traceparent ~ "^00-5100000000") { rewrite ^ /stream last; }
        return 200 '%s';
      }
      location = /stream { default_type text/event-stream; root %s; }
    }""" % (answer(), folder))


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


def head(port, length):
    """The head of a request with a body of so many bytes."""
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"traceparent: {SLOW_TRACE}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


def send(port, body):
    """Sends a body; the answer's status."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as given:
            given.read()
            return given.status
    except urllib.error.HTTPError as refused:
        return refused.code


@contextlib.contextmanager
def nothing(_port):
    """No other client."""
    yield


@contextlib.contextmanager
def large_bodies(body, port):
    """Two clients that send the body again and again."""
    ended, statuses = threading.Event(), []

    def client():
        while not ended.wait(PAUSE_S):
            statuses.append(send(port, body))

    with running([client] * 2, ended):
        yield
    if set(statuses) - {200, 400}:
        raise SystemExit(f"large bodies were answered {set(statuses)}")


@contextlib.contextmanager
def slow_heads(port):
    """Clients that send a byte of a head now and then; who is let go of comes again."""
    ended = threading.Event()

    def clients():
        text, open_ones = head(port, 10), [(None, 0)] * SLOW_HEADS
        while not ended.is_set():
            for i, (connection, sent) in enumerate(open_ones):
                ended.wait(2 / SLOW_HEADS)
                try:
                    if connection is None or sent == len(text):
                        connection, sent = socket.create_connection(("127.0.0.1", port), 10), 0
                    connection.sendall(text[sent:sent + 1])
                    open_ones[i] = (connection, sent + 1)
                except OSError:
                    open_ones[i] = (None, 0)
                if ended.is_set():
                    break
        for connection, _ in open_ones:
            if connection is not None:
                connection.close()

    with running([clients], ended):
        time.sleep(2.5)
        yield


@contextlib.contextmanager
def slow_readers(port):
    """Clients that read long streams slowly."""
    ended, readers = threading.Event(), []
    body = asking("x", stream=True)
    for _ in range(SLOW_READERS):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        reader.sendall(head(port, len(body)) + body)
        if not reader.recv(4096).startswith(b"HTTP/1.1 200"):
            raise SystemExit("a stream was not answered")
        readers.append(reader)

    def clients():
        while not ended.wait(1):
            for reader in readers:
                if not reader.recv(4096):
                    raise SystemExit("a stream ended while it was read slowly")

    with running([clients], ended):
        yield
    for reader in readers:
        reader.close()


@contextlib.contextmanager
def running(clients, ended):
    """Runs clients, each in a thread, until the block ends."""
    threads = [threading.Thread(target=client) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def main():
    """Measures both in turn, and prints the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="", help="loads whose name has this word")
    options = parser.parse_args()
    texts, values = asking("退款需要七天。" * 95_000), asking("x", x=[nested(90)] * 3000)
    loads = {"nothing": nothing,
             "texts of 2 MB": functools.partial(large_bodies, texts),
             "nested values of 2 MB": functools.partial(large_bodies, values),
             f"{SLOW_HEADS:,} slow heads": slow_heads,
             f"{SLOW_READERS} slow readers": slow_readers}
    loads = {name: load for name, load in loads.items()
             if options.only in name or load is nothing}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        upstream, _ = stack.enter_context(model_server(folder / "upstream"))
        proxy, _ = stack.enter_context(plain_proxy(folder / "nginx", upstream))
        root = project(folder / "project", upstream, True)
        url, _ = stack.enter_context(serving(root))
        ours = int(url.rsplit(":", 1)[1].split("/")[0])
        times = {}
        for _ in range(options.rounds):
            for name, port in (("nginx", proxy), ("tidegate", ours)):
                for load, beside in loads.items():
                    with beside(port):
                        p50, p99 = at_rate(port, RATE, options.seconds)
                    print(f"{name} beside {load}: p50 {p50:.0f}, p99 {p99:.0f} µs", flush=True)
                    times.setdefault((name, load), []).append((p50, p99))
    print("\n| small requests through | beside | p50 ms | p99 ms |\n|---|---|---|---|")
    for (name, load), all_of_it in times.items():
        p50, p99 = (statistics.median(one) / 1000 for one in zip(*all_of_it))
        print(f"| {name} | {load} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main()
