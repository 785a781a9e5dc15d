"""schemathesis, unmodified, on the data plane's own `/openapi.json`: requests that keep to the
document and requests that break it, drawn from a seed, against the real `tidegate serve` before a
fake model server.

usage: bench/openapi.sh [--examples N] [--seed N]   (it makes the environment that this needs)
Exit 1 when an answer is not as the document says.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from serving import Fake, serving, write_project

KEY = "openapi-check-key-0123456789"

# What the checks may not expect:
# - Which requests a translation can say depends on the model server, and no schema has it; that
#   such a request is answered as the document says is checked all the same.
# - A key of an `Idempotency-Key` that was used with another body is 422.
# - Feedback needs a trace that exists, and something of what may be said.
# - `/chat` cannot be answered within every `budget_ms`: 504.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "409", "422"]

[[operations]]
include-path-regex = "^/v1/(messages|responses|feedback)|^/v1beta/.*:"
[operations.checks]
positive_data_acceptance.enabled = false

[[operations]]
include-path = "/chat"
[operations.checks]
not_a_server_error.expected-statuses = ["2xx", "4xx", "504"]
positive_data_acceptance.expected-statuses = ["2xx", "504"]

[[operations]]
include-path-regex = "^/v1(beta)?/models/{id}$"
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "404"]
"""


def for_service(document):
    """The document with this server's only service as the model, which is else mostly unknown."""
    for schema in document["components"]["schemas"].values():
        if "model" in schema.get("properties", {}) and "id" not in schema["properties"]:
            schema["properties"]["model"] = {"const": "bench"}
    for path, item in document["paths"].items():
        if "{id}:" in path:
            item["post"]["parameters"][0]["schema"] = {"const": "bench"}
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--examples", type=int, default=30, help="cases of each operation")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    tool = pathlib.Path(sys.executable).parent / "schemathesis"
    with tempfile.TemporaryDirectory(prefix="tidegate-openapi-") as folder:
        folder = pathlib.Path(folder)
        (folder / "schemathesis.toml").write_text(CONFIG)
        fake = Fake()
        root = write_project(
            folder / "project", {"up": {"kind": "openai", "base_url": fake.url}},
            artifacts={"prompt": {"mode": "pass_through"},
                       "model": {"upstream": "up", "name": "m-1", "embeddings": "e-1"}},
            credentials=[{"name": "app", "key_env": "OPENAPI_CHECK_KEY"}], limits={"retries": 0})
        with serving(root, env={"OPENAPI_CHECK_KEY": KEY}) as (url, _):
            base = url.removesuffix("/v1")
            document = folder / "openapi.json"
            asked = urllib.request.Request(f"{base}/openapi.json", headers={"x-api-key": KEY})
            with urllib.request.urlopen(asked, timeout=10) as answer:
                document.write_text(json.dumps(for_service(json.load(answer))))
            return subprocess.run(
                [tool, "run", document, "--url", base, "--header", f"Authorization: Bearer {KEY}",
                 "--seed", str(given.seed), "--max-examples", str(given.examples),
                 "--phases", "coverage,fuzzing", "--continue-on-failure", "--no-shrink",
                 "--suppress-health-check", "all"], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
