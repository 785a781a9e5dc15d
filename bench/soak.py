#!/usr/bin/env python3
"""Hours of mixed faults: does `tidegate serve` keep its memory, its descriptors and its journal?

usage: python3 bench/soak.py [--minutes 60] [--rate 150] [--seed 1]
The upstream answers, streams, refuses, stalls, breaks off and talks nonsense; clients ask, leave,
read slowly and send what is not a request. Which is when follows from the seed. A release is started
and taken back every few minutes. Prints the server's memory and descriptors every ten minutes,
and at the end the slope of its memory after the first ten. Exit 1 where memory grows by more than
1 MiB an hour beyond the noise, descriptors stay open, the state does not verify, or an honest
request to an honest answer fails.
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

from serving import get, metric, serving, tidegate, write_cases, write_project

TEXT = "Ships within 3 days – 三天内发货，送料は無料です。"
WARM_S = 600
SAMPLE_S = 5


def whole(text):
    """A chat completion."""
    return json.dumps({
        "id": "c-1", "object": "chat.completion", "created": 1, "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }).encode()


def chunk(text, finish=None):
    """An event of a stream."""
    delta = {"content": text} if text else {}
    data = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


async def read_request(reader):
    """The body of a request; None where the connection has ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return await reader.readexactly(int(line.split(b":")[1]))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return None
    return b""


def answer(status, body, kind=b"application/json", more=b""):
    """An answer's bytes."""
    return (b"HTTP/1.1 %d X\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n"
            % (status, kind, len(body), more)) + body


class Upstream:
    """A model server that fails in the ways they fail; what the request says decides how."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    async def serve(self, reader, writer):
        try:
            while (body := await read_request(reader)) is not None:
                if not await self.one(body, writer):
                    break
        except OSError:
            pass
        finally:
            writer.close()

    async def one(self, body, writer):
        """Answers one request; False where the connection ends with it."""
        request = json.loads(body)
        wish = request["messages"][-1]["content"].split()[0]
        if wish == "fault":
            wish = self.dice.choice(
                ["500", "429", "html", "empty", "close", "half", "garbage", "gzip", "long", "stall"])
        if request.get("stream"):
            return await self.stream(wish, writer)
        if wish in ("500", "429"):
            writer.write(answer(int(wish), b'{"error":{"message":"no","type":"x"}}'))
        elif wish == "html":
            writer.write(answer(200, b"<html>captive portal</html>", b"text/html"))
        elif wish == "empty":
            writer.write(answer(200, b""))
        elif wish == "close":
            return False
        elif wish == "half":
            writer.write(answer(200, whole(TEXT))[:-40])
            await writer.drain()
            return False
        elif wish == "garbage":
            writer.write(self.dice.randbytes(200))
            await writer.drain()
            return False
        elif wish == "gzip":
            writer.write(answer(200, b"not gzip", more=b"content-encoding: gzip\r\n"))
        elif wish == "long":
            writer.write(answer(200, whole(TEXT * 4000)))
        elif wish == "stall":
            await asyncio.sleep(3)
            writer.write(answer(200, whole(TEXT)))
        else:
            writer.write(answer(200, whole(TEXT)))
        await writer.drain()
        return True

    async def stream(self, wish, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for number in range(20):
            if number == 7 and wish in ("close", "half", "garbage", "empty"):
                return False
            if number == 7 and wish in ("500", "html"):
                writer.write(b'data: {"error":{"message":"no","type":"x"}}\n\n')
                return False
            writer.write(chunk("语词 token "))
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(chunk("", "stop") + b"data: [DONE]\n\n")
        await writer.drain()
        return False


class Clients:
    """Asks at a rate, honestly and otherwise."""

    def __init__(self, port, seed):
        self.port = port
        self.dice = random.Random(seed + 1)
        self.honest = self.failed = self.others = 0
        self.work = set()

    async def run(self, rate, until):
        due = time.monotonic()
        while due < until:
            due += self.dice.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self.one())
            self.work.add(task)
            task.add_done_callback(self.work.discard)
        await asyncio.gather(*self.work, return_exceptions=True)

    def request(self, wish, stream):
        body = json.dumps({"model": "bench", "user": f"u-{self.dice.randrange(500)}", "stream": stream,
                           "messages": [{"role": "user", "content": wish}]}).encode()
        return (b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json"
                b"\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)) + body

    async def one(self):
        kind = self.dice.choices(
            ["honest", "stream", "fault", "fault stream", "leaves", "slow", "nonsense", "large"],
            [50, 14, 10, 6, 6, 4, 6, 4])[0]
        reader = writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.wait_for(self.talk(kind, reader, writer), 60)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            if kind in ("honest", "stream"):
                self.failed += 1
                print(f"{kind}: {error!r}", file=sys.stderr)
        finally:
            if writer:
                writer.close()

    async def talk(self, kind, reader, writer):
        if kind in ("honest", "stream"):
            self.honest += 1
            writer.write(self.request("hello", kind == "stream"))
            said = await reader.read(-1)
            good = b" 200 " in said[:20] and (kind == "honest" or b"[DONE]" in said)
            if not good:
                self.failed += 1
                print(f"{kind}: {said[:120]!r} … {said[-80:]!r}", file=sys.stderr)
            return
        self.others += 1
        if kind == "nonsense":
            writer.write(self.dice.choice([
                b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"POST /v1/chat/completions HTTP/1.1\r\n",
                self.request("hello", False).replace(b'"messages"', b'"messages'),
                self.request("hello", False).replace(b"content-length: ", b"content-length: 9")]))
            await asyncio.sleep(0.5)
            return
        if kind == "large":
            words = "hello " + "长文本 long text " * self.dice.randrange(1000, 12000)
            writer.write(self.request(words, False))
        else:
            writer.write(self.request("hello" if kind in ("leaves", "slow") else "fault",
                                      kind in ("leaves", "slow", "fault stream")))
        if kind == "leaves":
            await asyncio.sleep(self.dice.random() * 0.4)
            return
        while await reader.read(64 if kind == "slow" else 65536):
            if kind == "slow":
                await asyncio.sleep(0.05)


def seen(pid):
    """Resident memory, MiB, and open descriptors."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(rss.split()[1]) / 1024, len(os.listdir(f"/proc/{pid}/fd"))


