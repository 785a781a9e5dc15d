"""A real open-source model server, llama.cpp's, behind tidegate: eval, release, promote, rollback.

usage: bench/llama.sh   (it makes the environment that this needs)
Two models with random weights: the protocol is real, the text is noise. Prints one line for each
check and a table of what was measured; exit 1 when a check fails.
"""

import collections
import contextlib
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from serving import (Checks, end, get, memory_mb, metric, serving, tidegate, trace,
                     write_cases, write_project)
from throughput import free_port

checks = Checks()
NOISES = 20
USERS = [f"user-{n}" for n in range(24)]
TEXTS = ["How long does a refund take?", "周末营业吗？", "返金はどこですか", "Summarise the policy."]


@contextlib.contextmanager
def llama(python, script, model):
    """Runs llama.cpp's server on one model; gives its base URL and process."""
    port = free_port()
    process = subprocess.Popen([python, script, model, str(port)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                get(f"http://127.0.0.1:{port}/health", 2)
                break
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"llama.cpp's server did not start with {model}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        end(process)


def ask(url, user, text, stream, **more):
    """One request; its status, headers, text, usage, finish reason and time to the first token."""
    host = url.split("/")[2]
    body = {"messages": [{"role": "user", "content": text}], "user": user, "max_tokens": 24, **more}
    if stream:
        body.update(stream=True, stream_options={"include_usage": True})
    connection = http.client.HTTPConnection(host, timeout=60)
    started = time.perf_counter()
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body),
                           {"content-type": "application/json"})
        answer = connection.getresponse()
        found = {"status": answer.status, "headers": {k.lower(): v for k, v in answer.getheaders()},
                 "first_s": None, "usage": None, "finish": None, "text": "", "error": None}
        if stream and answer.status == 200:
            read_stream(answer, found, started)
        else:
            read_whole(answer.read(), found)
    finally:
        connection.close()
    found["total_s"] = time.perf_counter() - started
    return found


def read_whole(payload, found):
    body = json.loads(payload.decode())
    found["error"] = body.get("error")
    found["usage"] = body.get("usage")
    for choice in body.get("choices", []):
        found["text"] += choice["message"].get("content") or ""
        found["finish"] = choice["finish_reason"]


def read_stream(answer, found, started):
    for line in answer:
        data = line.strip().removeprefix(b"data: ")
        if not data or data == b"[DONE]":
            found["done"] = found.get("done", False) or data == b"[DONE]"
            continue
        chunk = json.loads(data.decode())
        found["error"] = chunk.get("error", found["error"])
        found["usage"] = chunk.get("usage") or found["usage"]
        for choice in chunk.get("choices", []):
            piece = choice["delta"].get("content") or ""
            if piece and found["first_s"] is None:
                found["first_s"] = time.perf_counter() - started
            found["text"] += piece
            found["finish"] = choice.get("finish_reason") or found["finish"]


class Users:
    """A few users who ask on and on, half of them for streams, until they are told to stop."""

    def __init__(self, url, at_once=3):
        self.url = url
        self.answers = []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.go, args=(n,)) for n in range(at_once)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def go(self, number):
        turn = number
        while not self.stopping.is_set():
            user = USERS[turn % len(USERS)]
            stream = turn % 2 == 0
            try:
                answer = ask(self.url, user, TEXTS[turn % len(TEXTS)], stream, max_tokens=8)
            except OSError as error:
                answer = {"status": 0, "error": repr(error), "headers": {}, "total_s": 0.0}
            answer.update(user=user, stream=stream, at=time.perf_counter())
            with self.lock:
                self.answers.append(answer)
            turn += 5

    def wait(self, holds, patience):
        """Waits until it holds for the answers so far; whether it came to that."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            with self.lock:
                if holds(self.answers):
                    return True
            time.sleep(0.05)
        return False


def arms(answers):
    return collections.Counter(a["headers"].get("x-tidegate-arm", "none") for a in answers)


def single(root, url, direct):
    """One answer of each form: usage as reported, the text unharmed, the record's times."""
    # llama.cpp gives the same noise twice only from the same seed at temperature 0.
    same = {"temperature": 0, "seed": 7, "max_tokens": 48, "cache_prompt": False}
    odd = "Bytes: \u0001\u0007\u001b[31m \u007f \u2028 \U0001F6A2 \"\\\" 三天内 ﷽"
    own = ask(direct, "u", odd, False, **same)
    for stream in (False, True):
        form = "stream" if stream else "whole answer"
        found = ask(url, "user-1", odd, stream, **same)
        usage = found["usage"] or {}
        checks.equal(f"{form}: status and finish reason", (found["status"], found["finish"]),
                     (200, "length"))
        checks.equal(f"{form}: the text is what the server itself says", found["text"], own["text"])
        record = trace(root, found["headers"]["x-trace-id"]) or {}
        checks.equal(f"{form}: recorded tokens are the reported ones, not estimated",
                     (record.get("tokens_in"), record.get("tokens_out"),
                      record.get("tokens_estimated")),
                     (usage.get("prompt_tokens"), usage.get("completion_tokens"), False))
        checks.equal(f"{form}: as many as the server counts itself", usage.get("completion_tokens"),
                     own["usage"]["completion_tokens"])
        checks.equal(f"{form}: the input is kept with its odd characters", record.get("input"), odd)
        timing = record.get("timing", {})
        split = sum(timing.get(part, 0) for part in (
            "queue_us", "retrieval_us", "first_token_us", "generation_us"))
        total = timing.get("total_us", 0)
        checks.true(f"{form}: queue + first token + generation are the total",
                    0 < total and total * 0.5 <= split <= total, f"{timing}")
        if stream:
            checks.true("stream: it ended with [DONE]", found.get("done"))
            checks.true("stream: time to the first token is told from generation",
                        0 < timing["first_token_us"] < total and timing["generation_us"] > 0,
                        f"{timing}")
    shown = tidegate(root, "trace", found["headers"]["x-trace-id"]).stdout
    checks.true("trace shows the split", "first token" in shown and "generation" in shown, shown)
    return noise(url, direct)


