"""Every check beside promptfoo's assertion of the same name, on the same answers.

usage: bench/promptfoo.sh
`tidegate eval` asks a model server that answers with the given texts, one case for each pair of an
assertion and an answer; promptfoo's own `runAssertion` is given the same. A verdict that differs
must be one of DIFFERENCES, which say why, and each of those must still occur.
"""

import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

from serving import Checks, tidegate, write_project

HERE = pathlib.Path(__file__).resolve().parent

TEXTS = [
    "Refunds take five working days.",
    "REFUNDS TAKE FIVE WORKING DAYS.",
    "  Refunds take five working days.\n",
    "I'm sorry, but I can't help with that.",
    "I am unable to share that.",
    "退款需要五个工作日。",
    "退款需要５个工作日。",
    "抱歉，我无法提供这些信息。",
    "返金には五営業日かかります。",
    "申し訳ありませんが、お答えできません。",
    "ﾍﾝｷﾝは5営業日です",
    "Straße 5, ISTANBUL, İstanbul",
    "😀 Refund ok 👍🏽",
    '{"answer": "five days", "citations": ["policy.md"]}',
    '{"citations": ["policy.md"], "answer": "five days"}',
    '```json\n{"answer": "five days"}\n```',
    'The result is {"answer": "five days"} as asked.',
    "[1, 2, 3]",
    "{'answer': 'five days'}",
    "42",
    '<?xml version="1.0"?><refund><days>5</days></refund>',
    "<p>Refunds take <b>five</b> days.</p>",
    "It is <refund days='5'/> as asked.",
    "<refund><days>5</refund>",
    "SELECT days FROM refunds WHERE id = 5",
    "Use this:\n```sql\nSELECT days FROM refunds;\n```",
    "SELECT FROM WHERE",
]

SCHEMA = {"type": "object", "required": ["answer"], "properties": {"answer": {"type": "string"}},
          "additionalProperties": True}
REFERENCE = "Refunds take five working days."
CHINESE = "退款需要五个工作日。"

# promptfoo's type, its members, and our check with its value.
ASSERTIONS = [
    ("equals", {"value": REFERENCE}, {"check": "equals", "value": REFERENCE}),
    ("equals", {"value": CHINESE}, {"check": "equals", "value": CHINESE}),
    ("equals", {"value": {"answer": "five days", "citations": ["policy.md"]}},
     {"check": "equals", "value": {"answer": "five days", "citations": ["policy.md"]}}),
    ("contains", {"value": "five"}, {"check": "expected_contains", "value": "five"}),
    ("contains", {"value": "五"}, {"check": "expected_contains", "value": "五"}),
    ("icontains", {"value": "refunds"}, {"check": "icontains", "value": "refunds"}),
    ("icontains", {"value": "istanbul"}, {"check": "icontains", "value": "istanbul"}),
    ("icontains", {"value": "5个"}, {"check": "icontains", "value": "5个"}),
    ("contains-all", {"value": ["five", "days"]},
     {"check": "contains_all", "value": ["five", "days"]}),
    ("contains-any", {"value": ["五", "five"]},
     {"check": "contains_any", "value": ["五", "five"]}),
    ("icontains-all", {"value": ["REFUNDS", "days"]},
     {"check": "icontains_all", "value": ["REFUNDS", "days"]}),
    ("icontains-any", {"value": ["refund", "返金"]},
     {"check": "must_include_any", "value": ["refund", "返金"]}),
    ("starts-with", {"value": "Refunds"}, {"check": "starts_with", "value": "Refunds"}),
    ("starts-with", {"value": "退款"}, {"check": "starts_with", "value": "退款"}),
    ("regex", {"value": "[0-9]+"}, {"check": "regex", "value": "[0-9]+"}),
    ("regex", {"value": "五个?工作日"}, {"check": "regex", "value": "五个?工作日"}),
    ("is-json", {}, {"check": "is_json", "value": True}),
    ("is-json", {"value": SCHEMA}, {"check": "json_schema", "value": SCHEMA}),
    ("contains-json", {}, {"check": "contains_json", "value": True}),
    ("levenshtein", {"value": REFERENCE, "threshold": 5},
     {"check": "levenshtein", "value": REFERENCE, "threshold": 5}),
    ("levenshtein", {"value": CHINESE, "threshold": 2},
     {"check": "levenshtein", "value": CHINESE, "threshold": 2}),
    ("is-refusal", {}, {"check": "refusal", "value": True}),
    ("rouge-n", {"value": REFERENCE, "threshold": 0.75},
     {"check": "rouge_1", "value": REFERENCE, "threshold": 0.75}),
    ("bleu", {"value": REFERENCE, "threshold": 0.5},
     {"check": "bleu", "value": REFERENCE, "threshold": 0.5}),
    ("gleu", {"value": REFERENCE, "threshold": 0.5},
     {"check": "gleu", "value": REFERENCE, "threshold": 0.5}),
    ("rouge-n", {"value": CHINESE, "threshold": 0.75},
     {"check": "rouge_1", "value": CHINESE, "threshold": 0.75}),
    ("bleu", {"value": CHINESE, "threshold": 0.5},
     {"check": "bleu", "value": CHINESE, "threshold": 0.5}),
    ("gleu", {"value": CHINESE, "threshold": 0.5},
     {"check": "gleu", "value": CHINESE, "threshold": 0.5}),
    ("word-count", {"value": 5}, {"check": "word_count", "value": 5}),
    ("word-count", {"value": {"min": 2, "max": 6}},
     {"check": "word_count", "value": {"min": 2, "max": 6}}),
    ("word-count", {"value": {"max": 4}}, {"check": "word_count", "value": {"max": 4}}),
    ("is-xml", {}, {"check": "is_xml", "value": True}),
    ("contains-xml", {}, {"check": "contains_xml", "value": True}),
    ("is-html", {}, {"check": "is_html", "value": True}),
    ("contains-html", {}, {"check": "contains_html", "value": True}),
    ("is-sql", {}, {"check": "is_sql", "value": True}),
    ("contains-sql", {}, {"check": "contains_sql", "value": True}),
    ("latency", {"threshold": 60000}, {"check": "max_latency_ms", "value": 60000}),
    ("cost", {"threshold": 0.01}, {"check": "max_cost_usd", "value": 0.01}),
    ("cost", {"threshold": 0.000001}, {"check": "max_cost_usd", "value": 0.000001}),
    ("finish-reason", {"value": "stop"}, {"check": "finish_reason", "value": "stop"}),
]

