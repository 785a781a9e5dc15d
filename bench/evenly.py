"""A load of evenly spaced requests: a client a process, none of which waits for another.

Load generators with a rate for each connection send on all of them at once; what is measured then
is mostly the queue of that burst. Here one request leaves every 1/rate seconds.
"""

import json
import multiprocessing
import queue
import socket
import sys
import time

CLIENTS = 8
BODY = json.dumps({"model": "bench", "user": "u-1", "messages": [
    {"role": "user", "content": "How long does a refund take? " * 8}]}).encode()


def exchange(connection, request):
    """Sends a request and reads its whole answer; whether it is a 200."""
    connection.sendall(request)
    answer = b""
    while True:
        more = connection.recv(65536)
        if not more:
            return False
        answer += more
        head = answer.find(b"\r\n\r\n")
        if head < 0:
            continue
        length = answer[:head].lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if len(answer) >= head + 4 + int(length):
            return answer.startswith(b"HTTP/1.1 200")


def client(port, header, first, every, until, results):
    """Asks from `first` on, `every` so many seconds; gives the times in µs, and the failures."""
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n{header}\r\n"
               ).encode() + BODY
    times, failed = [], 0
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            due = first
            while due < until:
                time.sleep(max(0, due - time.perf_counter()))
                due += every
                sent = time.perf_counter_ns()
                if not exchange(connection, request):
                    failed += 1
                    break
                times.append((time.perf_counter_ns() - sent) / 1000)
    except OSError:
        failed += 1
    results.put((times, failed))


def at_rate(port, per_s, seconds, header=""):
    """Median and 99th percentile, µs, of evenly spaced requests."""
    results = multiprocessing.Queue()
    start = time.perf_counter() + 0.3
    line = f"{header}\r\n" if header else ""
    clients = [multiprocessing.Process(target=client, args=(
        port, line, start + number / per_s, CLIENTS / per_s, start + seconds, results))
        for number in range(CLIENTS)]
    for one in clients:
        one.start()
    try:
        done = [results.get(timeout=seconds + 30) for _ in clients]
    except queue.Empty:
        sys.exit(f"port {port}: a client of the fixed rate did not end")
    for one in clients:
        one.join()
    times = sorted(one for part, _ in done for one in part)
    failed = sum(count for _, count in done)
    if failed or not times:
        sys.exit(f"port {port}: {failed} of {failed + len(times)} requests did not get their 200")
    return times[len(times) // 2], times[len(times) * 99 // 100]
