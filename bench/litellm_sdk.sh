#!/usr/bin/env bash
# LiteLLM and LangChain's OpenAI client from PyPI, as clients of the real server; see sdk.sh.
exec bash "$(dirname "$0")/sdk.sh" litellm '>=1.100,<2 langchain-openai>=1,<2'
