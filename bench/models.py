"""Which of four real models differs from which, by `tidegate eval` on their recorded answers.

usage: python3 bench/models.py [--data FOLDER] [--comparisons N]
The answers of four models to 805 prompts are played back by an upstream of kind `replay`. The
`rubric` check asks a judge that gives each answer what a real judge gave it (`win`, 0 to 1). Each
model is compared with each other one over the same prompts. Then one model is compared with
itself, N times, each time with verdicts drawn anew from `win`: how often a difference is found
where there is none must be at most what alpha allows.

Exit: 0 all is as expected, or there is no data and all is skipped; 1 it is not.
"""

import argparse
import http.server
import json
import math
import pathlib
import random
import re
import sys
import tempfile
import threading

from serving import Checks, REPOSITORY, tidegate, write_project

ALPHA = 0.05
BEST, SELF_CASES = "gpt4_1106_preview", 200
MODELS = ("alpaca-7b", "vicuna-7b", "gpt-3.5-turbo-0301", BEST)


def jsonl(path):
    """The lines of a file, read."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


class Judge:
    """A judge by `/v1/chat/completions` that knows what each answer is worth.

    The criterion names the case, the model asked before says whose answer it is. With `draws`, the
    verdict is 1 as often as `win` says, else 0.
    """

    def __init__(self, wins):
        self.wins, self.model, self.draws = wins, None, None
        judge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                case = re.search(r"worth of case (\d+)", body["messages"][-1]["content"])[1]
                verdict = json.dumps({"reason": "as recorded", "score": judge.score(int(case))})
                choice = {"index": 0, "message": {"role": "assistant", "content": verdict},
                          "finish_reason": "stop"}
                usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
                payload = json.dumps({"id": "c", "object": "chat.completion", "created": 1,
                                      "model": "recorded", "choices": [choice],
                                      "usage": usage}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def score(self, case):
        """What the answer of the model that is asked now is worth."""
        win = self.wins[self.model][case]
        if self.draws is None:
            return win
        return float(random.Random(f"{self.draws} {case}").random() < win)


def write(root, folder, judge, ids):
    """A project on the recorded answers; every run passes, so that the next is compared with it."""
    write_project(
        root,
        {"recorded": {"kind": "replay", "path": "answers.jsonl", "latency_ms": 0,
                      "ms_per_token": 0},
         "judges": {"kind": "openai", "base_url": judge.url}},
        evals={"cases": "evals/dataset.jsonl", "threshold": 0.0,
               "judge": {"upstream": "judges", "model": "recorded"}})
    prompts = {line["id"]: line["prompt"] for line in jsonl(folder / "prompts.jsonl")}
    with open(root / "answers.jsonl", "w", encoding="utf-8") as out:
        for model in MODELS:
            for line in jsonl(folder / f"{model}.jsonl"):
                answer = {"model": model, "prompt": prompts[line["id"]], "answer": line["answer"]}
                out.write(json.dumps(answer, ensure_ascii=False) + "\n")
    (root / "evals").mkdir()
    for name, some in (("dataset", ids), ("some", ids[:SELF_CASES])):
        lines = [json.dumps({"case_id": f"case-{i}", "input": prompts[i], "risk": "format",
                             "rubric": f"worth of case {i}", "max_words": 400},
                            ensure_ascii=False) for i in some]
        (root / f"evals/{name}.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")


def run(root, judge, model, cases="evals/dataset.jsonl"):
    """One run's report."""
    judge.model = model
    done = tidegate(root, "eval", "--model", model, "--cases", cases, "--json", ok=False)
    if done.returncode != 0:
        sys.exit(f"the run of {model} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def tests_of(report):
    """The tests of the comparison with the run before, by metric."""
    return {test["metric"]: test for test in (report["comparison"] or {}).get("tests", [])}


def allowed(comparisons):
    """The most false alarms that 99 of 100 such benches have, where each has the chance alpha."""
    total = 0.0
    for count in range(comparisons + 1):
        total += math.comb(comparisons, count) * ALPHA**count * (1 - ALPHA)**(comparisons - count)
        if total >= 0.99:
            return count
    return comparisons


def main():
    """Compares the models with each other, and one with itself."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=pathlib.Path, default=REPOSITORY / "../shared/data")
    parser.add_argument("--comparisons", type=int, default=400)
    options = parser.parse_args()
    folder = options.data / "answers"
    if not (folder / "prompts.jsonl").exists():
        print(f"skipped: there are no recorded answers in {folder}")
        return 0
    wins = {model: {line["id"]: line["win"] for line in jsonl(folder / f"{model}.jsonl")}
            for model in MODELS}
    ids = sorted(i for i in wins[BEST] if all(wins[model][i] is not None for model in MODELS))
    judge, checks = Judge(wins), Checks()
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place) / "project"
        write(root, folder, judge, ids)
        print("| from | to | metric | before | now | p (Holm) | beyond chance |\n|" + "---|" * 7)
        for at, old in enumerate(MODELS):
            for new in MODELS[at + 1:]:
                run(root, judge, old)
                found = tests_of(run(root, judge, new))
                for metric, test in sorted(found.items()):
                    print(f"| {old} | {new} | {metric} | {test['before']:.3f} | {test['now']:.3f} "
                          f"| {test['p_holm']:.2g} | {test['p_holm'] <= ALPHA} |")
                better = found["rubric"]["now"] > found["rubric"]["before"]
                checks.true(f"{new} is better than {old}, beyond chance",
                            better and found["rubric"]["p_holm"] <= ALPHA)
        alarms = 0
        for number in range(options.comparisons + 1):
            judge.draws = number
            found = tests_of(run(root, judge, BEST, "evals/some.jsonl"))
            alarms += number > 0 and any(test["p_holm"] <= ALPHA for test in found.values())
        most = allowed(options.comparisons)
        checks.true(f"{BEST} beside itself: {alarms} of {options.comparisons} comparisons find a "
                    f"difference, {most} may", alarms <= most)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