# What promptfoo says otherwise, by its type (and its opposite): the texts, and why.
DIFFERENCES = [
    ("icontains", [6], "full-width digits are those of half width here"),
    ("contains-json", [17], "an array is JSON here"),
    ("contains-json", [18], "promptfoo reads YAML; Python's quotes are no JSON here"),
    ("is-refusal", [7, 9], "promptfoo knows refusals in English"),
    ("bleu", [1], "promptfoo lowers the case; sacrebleu and ours do not"),
    ("gleu", [1], "promptfoo lowers the case; NLTK and ours do not"),
    ("bleu", [6], "promptfoo's tokens are words between blanks; Chinese is split by characters here"),
    ("gleu", [6], "the same"),
    ("rouge-n", [6], "the same"),
    ("word-count", [5, 6, 7, 8, 9, 10], "a text without blanks is one word to promptfoo; here each "
     "Chinese or Japanese character is one"),
    ("contains-html", [20, 22, 23], "promptfoo takes any tags for HTML; elements of HTML count here"),
    ("is-sql", [25], "`USE name` is a statement, and the code block reads as quoted names here"),
]


def model_server():
    """Answers `N` with the text of that number."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = TEXTS[int(body["messages"][-1]["content"].split()[-1])]
            choice = {"index": 0, "message": {"role": "assistant", "content": text},
                      "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}
            payload = json.dumps({"id": "c", "object": "chat.completion", "created": 1,
                                  "model": "m-1", "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


def pairs():
    """Every assertion and its opposite on every text: promptfoo's form, ours, the text's number."""
    for kind, members, ours in ASSERTIONS:
        for opposite in (False, True):
            name = f"not-{kind}" if opposite else kind
            for number in range(len(TEXTS)):
                yield {"type": name, **members}, {**ours, "not": opposite}, number


def our_verdicts(root, wanted):
    """What `tidegate eval` says of each pair: passed, failed, or no useful answer (None)."""
    prices = {"m-1": {"input_per_million": 1, "output_per_million": 1}}
    write_project(root, {"up": {"kind": "openai", "base_url": model_server()}}, prices=prices)
    (root / "evals").mkdir(exist_ok=True)
    lines = [json.dumps({"case_id": f"p-{n}", "input": f"pair {n} text {number}", "risk": "format",
                         "assert": [ours]}, ensure_ascii=False)
             for n, (_, ours, number) in enumerate(wanted)]
    (root / "evals/dataset.jsonl").write_text("\n".join([*lines, ""]))
    done = tidegate(root, "eval", "--cases", "evals/dataset.jsonl", "--json", ok=False)
    try:
        results = json.loads(done.stdout)["results"]
    except ValueError:
        sys.exit(f"tidegate eval said no JSON:\n{done.stderr}")
    verdicts = {}
    for result in results:
        verdicts[result["case"]["id"]] = result
    return [verdicts[f"p-{n}"] for n in range(len(wanted))]


def their_verdicts(folder, wanted):
    """What promptfoo says of each pair: passed, failed, or the text of its error."""
    asked = [{"assertion": theirs, "output": TEXTS[number], "finishReason": "stop",
              "latencyMs": 20, "cost": 0.00001}
             for theirs, _, number in wanted]
    done = subprocess.run(["node", HERE / "promptfoo.mjs", folder], input=json.dumps(asked),
                          stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


def holds(result):
    """Whether our one check of a case holds; `None` where nothing was judged."""
    return result["checks"][0]["score"] >= 1.0 if result["checks"] else None


def main():
    """Compares all pairs; 1 where a difference is not explained or no longer occurs."""
    wanted = list(pairs())
    with tempfile.TemporaryDirectory() as folder:
        ours = our_verdicts(pathlib.Path(folder) / "project", wanted)
    theirs = their_verdicts(sys.argv[1], wanted)
    differ = {}
    for (assertion, check, number), our, their in zip(wanted, ours, theirs):
        if holds(our) is not their:
            kind = assertion["type"].removeprefix("not-")
            differ.setdefault((kind, number), []).append((check, holds(our), their))
    checks = Checks()
    explained = set()
    for kind, numbers, why in DIFFERENCES:
        for number in numbers:
            explained.add((kind, number))
            checks.true(f"{kind} of {TEXTS[number]!r}: {why}", (kind, number) in differ,
                        "both say the same now")
    for pair, found in sorted(differ.items()):
        if pair not in explained:
            checks.true(f"{pair[0]} of {TEXTS[pair[1]]!r}", False, f"unexplained: {found}")
    same = len(wanted) - sum(map(len, differ.values()))
    print(f"{same} of {len(wanted)} verdicts are promptfoo's")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
