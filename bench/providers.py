"""Requests over five kinds of model servers, a third of them cut at random, and the books after it
compared with a computation of what was served, in decimals and independent of Tidegate's.

usage: bench/providers.sh [--requests N] [--seed N]   (100,000 takes minutes; 2,000 seconds)

What a request asks for, what is served and where it is cut follow from the seed and its number, so
that both sides know. Where the model server reports its count, that is charged. Where it was cut
before that, the rule of docs/money.md holds: the prompt as the server counted it, else by estimate,
and of the answer the larger of what the server had counted and the estimate of what came.

Exit 1 when a request has no record, or a cost is off by a digit.
"""

import argparse
import asyncio
import collections
import decimal
import json
import multiprocessing
import pathlib
import random
import sys
import tempfile
import time

from serving import get, metric, serving, tidegate

D = decimal.Decimal
decimal.getcontext().prec = 50
KINDS = ("openai", "azure", "anthropic", "gemini", "completions")
WORDS = "order parcel 退款 送料 lamp refund 三天 営業日 when is it due".split()
# US dollars for a million tokens.
PRICES = {
    "openai": {"input": "0.15", "output": "0.6", "cache_read": "0.075", "reasoning": "0.7"},
    "azure": {"input": "2.75", "output": "11", "cache_read": "1.375"},
    "anthropic": {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75"},
    "gemini": {"input": "0.3", "output": "2.5", "cache_read": "0.030001", "reasoning": "2.500001"},
    "completions": {"input": "1.5", "output": "2"},
}
COUNTS = ("input", "cache_read", "cache_write", "output", "reasoning")


class Plan:
    """What becomes of request `number`."""

    def __init__(self, seed, number):
        dice = random.Random(f"{seed}-{number}")
        self.number, self.kind = number, dice.choice(KINDS)
        # Anthropic's API is asked by its own clients as well.
        self.native = self.kind == "anthropic" and dice.random() < 0.5
        self.stream = dice.random() < 0.6
        self.prompt = f"#{number} " + " ".join(dice.choices(WORDS, k=dice.randint(1, 12)))
        self.pieces = ["".join(dice.choices(WORDS)) + " " for _ in range(dice.randint(2, 9))]
        self.input, self.output = dice.randint(20, 3000), dice.randint(2, 900)
        self.cache_read = dice.choice([0, 0, dice.randint(0, self.input)])
        self.cache_write = dice.choice([0, dice.randint(0, 500)])
        self.thought = dice.choice([0, 0, dice.randint(0, self.output)])
        # Who cuts it: the model server's connection, or the client.
        self.cut = dice.choice(["server", "client"]) if dice.random() < 1 / 3 else None
        self.after = dice.randint(1, len(self.pieces) - 1)

    def used(self):
        """Tokens by price, and how they are known."""
        if self.cut is None:
            return self.reported(), "reported"
        # A whole answer that is cut brings nothing.
        if not self.stream:
            return {"input": estimate_prompt(self)}, "unknown"
        came = estimate("".join(self.pieces[:self.after]))
        if self.kind == "anthropic":
            return {**self.reported(), "output": max(came, 1), "reasoning": 0}, "estimated"
        if self.kind == "gemini":
            counted = self.counted(self.after)
            output, thought = max(came, counted + self.thought), self.thought
            return {**self.reported(), "output": output - thought, "reasoning": thought}, "estimated"
        return {"input": estimate_prompt(self), "output": came}, "estimated"

    def reported(self):
        """What the model server counts in the end, each token once."""
        used = {"input": self.input, "output": self.output}
        if self.kind in ("openai", "azure", "gemini"):
            used.update(input=self.input - self.cache_read, cache_read=self.cache_read)
        if self.kind == "anthropic":
            used.update(cache_read=self.cache_read, cache_write=self.cache_write)
        if self.kind in ("openai", "azure"):
            used.update(output=self.output - self.thought, reasoning=self.thought)
        if self.kind == "gemini":
            used.update(reasoning=self.thought)
        return used

    def counted(self, pieces):
        """Tokens of the answer as Gemini counts them so far; it counts thoughts beside them."""
        return self.output if pieces == len(self.pieces) else min(pieces, self.output)


def estimate(text):
    """docs/money.md: a token a character of Chinese, Japanese and Korean, else one in four bytes."""
    wide = sum(0x2E80 <= ord(c) <= 0x9FFF or 0xFF00 <= ord(c) <= 0xFFEF for c in text)
    rest = sum(len(c.encode()) for c in text if not (
        0x2E80 <= ord(c) <= 0x9FFF or 0xFF00 <= ord(c) <= 0xFFEF))
    return wide + -(-rest // 4)


def estimate_prompt(plan):
    return estimate(plan.prompt) + (0 if plan.kind == "completions" else estimate("user"))


def cost(kind, used):
    """US dollars."""
    prices = PRICES[kind]
    usual = {"cache_read": "input", "cache_write": "input", "reasoning": "output"}
    price = {name: D(prices.get(name, prices.get(usual.get(name)))) for name in COUNTS}
    return sum((D(used.get(name, 0)) * price[name] for name in COUNTS), D(0)) / 1_000_000


# -- the model servers ---------------------------------------------------------------------------


def whole(plan):
    """The body of a whole answer."""
    text = "".join(plan.pieces)
    if plan.kind == "anthropic":
        return {"id": "m", "type": "message", "role": "assistant", "model": "x",
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
                "usage": anthropic_usage(plan, plan.output)}
    if plan.kind == "gemini":
        return gemini(plan, text, len(plan.pieces), "STOP")
    if plan.kind == "completions":
        choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
        return {"id": "c", "object": "text_completion", "created": 1, "model": "x",
                "choices": [choice], "usage": openai_usage(plan)}
    message = {"role": "assistant", "content": text}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "x",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": openai_usage(plan)}


def openai_usage(plan):
    usage = {"prompt_tokens": plan.input, "completion_tokens": plan.output,
             "total_tokens": plan.input + plan.output}
    if plan.kind != "completions":
        usage["prompt_tokens_details"] = {"cached_tokens": plan.cache_read}
        usage["completion_tokens_details"] = {"reasoning_tokens": plan.thought}
    return usage


def anthropic_usage(plan, output):
    return {"input_tokens": plan.input, "cache_read_input_tokens": plan.cache_read,
            "cache_creation_input_tokens": plan.cache_write, "output_tokens": output}


def gemini(plan, text, pieces, finish=None):
    candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "x", "responseId": "r", "usageMetadata": {
        "promptTokenCount": plan.input, "cachedContentTokenCount": plan.cache_read,
        "candidatesTokenCount": plan.counted(pieces), "thoughtsTokenCount": plan.thought}}


def events(plan):
    """The events of a stream: the beginning, the pieces, the end, each a list of texts."""
    if plan.kind == "anthropic":
        def event(kind, **more):
            return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"
        message = {**whole(plan), "content": [], "stop_reason": None,
                   "usage": anthropic_usage(plan, 1)}
        block = {"type": "text", "text": ""}
        begin = [event("message_start", message=message),
                 event("content_block_start", index=0, content_block=block)]
        pieces = [event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
                  for piece in plan.pieces]
        end = [event("content_block_stop", index=0),
               event("message_delta", delta={"stop_reason": "end_turn"},
                     usage={"output_tokens": plan.output}), event("message_stop")]
        return begin, pieces, end
    data = "data: {}\n\n".format
    if plan.kind == "gemini":
        last = len(plan.pieces)
        pieces = [data(json.dumps(gemini(plan, piece, at, "STOP" if at == last else None)))
                  for at, piece in enumerate(plan.pieces, 1)]
        return [], pieces, []
    name = "text_completion" if plan.kind == "completions" else "chat.completion.chunk"

    def chunk(said, finish=None):
        said = {"text": said} if plan.kind == "completions" else {"delta": {"content": said}}
        return data(json.dumps({"id": "c", "object": name, "created": 1, "model": "x", "choices": [
            {"index": 0, "finish_reason": finish, **said}]}))
    usage = {"id": "c", "object": name, "created": 1, "model": "x", "choices": [],
             "usage": openai_usage(plan)}
    return [], [chunk(piece) for piece in plan.pieces], [
        chunk("", "stop"), data(json.dumps(usage)), data("[DONE]")]


async def read_message(reader):
    """The head and body of one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    size = int(head.split("content-length: ")[1].split("\r\n")[0])
    return head, await reader.readexactly(size)


async def answer(seed, reader, writer):
    """Answers one request as its plan says; the number is in its text."""
    try:
        _, body = await read_message(reader)
        number = int(body.decode().split("#", 1)[1].split(" ", 1)[0])
        plan = Plan(seed, number)
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: %b\r\n"
        if plan.stream:
            writer.write(head % b"text/event-stream" + b"\r\n")
            begin, pieces, end = events(plan)
            pieces = pieces[:plan.after] if plan.cut else pieces
            writer.write("".join(begin + pieces + ([] if plan.cut else end)).encode())
        else:
            text = json.dumps(whole(plan), ensure_ascii=False).encode()
            size = b"content-length: %d\r\n\r\n" % len(text)
            writer.write(head % b"application/json" + size)
            writer.write(b"" if plan.cut == "client" else text[:-5] if plan.cut else text)
        await writer.drain()
        if plan.cut == "client":
            # Until the server has closed its port.
            await reader.read()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def serve_models(seed, ready):
    async def main():
        server = await asyncio.start_server(
            lambda reader, writer: answer(seed, reader, writer), "127.0.0.1", 0, backlog=1024)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


# -- the clients ---------------------------------------------------------------------------------


def asked(plan):
    """A request's path and body."""
    body = {"model": plan.kind, "stream": plan.stream}
    if plan.kind == "completions":
        return "/v1/completions", {**body, "prompt": plan.prompt}
    body["messages"] = [{"role": "user", "content": plan.prompt}]
    if plan.native:
        return "/v1/messages", {**body, "max_tokens": 1000}
    return "/v1/chat/completions", body


async def ask(port, plan):
    """Asks, reads as far as the plan says, and leaves. Gives whether the end was as it should."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        path, body = asked(plan)
        body = json.dumps(body, ensure_ascii=False).encode()
        writer.write(b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: "
                     b"application/json\r\ncontent-length: %d\r\n\r\n" % (path.encode(), len(body)))
        writer.write(body)
        await writer.drain()
        if plan.cut == "client":
            return await leave(reader, plan)
        said = await reader.read()
        is_whole = b" 200 " in said[:16] and (
            not plan.stream or b"[DONE]" in said or b"message_stop" in said)
        return is_whole == (plan.cut is None)
    finally:
        writer.close()


async def leave(reader, plan):
    """Leaves after the last piece that comes; of a whole answer, once it must have been asked."""
    if not plan.stream:
        await asyncio.sleep(0.3)
        return True
    last, said = plan.pieces[plan.after - 1], b""
    want = plan.pieces[:plan.after].count(last)
    # As the model server wrote it, or as a translation does.
    forms = {json.dumps(last).encode(), json.dumps(last, ensure_ascii=False).encode()}
    while sum(said.count(form) for form in forms) < want:
        more = await reader.read(65536)
        if not more:
            return False
        said += more
    return True


async def ask_all(port, seed, requests):
    """All of them, so many at a time; gives how many ended otherwise than they should."""
    numbers, wrong = iter(range(requests)), []

    async def worker():
        for number in numbers:
            plan = Plan(seed, number)
            if not await asyncio.wait_for(ask(port, plan), 120):
                wrong.append(number)

    await asyncio.gather(*(worker() for _ in range(24)))
    return wrong


# -- the books -----------------------------------------------------------------------------------


def projects(folder, port):
    """A workspace with a service for each kind."""
    bases = {"openai": f"http://127.0.0.1:{port}/v1", "azure": f"http://127.0.0.1:{port}",
             "anthropic": f"http://127.0.0.1:{port}/v1", "gemini": f"http://127.0.0.1:{port}/v1beta",
             "completions": f"http://127.0.0.1:{port}/v1"}
    for kind in KINDS:
        upstream = {"kind": "openai" if kind == "completions" else kind, "base_url": bases[kind]}
        prices = {f"{name}_per_million": float(price) for name, price in PRICES[kind].items()}
        project = {
            "service": kind, "listen": "127.0.0.1:0", "upstreams": {"up": upstream},
            "artifacts": {"prompt": {"mode": "pass_through"},
                          "model": {"upstream": "up", "name": f"m-{kind}"}},
            "limits": {"retries": 0, "max_concurrent": 512},
            "price_list": [{"model": f"m-{kind}", **prices}],
        }
        (folder / kind).mkdir()
        (folder / kind / "tidegate.yaml").write_text(json.dumps(project))
    services = "".join(f"  - {kind}\n" for kind in KINDS)
    (folder / "services.yaml").write_text(f"services:\n{services}")


def expected(seed, requests):
    """By kind: requests, cost, and how many are known how."""
    found = {kind: collections.Counter() for kind in KINDS}
    costs = dict.fromkeys(KINDS, D(0))
    for number in range(requests):
        plan = Plan(seed, number)
        used, known = plan.used()
        found[plan.kind].update({"requests": 1, f"{known}_requests": 1})
        costs[plan.kind] += cost(plan.kind, used)
    return found, costs


def books(folder, kind, requests):
    """The total of a service's books, once it has all requests."""
    until = time.monotonic() + 60
    while True:
        total = json.loads(tidegate(folder / kind, "cost", "--json").stdout)["total"]
        if total["requests"] >= requests or time.monotonic() > until:
            return total
        time.sleep(0.2)


def compare(folder, seed, requests):
    found, costs = expected(seed, requests)
    wrong, records, off = 0, 0, D(0)
    print(f"{'kind':12} {'requests':>9} {'records':>9} {'estimated':>9} {'unknown':>9} "
          f"{'cost, US$':>18} {'error':>6}")
    for kind in KINDS:
        want = found[kind]
        total = books(folder, kind, want["requests"])
        error = D(total["total_cost"]) - costs[kind]
        records, off = records + total["requests"], off + abs(error)
        counts = [total[name] for name in ("requests", "estimated_requests", "unknown_requests")]
        print(f"{kind:12} {want['requests']:9} {counts[0]:9} {counts[1]:9} {counts[2]:9} "
              f"{costs[kind]:18} {error.normalize():>6}")
        wants = [want[name] for name in ("requests", "estimated_requests", "unknown_requests")]
        if counts != wants or error:
            wrong += 1
            print(f"FAIL  {kind}: expected {wants} and {costs[kind]}, found {counts} and "
                  f"{total['total_cost']}")
    print(f"{records} records of {requests} requests, cost error {off.normalize()}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"{given.requests} requests, seed {given.seed}")
    mine, theirs = multiprocessing.Pipe()
    models = multiprocessing.Process(target=serve_models, args=(given.seed, theirs), daemon=True)
    models.start()
    with tempfile.TemporaryDirectory(prefix="tidegate-providers-") as folder:
        folder = pathlib.Path(folder)
        projects(folder, mine.recv())
        with serving(folder, "--workspace", "services.yaml") as (url, _):
            begun = time.monotonic()
            port = int(url.rsplit(":", 1)[1].split("/")[0])
            unlike = asyncio.run(ask_all(port, given.seed, given.requests))
            print(f"asked in {time.monotonic() - begun:.0f} s")
            wrong = compare(folder, given.seed, given.requests)
            page = get(f"{url.removesuffix('/v1')}/metrics")
            dropped = metric(page, "tidegate_records_dropped_total") or 0
        print(f"{dropped:.0f} records dropped; {len(unlike)} answers that ended otherwise than they "
              f"should {unlike[:5]}")
    models.terminate()
    return 1 if wrong or dropped or unlike else 0


if __name__ == "__main__":
    sys.exit(main())