def noise(url, direct):
    """Random text with whatever bytes it has comes through as the server itself says it."""
    texts, differing = "", []
    for seed in range(NOISES):
        same = {"temperature": 1.5, "seed": seed, "max_tokens": 64, "cache_prompt": False}
        own = ask(direct, "u", TEXTS[0], False, **same)["text"]
        found = ask(url, "u", TEXTS[0], seed % 2 == 0, **same)["text"]
        texts += own
        if found != own:
            differing.append((seed, own, found))
    checks.equal(f"{NOISES} noises come through unharmed", differing[:1], [])
    odd = {
        "control characters": sum(c < " " and c not in "\n\t\r" or c == "\x7f" for c in texts),
        "replaced bytes": texts.count("\ufffd"),
        "beyond ASCII": sum(c > "\x7f" for c in texts),
    }
    checks.true("there were odd characters in it", odd["control characters"] > 0
                and odd["beyond ASCII"] > 0, repr(odd))
    told = ", ".join(f"{count} {what}" for what, count in odd.items())
    return {"noise compared, characters": f"{len(texts)}: {told}"}


def climb(root, url):
    """A release to the other model on its ladder under load, promoted in the end by an order."""
    with Users(url) as users:
        users.wait(lambda answers: len(answers) >= 30, 60)
        checks.equal("before a release: everyone is on stable", set(arms(users.answers)), {"stable"})
        began = len(users.answers)
        started = time.perf_counter()
        said = tidegate(root, "release", "start", "--upstream", "b").stdout
        checks.true("release start", "started" in said, said)
        both = users.wait(lambda answers: len(arms(answers[began:])) >= 2, 30)
        checks.true("a release: requests reach both arms", both, repr(arms(users.answers[began:])))
        until = time.monotonic() + 40
        state = "running"
        while state == "running" and time.monotonic() < until:
            time.sleep(0.5)
            state = phase(root)
        by = "itself"
        if state in ("running", "paused"):
            tidegate(root, "release", "promote", "--full")
            by, state = f"an order, from {state}", phase(root)
        took = time.perf_counter() - started
        checks.equal(f"the release is promoted by {by}", state, "promoted")
        mark = time.perf_counter()
        users.wait(lambda answers: sum(a["at"] > mark + 1 for a in answers) >= 20, 30)
    first_set = users.answers[0]["headers"].get("x-tidegate-version-set")
    checks.equal("no user went back and forth", went_back(users.answers, first_set), set())
    sets = {a["headers"].get("x-tidegate-version-set") for a in users.answers if a["at"] > mark + 1}
    checks.true("after the promotion: the new set serves everyone",
                len(sets) == 1 and first_set not in sets, repr(sets))
    return users.answers, {"promoted by": by, "release took, s": round(took, 1)}


def phase(root):
    """Where the running or last release stands."""
    status = json.loads(tidegate(root, "release", "status", "--json").stdout)
    found = find(status, "phase")
    return found if isinstance(found, str) else json.dumps(found)


