#!/usr/bin/env bash
# Google's official SDK against the real server; see sdk.sh.
exec bash "$(dirname "$0")/sdk.sh" google-genai '>=2,<4' bench/google_sdk.py
