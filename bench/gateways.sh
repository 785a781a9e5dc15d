#!/usr/bin/env bash
# Tidegate beside LiteLLM and Portkey, at eight connections, on this machine. Needs nginx, wrk
# (Debian), Python with venv, and npm; both gateways are installed below target/bench at the first
# run (about 600 MB).
set -euo pipefail
cd "$(dirname "$0")/.."
for program in nginx wrk npm node python3; do
  command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing="${missing:-} $program"
done
if [ -n "${missing:-}" ]; then
  echo "skipped: there is no$missing"
  exit 0
fi
target="${CARGO_TARGET_DIR:-target}/bench"
mkdir -p "$target/portkey"
if [ ! -x "$target/litellm/bin/litellm" ]; then
  echo "installing LiteLLM" >&2
  python3 -m venv "$target/litellm"
  "$target/litellm/bin/pip" install --quiet 'litellm[proxy]==1.108.7' >&2
fi
if [ ! -d "$target/portkey/node_modules" ]; then
  echo "installing Portkey" >&2
  cat >"$target/portkey/package.json" <<'JSON'
{
  "private": true,
  "dependencies": {"@portkey-ai/gateway": "1.15.2"},
  "overrides": {"@hono/node-server": "1.13.8", "hono": "4.9.7"}
}
JSON
  (cd "$target/portkey" && npm install --silent >&2)
fi
exec python3 bench/gateways.py --installed "$target" "$@"
