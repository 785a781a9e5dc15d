"""Starts what bench/openai_node.mjs asks, and runs it: a project before a fake upstream, and one
with keys. The exit code is that of node.

usage: bench/openai_node.sh   (it gets the SDK and names its folder in $NODE_SDK)
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from serving import REPOSITORY, Fake, binary, serving, write_project

KEY = "node-check-key-0123456789"


def main():
    with tempfile.TemporaryDirectory(prefix="tidegate-node-") as folder:
        folder = pathlib.Path(folder)
        fake = Fake()
        raw = write_project(
            folder / "raw", {"up": {"kind": "openai", "base_url": fake.url}},
            artifacts={"prompt": {"mode": "pass_through"},
                       "model": {"upstream": "up", "name": "m-1", "embeddings": "e-1"}},
            limits={"first_byte_ms": 2500, "retries": 0})
        keys = write_project(
            folder / "keys", {"up": {"kind": "simulated", "first_token_ms": 1, "ms_per_token": 0}},
            credentials=[{"name": "app", "key_env": "NODE_CHECK_KEY", "tenant": "acme"}])
        with serving(raw) as (url, _), serving(keys, env={"NODE_CHECK_KEY": KEY}) as (closed, _):
            given = {"url": url, "closed": closed, "key": KEY, "root": str(raw),
                     "tidegate": str(binary()), "fake": fake.url}
            # The SDK is found from the folder that it was installed in.
            script = pathlib.Path(os.environ["NODE_SDK"]) / "openai_node.mjs"
            script.write_bytes((REPOSITORY / "bench/openai_node.mjs").read_bytes())
            return subprocess.run(["node", script, json.dumps(given)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