def find(value, key):
    """The first member of that name, at whatever depth."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        found = find(item, key)
        if found is not None:
            return found
    return None


def back(root, url):
    """The way back as a release of its own, rolled back in the middle of it."""
    with Users(url) as users:
        tidegate(root, "release", "start", "--upstream", "a")
        users.wait(lambda answers: arms(answers)["candidate"] >= 5, 60)
        checks.true("release back: it reaches users", arms(users.answers)["candidate"] >= 5)
        tidegate(root, "release", "promote")
        users.wait(lambda answers: arms(answers)["candidate"] >= 30, 60)
        checks.equal("release back: still on its way after one promotion", phase(root), "running")
        tidegate(root, "rollback", "--reason", "bench: back in the middle")
        # Requests that were under way may still end on the old table.
        mark = time.perf_counter() + 1
        users.wait(lambda answers: sum(a["at"] > mark for a in answers) >= 20, 30)
        after = [a for a in users.answers if a["at"] > mark]
        checks.equal("rollback in mid-release: everyone is on stable", set(arms(after)), {"stable"})
        page = get(url.replace("/v1", "/metrics"))
    checks.equal("rollback: the release says so", phase(root), "rolled_back")
    times = [metric(page, "tidegate_switch_seconds", step=step) for step in ("table", "drained")]
    blocked = tidegate(root, "release", "start", "--upstream", "a", ok=False)
    checks.true("what went back is not started again", blocked.returncode != 0, blocked.stdout)
    return users.answers, times


def went_back(answers, first_set):
    """Users who were served by the first set again after another one had answered them."""
    after = {}
    for answer in answers:
        if answer["headers"].get("x-tidegate-version-set") != first_set:
            user = answer["user"]
            after[user] = min(after.get(user, answer["at"]), answer["at"])
    return {a["user"] for a in answers
            if a["headers"].get("x-tidegate-version-set") == first_set
            and a["at"] - a["total_s"] > after.get(a["user"], a["at"])}


def report(answers, switch, more):
    """What was measured, as a table."""
    good = [a for a in answers if a["status"] == 200 and not a["error"]]

    def ms(values):
        values = sorted(values)
        return (f"{statistics.median(values) * 1000:.0f} / "
                f"{values[int(len(values) * 0.99)] * 1000:.0f}")

    streams = [a for a in good if a["stream"]]
    rows = {
        "requests, failed": f"{len(answers)}, {len(answers) - len(good)}",
        "on stable / on candidate": " / ".join(str(arms(answers)[arm])
                                               for arm in ("stable", "candidate")),
        "whole answers, p50 / p99 ms": ms([a["total_s"] for a in good if not a["stream"]]),
        "streams: first token, p50 / p99 ms": ms([a["first_s"] for a in streams if a["first_s"]]),
        "streams: total, p50 / p99 ms": ms([a["total_s"] for a in streams]),
        "rollback: decision → new table, ms": f"{switch[0] * 1000:.1f}",
        "rollback: decision → last request on the old one, ms":
            "not yet" if switch[1] is None else f"{switch[1] * 1000:.1f}",
        **more,
    }
    print("\n| measured | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def run(folder, python, shared):
    script = shared / "tools/llama_server.py"
    models = [shared / f"models/tiny-{name}.gguf" for name in "ab"]
    with contextlib.ExitStack() as stack:
        (a, _), (b, _) = (stack.enter_context(llama(python, script, model)) for model in models)
        contract = {name: "see bench/llama.py" for name in (
            "endpoint", "request_shape", "response_shape", "limits", "stop_path")}
        root = write_project(
            folder / "desk",
            {"a": {"kind": "openai", "base_url": a}, "b": {"kind": "openai", "base_url": b}},
            contract=contract, evals={"threshold": 0.8, "concurrency": 4},
            # Noise of one model differs from that of the other in length and speed; what is
            # looked at here is the way, not the verdict.
            lines={name: {"off": True} for name in OFF},
            release={"min_samples": 5, "rungs": [
                {"weight_pct": w, "look_s": 2} for w in (25, 50, 75, 100)]})
        write_cases(root, TEXTS[:2])
        url, process = stack.enter_context(serving(root))
        noise = single(root, url, a)
        for upstream in "ba":
            verdict = tidegate(root, "eval", "--upstream", upstream, ok=False)
            checks.equal(f"eval of upstream {upstream} passes", verdict.returncode, 0)
            if verdict.returncode != 0:
                print(verdict.stdout, verdict.stderr)
        answers, climbed = climb(root, url)
        more, switch = back(root, url)
        everyone = answers + more
        bad = [a for a in everyone if a["status"] != 200 or a["error"]]
        checks.equal("no request failed in all this", [(a["status"], a["error"]) for a in bad], [])
        page = get(url.replace("/v1", "/metrics"))
        checks.equal("no record was dropped", metric(page, "tidegate_records_dropped_total"), 0)
        report(everyone, switch, {**climbed, "memory of tidegate, MB": f"{memory_mb(process):.0f}",
                                  **noise})


OFF = ("latency_p95", "latency_p99", "first_token_p95", "tokens_per_request", "cost_per_request")


def main():
    python, shared = sys.argv[1], pathlib.Path(sys.argv[2])
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidegate-llama-") as folder:
        run(pathlib.Path(folder), python, shared)
    print(f"{time.monotonic() - started:.0f} s")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
