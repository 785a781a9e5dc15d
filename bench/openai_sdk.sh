#!/usr/bin/env bash
# The official OpenAI SDK against the real server; see sdk.sh.
exec bash "$(dirname "$0")/sdk.sh" openai '>=3,<4'
