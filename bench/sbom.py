#!/usr/bin/env python3
"""Writes what the binary is built of as a CycloneDX document: every crate of the lock file that the
platform needs, with its version, licence and checksum.

    python3 bench/sbom.py [--features bedrock] > tidegate.cdx.json
"""

import argparse
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def checksums():
    """The checksum of each crate, by name and version."""
    field = lambda name, text: (re.search(rf'^{name} = "(.*)"$', text, re.M) or [None, None])[1]
    packages = (ROOT / "Cargo.lock").read_text().split("[[package]]")[1:]
    return {(field("name", p), field("version", p)): field("checksum", p) for p in packages}


def needed(metadata):
    """The ids of all that the binary is built with; what only tests need is left out."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    first = next(p["id"] for p in metadata["packages"] if p["name"] == "tidegate")
    seen, left = set(), [first]
    while left:
        here = left.pop()
        if here in seen:
            continue
        seen.add(here)
        for dependency in nodes[here]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                left.append(dependency["pkg"])
    return first, seen


def component(package, sums):
    name, version = package["name"], package["version"]
    found = {"type": "library", "name": name, "version": version,
             "purl": f"pkg:cargo/{name}@{version}", "bom-ref": f"{name}@{version}"}
    if package["license"]:
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if sums.get((name, version)):
        found["hashes"] = [{"alg": "SHA-256", "content": sums[name, version]}]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="x86_64-unknown-linux-gnu")
    parser.add_argument("--features", default="")
    args = parser.parse_args()
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform",
               args.target, "--manifest-path", str(ROOT / "crates/tidegate/Cargo.toml")]
    if args.features:
        command += ["--features", args.features]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    first, ids = needed(metadata)
    packages = {p["id"]: p for p in metadata["packages"]}
    sums = checksums()
    others = sorted((component(packages[i], sums) for i in ids - {first}), key=lambda c: c["purl"])
    subject = component(packages[first], sums) | {"type": "application"}
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
                "metadata": {"component": subject}, "components": others}
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
