"""How fast evals are: 1,000 cases of four checks, 50 at once, on a model server that answers in 20 ms.

usage: python3 bench/evals.py [--cases N] [--many N] [--rounds N]

Wall time beside the ideal (cases / 50 x 20 ms), CPU a case, the time to the first case, and the memory of
many cases. With $PROMPTFOO_PROGRAM, the path of promptfoo's command, the same cases go through it as well.
"""

import argparse
import asyncio
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from serving import binary, write_project

AT_ONCE, DELAY_S = 50, 0.020
SCHEMA = {"type": "object", "required": ["answer", "citations"], "properties": {
    "answer": {"type": "string"}, "citations": {"type": "array", "items": {"type": "string"}}}}
TEXT = json.dumps({"answer": "A refund takes seven days.", "citations": ["policy.md"]})
BODY = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 20, "total_tokens": 32}}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY), BODY)


class Model(asyncio.Protocol):
    """Answers every request the same, a while after it is whole."""

    delay_s, first_at = DELAY_S, None

    def connection_made(self, transport):
        """A client is here."""
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        """Some of a request is here."""
        Model.first_at = Model.first_at or time.monotonic()
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15:].split(b"\r\n")[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length:]
            asyncio.get_running_loop().call_later(Model.delay_s, self.answer)

    def answer(self):
        """The answer, unless the client is gone."""
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


def model_server():
    """The port of a model server that runs on a thread of its own."""
    ports, loop = [], asyncio.new_event_loop()

    def run():
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(Model, "127.0.0.1", 0, backlog=512))
        ports.append(server.sockets[0].getsockname()[1])
        loop.run_forever()

    threading.Thread(target=run, daemon=True).start()
    while not ports:
        time.sleep(0.001)
    return ports[0]


def project(folder, port, count):
    """A project with so many cases of four checks each."""
    upstreams = {"up": {"kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1"}}
    root = write_project(folder, upstreams, evals={"concurrency": AT_ONCE})
    with (root / "cases.jsonl").open("w", encoding="utf-8") as out:
        for number in range(count):
            out.write(json.dumps({
                "case_id": f"case_{number}", "input": f"How long does refund {number} take?",
                "risk": "format", "json_schema": SCHEMA, "expected_contains": "refund",
                "regex": "seven|7", "max_latency_ms": 60_000}) + "\n")
    return root


def measured(command, root, env=None):
    """The process's result, and its wall time, CPU and time to the first request in seconds; its memory in MB."""
    Model.first_at = None
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **(env or {})})
    peak, ended = [0.0], threading.Event()
    watching = threading.Thread(target=watch, args=(process.pid, peak, ended))
    watching.start()
    out, err = process.communicate()
    wall = time.monotonic() - began
    ended.set()
    watching.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    first = (Model.first_at or began) - began
    return process.returncode, out, err, wall, cpu, first, peak[0]


def watch(pid, peak, ended):
    """Keeps the largest resident memory of a process, MB."""
    while not ended.wait(0.02):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except OSError:
            return
        lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
        if lines:
            peak[0] = max(peak[0], int(lines[0].split()[1]) / 1024)


def ours(root, count):
    """One eval; its wall, CPU, time to the first request, memory."""
    command = [binary(), "eval", "--cases", "cases.jsonl", "--threshold", "0.9"]
    code, out, err, *numbers = measured(command, root)
    if code != 0 or f"({count} of {count} correct)" not in out:
        sys.exit(f"tidegate eval ended with {code}:\n{out}\n{err}")
    return numbers


def theirs(root, port, count):
    """The same cases through promptfoo; its wall and CPU."""
    checks = [
        {"type": "is-json", "value": SCHEMA}, {"type": "contains", "value": "refund"},
        {"type": "regex", "value": "seven|7"}, {"type": "latency", "threshold": 60_000}]
    provider = {"id": "openai:chat:m-1", "config": {
        "apiBaseUrl": f"http://127.0.0.1:{port}/v1", "apiKey": "none", "temperature": 0}}
    tests = [{"vars": {"n": n}, "assert": checks} for n in range(count)]
    config = {"prompts": ["How long does refund {{n}} take?"], "providers": [provider], "tests": tests}
    (root / "promptfooconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = [os.environ["PROMPTFOO_PROGRAM"], "eval", "-c", "promptfooconfig.json", "-j", str(AT_ONCE),
               "--no-cache", "--no-write", "--no-table", "--no-progress-bar", "-o", "result.json"]
    env = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1",
           "PROMPTFOO_CONFIG_DIR": str(root / "promptfoo"), "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1"}
    code, out, err, wall, cpu, *_ = measured(command, root, env)
    try:
        passed = json.loads((root / "result.json").read_text(encoding="utf-8"))["results"]["stats"]["successes"]
    except (OSError, ValueError, KeyError):
        passed = None
    if passed != count:
        print(f"promptfoo ended with {code}, {passed} of {count} passed: {(err or out).strip()[-300:]}")
        return None
    return wall, cpu


def main():
    """Prints the medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cases", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    count, port = options.cases, model_server()
    ideal = count / AT_ONCE * DELAY_S
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        root = project(folder / "few", port, count)
        rounds = [ours(root, count) for _ in range(options.rounds)]
        wall, cpu, first, memory = (statistics.median(column) for column in zip(*rounds))
        print(f"{count} cases: wall {wall:.3f} s, {wall / ideal:.2f} of the ideal {ideal:.3f} s "
              f"({', '.join(f'{one[0] / ideal:.2f}' for one in rounds)}); "
              f"{cpu / count * 1e3:.3f} ms CPU a case; first request after {first * 1e3:.0f} ms; "
              f"{memory:.0f} MB")
        if os.environ.get("PROMPTFOO_PROGRAM"):
            peer = theirs(root, port, count)
            if peer:
                print(f"promptfoo: wall {peer[0]:.1f} s, {peer[1] / count * 1e3:.1f} ms CPU a case: "
                      f"{peer[1] / cpu:.0f} times as much")
        if options.many:
            Model.delay_s = 0
            root = project(folder / "many", port, options.many)
            wall, cpu, first, memory = ours(root, options.many)
            print(f"{options.many} cases: {memory:.0f} MB at most, {wall:.1f} s, "
                  f"{cpu / options.many * 1e3:.3f} ms CPU a case")


if __name__ == "__main__":
    main()
