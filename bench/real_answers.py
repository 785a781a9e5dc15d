#!/usr/bin/env python3
"""Real answers, real arrivals: releases between four real models, decided by the real binary.

    cargo build --release
    python3 bench/real_answers.py                     # three seeds, about five minutes
    python3 bench/real_answers.py --seeds 1 --only better --out results.json

For each story a project is written to a temporary folder, `tidegate serve` is started on it with a
`replay` upstream that plays back what two models really answered, and a release goes from the one
to the other. Requests come at the times of a real trace, sped up; what a user thinks of an answer
is drawn from `win`, the strength with which a judge preferred that very answer. docs/benchmarks/
real-answers.md says what is real here and what is not.

Exit: 0 every story ended as expected, or there is no data and all is skipped; 1 one did not;
2 wrong use; 4 the bench itself failed. Python 3.9 or newer, standard library only.
"""

import argparse
import csv
import datetime
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRACE = "azure_llm_trace_conv_2023.csv"
ALPACA, VICUNA = "alpaca-7b", "vicuna-7b"
GPT35, GPT4 = "gpt-3.5-turbo-0301", "gpt4_1106_preview"
MODELS = (ALPACA, VICUNA, GPT35, GPT4)
# The same answers under another name: a release that changes nothing a user could see.
AGAIN = f"{GPT35}-again"
RISKS = ("format", "grounding", "safety", "performance", "regression")

USERS = 400
# Connections of the load: the busiest second of the trace has 4 times the mean rate.
WORKERS = 48
# Every answer takes so long. The data has no latencies, so that line has nothing real to compare
# and is off: all it could see is when this machine stalls.
LATENCY_MS = 20
POLL_S = 0.2
RUNGS_PCT = (20, 50, 100)
# How long a rung is looked at, in seconds of the trace.
LOOK_TRACE_S = 240
# A release that is not over after the whole trace, twice, counts as undecided.
TURNS_MAX = 2

# A rule that is not required holds nobody back while it is unsure; quality is what this is about.
LIKES = {"dislike_rate": {"required": True}}
LONGER = {"tokens_per_request": {"pass": 2.0, "pause": 2.5, "rollback": 3.0}}

# name, from, to, lines, expected phase (None: shown, not judged), expected deciding metric
STORIES = (
    ("worse", GPT35, ALPACA, LIKES, "rolled_back", "dislike_rate"),
    ("better", VICUNA, GPT35, LIKES, "promoted", None),
    ("dearer", GPT35, GPT4, LIKES, "rolled_back", "tokens_per_request"),
    ("dearer, allowed", GPT35, GPT4, {**LIKES, **LONGER}, "promoted", None),
    ("no different", GPT35, AGAIN, {}, "promoted", None),
    ("worse, not required", GPT35, ALPACA, {}, None, None),
)


class Broken(Exception):
    """The bench cannot go on; says why."""


# ---------------------------------------------------------------- the data

