"""Runs the OpenAI SDK's own tests against the real `tidegate serve` before a fake model server.

usage: bench/openai_own_tests.sh   (it fetches the tests and what they need)

The tests are written for a mock that answers every request of OpenAI's whole API, sensible or not.
Values that OpenAI's API refuses as well are replaced in a copy (SENSIBLE). What cannot hold here is
listed (REASONS); a test that is not listed and fails, or is listed and passes, is a failure. Exit 1
then.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from serving import Fake, serving, write_project

FILES = ["chat/test_completions.py", "test_completions.py", "test_embeddings.py", "test_models.py",
         "test_responses.py", "responses"]
# What the tests call their models.
MODELS = ["gpt-6-astra", "gpt-3.5-turbo-instruct", "text-embedding-3-small", "model"]

# A value that the API refuses as well, and a sensible one.
SENSIBLE = [
    (r"\bmax_tokens=0,", "max_tokens=16,"),
    (r"\bmax_completion_tokens=0,", "max_completion_tokens=16,"),
    # `stream_options` without a stream.
    (r"stream=False,\n +stream_options=\{[^}]*\},\n", "stream=False,\n"),
    # A response to nothing.
    (r"(responses(?:\.with_\w+)?\.create\()\)", r'\1input="string", store=False)'),
    (r"(responses(?:\.with_\w+)?\.create\(\n +)(stream=True,\n +\))",
     r'\1input="string", store=False, \2'),
]

# Part of a test's place, as file::name, and why it cannot hold.
REASONS = [
    (r"test_(completions|responses)::test_(?!path_params).*_(retrieve|update|list|delete|cancel|compact)",
     "answers and responses are not stored"),
    (r"responses\.test_input_items::test_(?!path_params)", "answers and responses are not stored"),
    (r"responses\.test_input_tokens", "/v1/responses/input_tokens is not there"),
    (r"test_models::test_(?!path_params).*_delete", "models are the operator's"),
    (r"test_embeddings::test_(?!method_create_with_all).*create\[(strict|aiohttp)\]",
     "the SDK asks for base64 by itself, and takes numbers only where it reads strictly"),
    (r"test_responses::.*create_with_all_params",
     "background, conversations, stored prompts and the tools that OpenAI runs are not there"),
]


def reason_of(test):
    return next((why for pattern, why in REASONS if re.search(pattern, test)), None)


def sensible(source, folder):
    """A copy of the tests with sensible values, and how many were replaced."""
    shutil.copytree(source / "tests", folder / "tests")
    shutil.copy(source / "pyproject.toml", folder)
    replaced = 0
    for path in (folder / "tests/api_resources").rglob("*.py"):
        text = path.read_text()
        for old, new in SENSIBLE:
            text, count = re.subn(old, new, text)
            replaced += count if any(path.match(f"{name}*") for name in FILES) else 0
        path.write_text(text)
    return replaced


def run(source, url, report):
    tests = [f"tests/api_resources/{name}" for name in FILES]
    environment = {**os.environ, "TEST_API_BASE_URL": url}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider",
         "--tb=line", f"--junitxml={report}", *tests],
        cwd=source, env=environment, check=False, capture_output=True, text=True)


def outcomes(report):
    """Each test's place, how it ended and what was said."""
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        file = case.get("classname").split(".api_resources.")[-1].rsplit(".", 1)[0]
        found = [(kind, node.get("message", "")) for kind in ("failure", "error", "skipped")
                 for node in case.findall(kind)]
        kind, said = found[0] if found else ("passed", "")
        yield f"{file}::{case.get('name')}", kind, said


def judge(report):
    counts, reasons, failed = collections.Counter(), collections.Counter(), 0
    for test, kind, said in outcomes(report):
        why = reason_of(test)
        if kind in ("failure", "error") and why:
            reasons[why] += 1
            counts["cannot apply"] += 1
            continue
        counts[kind] += 1
        if kind in ("failure", "error"):
            failed += 1
            print(f"FAIL  {test}: {said[:300]}")
        elif kind == "passed" and why:
            failed += 1
            print(f"FAIL  {test}: it passes, and is listed: {why}")
    for why, count in reasons.most_common():
        print(f"{count:4} cannot apply: {why}")
    print(f"{counts['passed']} passed, {counts['failure'] + counts['error']} failed, "
          f"{counts['skipped']} skipped, {counts['cannot apply']} that cannot apply")
    return 1 if failed or not counts["passed"] else 0


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="tidegate-own-tests-") as folder:
        folder = pathlib.Path(folder)
        fake = Fake()
        root = write_project(
            folder / "project", {"up": {"kind": "openai", "base_url": fake.url}}, aliases=MODELS,
            artifacts={"prompt": {"mode": "pass_through"},
                       "model": {"upstream": "up", "name": "m-1", "embeddings": "e-1"}})
        report, copy = folder / "report.xml", folder / "copy"
        copy.mkdir()
        print(f"{sensible(source, copy)} values replaced by sensible ones")
        with serving(root) as (url, _):
            done = run(copy, url, report)
        if not report.exists():
            sys.exit(f"the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return judge(report)


if __name__ == "__main__":
    sys.exit(main())