async def sample(pid, until, samples):
    began = shown = time.monotonic()
    while time.monotonic() < until:
        rss, fds = seen(pid)
        samples.append((time.monotonic() - began, rss, fds))
        if time.monotonic() >= shown:
            print(f"| {samples[-1][0] / 60:.0f} min | {rss:.1f} MiB | {fds} |", flush=True)
            shown += 600
        await asyncio.sleep(SAMPLE_S)


async def releases(root, until):
    """Starts a release and takes it back, again and again."""
    def order(*words):
        return asyncio.to_thread(tidegate, root, *words, "--by", "soak", "--reason", "soak", ok=False)
    while time.monotonic() + 150 < until:
        await order("release", "start", "--model", "m-2", "--override", "--no-smoke")
        await asyncio.sleep(90)
        await order("rollback")
        await asyncio.sleep(30)


def slope(samples):
    """Growth of memory after the warm-up, MiB an hour, and its standard error over ten pieces."""
    kept = [(at, rss) for at, rss, _ in samples if at >= WARM_S]
    if len(kept) < 20:
        return None
    size = len(kept) // 10
    pieces = [kept[i * size:(i + 1) * size] for i in range(10)]
    points = [(statistics.mean(a for a, _ in p), statistics.median(r for _, r in p)) for p in pieces]
    mean_x = statistics.mean(x for x, _ in points)
    mean_y = statistics.mean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    rate = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - rate * (x - mean_x)) ** 2 for x, y in points) / (len(points) - 2)
    return rate * 3600, (rest / spread) ** 0.5 * 3600


async def soak(root, given):
    upstream = await asyncio.start_server(Upstream(given.seed).serve, "127.0.0.1", 0, limit=1 << 20)
    port = upstream.sockets[0].getsockname()[1]
    contract = {name: "see bench/soak.py" for name in (
        "endpoint", "request_shape", "response_shape", "limits", "stop_path")}
    write_project(root, {"up": {"kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1"}},
                  contract=contract)
    write_cases(root, ["hello"])
    with serving(root) as (url, process):
        server = int(url.rsplit(":", 1)[1].split("/")[0])
        await asyncio.sleep(2)
        idle = seen(process.pid)
        until = time.monotonic() + given.minutes * 60
        clients, samples = Clients(server, given.seed), []
        print("| after | memory | descriptors |\n|---|---|---|")
        await asyncio.gather(clients.run(given.rate, until), sample(process.pid, until, samples),
                             releases(root, until))
        await asyncio.sleep(35)
        rss, fds = seen(process.pid)
        page = await asyncio.to_thread(get, url.replace("/v1", "/metrics"))
        dropped = metric(page, "tidegate_records_dropped_total")
    checked = tidegate(root, "check", ok=False)
    upstream.close()
    growth = slope(samples)
    problems = []
    print(f"\n{clients.honest} honest requests ({clients.failed} failed), {clients.others} others; "
          f"seed {given.seed}")
    print(f"memory {idle[0]:.1f} MiB idle, {max(s[1] for s in samples):.1f} at most, {rss:.1f} after; "
          f"descriptors {idle[1]} idle, {max(s[2] for s in samples)} at most, {fds} after; "
          f"records dropped: {dropped:.0f}; `tidegate check` exit {checked.returncode}")
    if growth:
        rate, error = growth
        print(f"memory after the first 10 minutes: {rate:+.1f} ± {2 * error:.1f} MiB an hour")
        if rate - 2 * error > 1:
            problems.append("memory grows")
    if fds > idle[1] + 16:
        problems.append("descriptors stay open")
    if checked.returncode != 0:
        problems.append(f"the state does not verify: {checked.stderr}")
    if clients.failed:
        problems.append("honest requests failed")
    for problem in problems:
        print(f"FAIL: {problem}")
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=150)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-soak-") as folder:
        return asyncio.run(soak(pathlib.Path(folder), given))


if __name__ == "__main__":
    sys.exit(main())