class Data:
    """Prompts, answers by model, and the trace's arrival times in seconds from its start."""

    def __init__(self, folder):
        answers = folder / "answers"
        self.prompts = {line["id"]: line["prompt"] for line in jsonl(answers / "prompts.jsonl")}
        self.ids = sorted(self.prompts)
        self.answer, self.win = {}, {}
        for model in MODELS:
            lines = list(jsonl(answers / f"{model}.jsonl"))
            self.answer[model] = {line["id"]: line["answer"] for line in lines}
            self.win[model] = {line["id"]: line["win"] for line in lines}
            if set(self.answer[model]) != set(self.prompts):
                raise Broken(f"{model}: answers and prompts have different ids")
        self.answer[AGAIN], self.win[AGAIN] = self.answer[GPT35], self.win[GPT35]
        with open(folder / TRACE, newline="", encoding="utf-8") as file:
            stamps = [seconds(row["TIMESTAMP"]) for row in csv.DictReader(file)]
        stamps.sort()
        self.arrivals = [stamp - stamps[0] for stamp in stamps]

    def arrival(self, first, i):
        """When the i-th request comes, from request `first` of the trace on, which wraps."""
        count = len(self.arrivals)
        # From the last request to the first of the next turn passes the mean gap.
        turn_s = self.arrivals[-1] * count / (count - 1)
        at = self.arrivals[(first + i) % count] + turn_s * ((first + i) // count)
        return at - self.arrivals[first]


def jsonl(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def seconds(stamp):
    """The trace writes seven digits of a second; Python reads six."""
    whole, _, part = stamp.partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp() + float(f"0.{part or 0}")


# ---------------------------------------------------------------- the project

def write_project(folder, data, old, new, lines, speed):
    """A whole project: the file (JSON is YAML), recorded answers and eval cases."""
    text = {
        "service": "real-answers",
        "upstreams": {"recorded": {
            "kind": "replay", "path": "answers.jsonl", "latency_ms": LATENCY_MS, "ms_per_token": 0,
        }},
        "artifacts": {
            "prompt": {"mode": "pass_through"},
            "model": {"upstream": "recorded", "name": old},
        },
        "contract": {
            "endpoint": "/v1/chat/completions",
            "request_shape": "messages and user (required), at most 64 KiB",
            "response_shape": "free text in choices[0].message.content; errors as OpenAI's",
            "limits": "1024 requests at a time, 10 s an answer",
            "stop_path": "SIGTERM stops the server; `tidegate rollback` goes back",
        },
        "lines": {"latency_p95": {"off": True}, **lines},
        "release": {
            "rungs": [{"weight_pct": pct, "look_s": LOOK_TRACE_S / speed} for pct in RUNGS_PCT],
            "tick_ms": 200,
        },
    }
    (folder / "tidegate.yaml").write_text(json.dumps(text, indent=2), encoding="utf-8")
    with open(folder / "answers.jsonl", "w", encoding="utf-8") as file:
        for model in (old, new):
            for i in data.ids:
                line = {"model": model, "prompt": data.prompts[i], "answer": data.answer[model][i]}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    write_cases(folder / "evals", data)


def write_cases(folder, data):
    """Ten of the prompts, two for each risk. They ask for an answer in time and no more: what is
    good or bad about an answer is left to its users, or the gate would decide instead of them."""
    folder.mkdir()
    with open(folder / "eval_cases.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("case_id", "prompt", "expected_behavior", "risk", "pass", "notes"))
        for n, i in enumerate(data.ids[:: len(data.ids) // 10][:10]):
            risk = RISKS[n % len(RISKS)]
            check = "not_empty=true;no_prompt_echo=true"
            rows.writerow((f"{risk}_{n}", data.prompts[i], "answers", risk, "", check))


class Server:
    """`tidegate serve` on a free port, and the other commands beside it."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.log = open(folder / "serve.log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0"], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=self.log)
        said = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
        if not found:
            self.stop()
            log = (folder / "serve.log").read_text(encoding="utf-8")
            raise Broken(f"the server did not start: {said}{log}")
        self.port = int(found.group(1))

    def run(self, *command, may_fail=False):
        done = subprocess.run([self.binary, "--json", *command], cwd=self.folder, text=True,
                              capture_output=True, timeout=60)
        if done.returncode != 0 and not may_fail:
            raise Broken(f"tidegate {' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def release(self):
        return self.run("release", "status")["release"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.log.close()


# ---------------------------------------------------------------- the users

class Users:
    """Sends the trace's requests at their times and says what was thought of the answers."""

    def __init__(self, data, port, sets, seed, speed):
        self.data, self.port, self.sets, self.seed, self.speed = data, port, sets, seed, speed
        self.first = random.Random(f"start {seed}").randrange(len(data.arrivals))
        self.lock, self.next, self.over = threading.Lock(), 0, threading.Event()
        self.tally = {model: dict.fromkeys(("answers", "likes", "rated", "wrong"), 0)
                      for model in sets.values()}
        self.problems, self.late_ms = [], []
        self.began = None

    def start(self):
        self.began = time.time()
        self.zero = time.monotonic()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)

    def work(self):
        lane = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        while not self.over.is_set():
            with self.lock:
                i, self.next = self.next, self.next + 1
            if i >= TURNS_MAX * len(self.data.arrivals):
                return
            due = self.zero + self.data.arrival(self.first, i) / self.speed
            if self.over.wait(max(0, due - time.monotonic())):
                return
            late = (time.monotonic() - due) * 1000
            try:
                self.ask(lane, i, late)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                lane.close()
                with self.lock:
                    self.problems.append(f"request {i}: {type(error).__name__}: {error}")
        lane.close()

    def ask(self, lane, i, late):
        # All that a request is depends on the seed and its number alone, not on the timing.
        draw = random.Random(f"request {self.seed} {i}")
        prompt, user, mood = draw.choice(self.data.ids), draw.randrange(USERS), draw.random()
        answer, head = post(lane, "/v1/chat/completions", {
            "user": f"user-{user}",
            "messages": [{"role": "user", "content": self.data.prompts[prompt]}],
        })
        model = self.sets[head["x-tidegate-version-set"]]
        wrong = answer["choices"][0]["message"]["content"] != self.data.answer[model][prompt]
        win = self.data.win[model][prompt]
        like = None if win is None else mood < win
        if like is not None:
            post(lane, "/v1/feedback", {"trace_id": head["x-trace-id"], "like": like})
        with self.lock:
            self.late_ms.append(late)
            tally = self.tally[model]
            tally["answers"] += 1
            tally["wrong"] += wrong
            tally["rated"] += like is not None
            tally["likes"] += like is True


def post(lane, path, body):
    lane.request("POST", path, json.dumps(body).encode(), {"content-type": "application/json"})
    answer = lane.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise ValueError(f"{path} answered {answer.status}: {text[:200]!r}")
    return json.loads(text), {name.lower(): value for name, value in answer.getheaders()}


# ---------------------------------------------------------------- one story

def tell(story, data, binary, seed, speed, keep):
    """Runs one story with one seed; gives its result."""
    name, old, new, lines, _, _ = story
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-real-"))
    server = None
    try:
        write_project(folder, data, old, new, lines, speed)
        server = Server(binary, folder)
        evaluated = server.run("eval", "--model", new)
        server.run("release", "start", "--model", new, "--by", "bench")
        plan = server.release()["plan"]
        users = Users(data, server.port, {plan["from"]: old, plan["to"]: new}, seed, speed)
        users.start()
        release, climb = watch(server, users, speed)
        users.stop()
        result = summary(story, seed, speed, release, users)
        result["climb"], result["eval"] = climb, evaluated["verdict"]
        return judged(story, result)
    finally:
        if server:
            server.stop()
        if keep:
            print(f"  kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def watch(server, users, speed):
    """Waits until the release is over or nobody comes any more."""
    climb = []
    while True:
        release = server.release()
        state = release["state"]
        rung = release["plan"]["rungs"][state["rung"]]
        if not climb or climb[-1]["rung"] != state["rung"]:
            at = max(0.0, state["rung_since"] / 1000 - users.began)
            climb.append({"rung": state["rung"], "weight": rung["weight"],
                          "trace_s": round(at * speed)})
        over = state["phase"] not in ("running", "paused")
        if over or not any(thread.is_alive() for thread in users.threads):
            return release, climb
        if users.problems:
            raise Broken(f"{len(users.problems)} requests failed: {users.problems[0]}")
        time.sleep(POLL_S)


def summary(story, seed, speed, release, users):
    """Numbers of the decision itself are the server's; likes and answers are the users' own."""
    name, old, new, *_ = story
    decision = release["last_decision"]
    state, reason = decision["state"], decision["reasons"][0]
    took = decision["at"] / 1000 - users.began
    late = sorted(users.late_ms)
    arms = {}
    for arm, model in (("stable", old), ("candidate", new)):
        window, tally = state["seen_" + arm]["counts"], users.tally[model]
        rated = window["likes"] + window["dislikes"]
        arms[arm] = {
            "model": model, "requests": window["requests"], "rated": rated,
            "like_share": share(window["likes"], rated),
            "tokens": share(window["tokens_in"] + window["tokens_out"], window["requests"]),
            "seen_by_users": tally,
        }
    return {
        "story": name, "seed": seed, "phase": state["phase"], "kind": decision["kind"],
        "rung_pct": f"{release['plan']['rungs'][state['rung']]['weight']:g}",
        "line": reason.get("line"), "metric": reason.get("metric"), "reason": reason["text"],
        "lines": [{k: r.get(k) for k in ("metric", "code", "stable", "candidate", "text")}
                  for r in decision["reasons"] if r.get("metric")],
        "real_s": round(took, 1), "trace_s": round(took * speed), "arms": arms,
        "late_ms_p50": round(late[len(late) // 2], 1) if late else None,
        "late_ms_p99": round(late[len(late) * 99 // 100], 1) if late else None,
        "failed_requests": len(users.problems), "problem": next(iter(users.problems), None),
    }


def share(part, whole):
    return round(part / whole, 4) if whole else None


def judged(story, result):
    """What is wrong with the result, if anything."""
    *_, phase, metric = story
    wrong = []
    if phase and result["phase"] != phase:
        wrong.append(f"expected {phase}, got {result['phase']}: {result['reason']}")
    if metric and result["metric"] != metric:
        wrong.append(f"expected {metric} to decide, it was: {result['reason']}")
    false = sum(arm["seen_by_users"]["wrong"] for arm in result["arms"].values())
    if false:
        wrong.append(f"{false} answers were not those the arm's model gave")
    if result["failed_requests"]:
        wrong.append(f"{result['failed_requests']} requests failed: {result['problem']}")
    return {**result, "wrong": wrong, "judged": phase is not None}


# ---------------------------------------------------------------- showing

HEAD = ("| story | seed | outcome | decided by | at rung | trace s | real s "
        "| requests s / c | likes s / c | tokens s / c |")


def row(result):
    old, new = result["arms"]["stable"], result["arms"]["candidate"]
    both = lambda key, form: f"{form(old[key])} / {form(new[key])}"
    pct = lambda value: "–" if value is None else f"{value:.1%}".replace("%", " %")
    by = f"{result['line']}: {result['metric']}" if result["metric"] else "all lines pass"
    cells = (
        result["story"], result["seed"], result["phase"].replace("_", " "), by,
        f"{result['rung_pct']} %", result["trace_s"], result["real_s"], both("requests", str),
        both("like_share", pct), both("tokens", lambda v: "–" if v is None else f"{v:.0f}"))
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/tidegate")
    parser.add_argument("--speed", type=float, default=40, help="trace seconds in a real second")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each story")
    parser.add_argument("--only", action="append", choices=[s[0] for s in STORIES])
    parser.add_argument("--out", type=pathlib.Path, help="write the results here as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the projects' folders")
    args = parser.parse_args()
    if args.seeds < 1 or not 1 <= args.speed <= 120:
        parser.error("--seeds is at least 1 and --speed within 1 and 120")
    # The server runs in its project's folder.
    args.binary = args.binary.resolve()
    return args


def main():
    args = arguments()
    if not (args.data / "answers").is_dir() or not (args.data / TRACE).is_file():
        print(f"SKIPPED: the data is not there ({args.data}); nothing was run, nothing is shown")
        return 0
    if not args.binary.is_file():
        print(f"error: no binary at {args.binary}\nhint: cargo build --release", file=sys.stderr)
        return 2
    data = Data(args.data)
    hour_s = data.arrivals[-1]
    print(f"{len(data.ids)} prompts, {len(data.arrivals)} arrivals in {hour_s:.0f} s of trace; "
          f"{args.speed:g} times as fast: {len(data.arrivals) / hour_s * args.speed:.0f} requests/s")
    print(f"ladder {RUNGS_PCT} %, each looked at for {LOOK_TRACE_S} s of trace = "
          f"{LOOK_TRACE_S / args.speed:g} s\n\n{HEAD}\n{'|---' * HEAD.count(' | ')}|---|", flush=True)
    began, results = time.monotonic(), []
    for story in STORIES:
        if args.only and story[0] not in args.only:
            continue
        for seed in range(1, args.seeds + 1):
            results.append(tell(story, data, args.binary, seed, args.speed, args.keep))
            print(row(results[-1]), flush=True)
            for what in results[-1]["wrong"]:
                print(f"  WRONG: {what}", flush=True)
    bad = sum(bool(result["wrong"]) for result in results)
    late = sorted(result["late_ms_p99"] or 0 for result in results)
    print(f"\n{len(results)} runs in {time.monotonic() - began:.0f} s; {bad} not as expected; "
          f"99 % of requests came at most {late[len(late) // 2]:.0f} ms late in the middle run, "
          f"{late[-1]:.0f} ms in the worst")
    if args.out:
        settings = {"speed": args.speed, "look_trace_s": LOOK_TRACE_S, "rungs_pct": RUNGS_PCT,
                    "users": USERS, "latency_ms": LATENCY_MS, "cpus": os.cpu_count()}
        text = json.dumps({"settings": settings, "results": results}, indent=1)
        args.out.write_text(text + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(4)
