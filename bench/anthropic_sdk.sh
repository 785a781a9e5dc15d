#!/usr/bin/env bash
# The official Anthropic SDK against the real server; see sdk.sh.
exec bash "$(dirname "$0")/sdk.sh" anthropic '>=2,<3'
