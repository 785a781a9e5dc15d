"""A real `tidegate serve` and fake upstreams, for the checks and measurements in this folder.

Needs the standard library only. Everything listens on loopback, and only what was started here is
stopped, by its process id.
"""

import base64
import contextlib
import http.server
import json
import os
import pathlib
import re
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
# What stands between here and loopback is not what is looked at.
os.environ.setdefault("USER", "bench")
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


def binary():
    """The tidegate to look at: $TIDEGATE, else the newer of the release and the debug build."""
    named = os.environ.get("TIDEGATE")
    if named:
        return pathlib.Path(named).resolve()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [target / profile / "tidegate" for profile in ("release", "debug")]
    built = [path for path in built if path.exists()]
    if not built:
        sys.exit("no tidegate is built: run `cargo build` first, or name one in $TIDEGATE")
    return max(built, key=lambda path: path.stat().st_mtime)


def tidegate(root, *arguments, ok=True):
    """Runs one command in a project and gives the finished process. With `ok` it must pass."""
    done = subprocess.run(
        [binary(), *arguments], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    if ok and done.returncode != 0:
        sys.exit(f"tidegate {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done


def trace(root, trace_id, patience=5.0):
    """The record of a request. Records are written some milliseconds after the answer."""
    until = time.monotonic() + patience
    while True:
        done = tidegate(root, "trace", trace_id, "--json", ok=False)
        if done.returncode == 0:
            return json.loads(done.stdout)["record"]
        if time.monotonic() > until:
            return None
        time.sleep(0.05)


def write_project(root, upstreams, **more):
    """Writes a project whose prompt passes through; JSON is YAML too. Gives its folder."""
    project = {
        "service": "bench",
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "upstreams": upstreams,
        "artifacts": {
            "prompt": {"mode": "pass_through"},
            "model": {"upstream": next(iter(upstreams)), "name": "m-1"},
        },
        **more,
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "tidegate.yaml").write_text(json.dumps(project, indent=1, ensure_ascii=False))
    return root


RISKS = ("format", "grounding", "safety", "performance", "regression")


def write_cases(root, texts):
    """Writes an eval set that even noise can pass: five answers in time, and text for each risk."""
    (root / "evals").mkdir(exist_ok=True)
    rows = [f"latency_{n},Question {n},returns within target latency,performance,," for n in range(5)]
    header = "case_id,prompt,expected_behavior,risk,pass,notes"
    (root / "evals/eval_cases.csv").write_text("\n".join([header, *rows, ""]))
    cases = [{"case_id": f"{risk}_text_{n}", "risk": risk, "input": text, "not_empty": True}
             for n, text in enumerate(texts) for risk in RISKS]
    lines = [json.dumps(case, ensure_ascii=False) + "\n" for case in cases]
    (root / "evals/dataset.jsonl").write_text("".join(lines))


@contextlib.contextmanager
def serving(root, *arguments, env=None):
    """Runs `tidegate serve` on a free port; gives its base URL (with `/v1`) and its process."""
    log = open(root / "serve.log", "w", encoding="utf-8")
    process = subprocess.Popen(
        [binary(), "serve", "--listen", "127.0.0.1:0", *arguments],
        cwd=root, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=log, text=True,
    )
    try:
        line = ""
        if select.select([process.stdout], [], [], 15)[0]:
            line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            sys.exit(f"tidegate serve did not start:\n{(root / 'serve.log').read_text()}")
        yield found.group(0), process
    finally:
        end(process)
        log.close()


def end(process, patience=15):
    """Stops a process that was started here."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def get(url, timeout=10):
    """The text of a page."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def metric(page, name, **labels):
    """A value on a page of metrics, summed over the series whose labels match; None without one."""
    values = []
    for line in page.splitlines():
        head, _, value = line.rpartition(" ")
        if head.split("{")[0] == name and all(f'{k}="{v}"' in head for k, v in labels.items()):
            values.append(float(value))
    return sum(values) if values else None


def memory_mb(process):
    """Resident memory of a process, MB of 10^6 bytes."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024 / 1e6


def plain(body):
    """The answer to one of OpenAI's older completions, or to embeddings."""
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    if "prompt" in body:
        choice = {"index": 0, "text": TEXT, "finish_reason": "stop", "logprobs": None}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
                "choices": [choice], "usage": usage}
    vector = [0.5, -0.25]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    return {"object": "list", "data": data, "model": "e", "usage": usage}


class Fake:
    """An upstream whose conduct the last user message names: `429`, `cut`, `forever`, …

    `GET` says what it has seen, for clients that are no Python.
    """

    def __init__(self):
        self.seen = []
        self.left = threading.Event()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                fake.whole(self, json.dumps({
                    "requests": len(fake.seen), "last": (fake.seen or [None])[-1],
                    "left": fake.left.is_set()}).encode())

            def do_POST(self):
                size = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(size))
                fake.seen.append({"headers": dict(self.headers), "body": body})
                try:
                    fake.answer(self, body)
                except OSError:
                    self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            # The default, 5, drops connections where twenty come at once.
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        """Takes no more requests."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, http_, body):
        """Answers one request as its last message asks."""
        if "prompt" in body and body.get("stream"):
            return self.stream(http_, "completion", body)
        if "input" in body or "prompt" in body:
            return self.whole(http_, json.dumps(plain(body)).encode())
        said = body["messages"][-1].get("content")
        wish = said if isinstance(said, str) else "hello"
        if wish == "429-once":
            tries = sum(one["body"] == body for one in self.seen)
            return self.refuse(http_, 429, 1) if tries == 1 else self.whole(
                http_, json.dumps(completion("hello")).encode())
        if wish in ("400", "429", "500"):
            return self.refuse(http_, int(wish))
        if wish == "slow":
            time.sleep(4)
        if wish == "html":
            return self.whole(http_, b"<html>captive portal</html>", "text/html")
        if body.get("stream"):
            return self.stream(http_, wish, body)
        return self.whole(http_, json.dumps(completion(wish, body.get("n") or 1)).encode())

    def refuse(self, http_, status, retry_after=None):
        error = {"message": "SECRET of the upstream", "type": "x", "code": "x", "param": None}
        http_.send_response(status)
        if retry_after:
            http_.send_header("retry-after", str(retry_after))
        self.body(http_, json.dumps({"error": error}).encode(), "application/json")

    def whole(self, http_, payload, kind="application/json"):
        http_.send_response(200)
        self.body(http_, payload, kind)

    def body(self, http_, payload, kind):
        http_.send_header("content-type", kind)
        http_.send_header("content-length", str(len(payload)))
        http_.end_headers()
        http_.wfile.write(payload)

    def stream(self, http_, wish, body):
        http_.send_response(200)
        http_.send_header("content-type", "text/event-stream")
        http_.send_header("connection", "close")
        http_.end_headers()
        http_.close_connection = True
        wants_usage = (body.get("stream_options") or {}).get("include_usage")
        made = completion_events if wish == "completion" else events
        for data in made(wish, wants_usage, body.get("n") or 1):
            try:
                http_.wfile.write(b"data: " + data.encode() + b"\n\n")
                http_.wfile.flush()
            except OSError:
                self.left.set()
                return
            if wish == "forever":
                time.sleep(0.02)


TEXT = "Ships within 3 days – 三天内发货，送料は無料です。\u0001\u007f"
TOOL = {"name": "lookup", "arguments": '{"order": "東京-7"}'}
JSON_TEXT = '{"city": "大阪", "days": 3}'


def text_of(wish):
    """What the fake upstream says."""
    return JSON_TEXT if wish == "json" else TEXT


def completion(wish, choices=1):
    """A whole answer of the fake upstream."""
    message = {"role": "assistant", "content": text_of(wish)}
    if wish == "tool":
        call = {"id": "call_1", "type": "function", "function": TOOL}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    finish = "tool_calls" if wish == "tool" else "stop"
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1-0613",
        "choices": [{"index": index, "message": message, "finish_reason": finish}
                    for index in range(choices)], "usage": usage,
    }


def events(wish, wants_usage, choices=1):
    """The data of a stream's events."""

    def chunk(delta, finish=None, index=0, **more):
        choice = {"index": index, "delta": delta, "finish_reason": finish}
        return json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
            "model": "m-1-0613", "choices": [choice], **more,
        })

    for index in range(choices):
        yield chunk({"role": "assistant", "content": ""}, index=index)
    if wish == "forever":
        while True:
            yield chunk({"content": "again "})
    if wish == "tool":
        call = {"index": 0, "id": "call_1", "type": "function"}
        yield chunk({"tool_calls": [{**call, "function": {**TOOL, "arguments": ""}}]})
        for letter in TOOL["arguments"]:
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": letter}}]})
    for letter in [] if wish == "tool" else text_of(wish):
        for index in range(choices):
            yield chunk({"content": letter}, index=index)
        if wish == "cut" and letter == "s":
            return
        if wish == "error-inside" and letter == "s":
            yield json.dumps({"error": {"message": "SECRET of the upstream", "type": "x"}})
            return
    for index in range(choices):
        yield chunk({}, "tool_calls" if wish == "tool" else "stop", index)
    if wants_usage:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        yield json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
            "model": "m-1-0613", "choices": [], "usage": usage,
        })
    yield "[DONE]"


def completion_events(_wish, wants_usage, choices):
    """The same of one of OpenAI's older completions."""
    for finish, text in [*((None, letter) for letter in TEXT), ("stop", "")]:
        for index in range(choices):
            choice = {"index": index, "text": text, "finish_reason": finish, "logprobs": None}
            yield json.dumps({"id": "cmpl-1", "object": "text_completion", "created": 1,
                              "model": "m", "choices": [choice]})
    if wants_usage:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        yield json.dumps({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
                          "choices": [], "usage": usage})
    yield "[DONE]"


def error_of(call):
    """What the call raises; None when it ends without an error."""
    try:
        call()
    except Exception as error:  # The SDK's types are what is checked.
        return error
    return None


class Checks:
    """Prints one line for each check and remembers whether any failed."""

    def __init__(self):
        self.failed = 0
        self.passed = 0

    def equal(self, what, found, expected):
        """The two are equal."""
        self.true(what, found == expected, f"expected {expected!r}, found {found!r}")

    def true(self, what, holds, otherwise="it does not"):
        """It holds."""
        if holds:
            self.passed += 1
            print(f"ok    {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL  {what}: {otherwise}", flush=True)

    def finish(self):
        """The exit code."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
