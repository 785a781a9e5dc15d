"""LiteLLM and LangChain's OpenAI client, unmodified, as clients of the real `tidegate serve`.

usage: bench/litellm_sdk.sh   (it makes the environment that this needs)
Prints one line for each check; exit 1 when one fails.
"""

import asyncio
import importlib.metadata
import os
import pathlib
import sys
import tempfile
import time

# Neither the list of prices nor any trace is fetched or sent anywhere.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LANGSMITH_TRACING"] = "false"

import langchain_openai  # noqa: E402
import litellm  # noqa: E402
import openai  # noqa: E402
import pydantic  # noqa: E402
from langchain_core.messages import HumanMessage  # noqa: E402

from serving import (  # noqa: E402
    JSON_TEXT, TEXT, TOOL, Checks, Fake, error_of, serving, trace, write_project)

checks = Checks()
litellm.suppress_debug_info = True
KEY = "frameworks-check-key-0123456789"

TOOLS = [{"type": "function", "function": {
    "name": "lookup", "description": "Finds an order.",
    "parameters": {"type": "object", "properties": {"order": {"type": "string"}}}}}]


class Trip(pydantic.BaseModel):
    """A trip."""

    city: str
    days: int


TRIP = Trip(city="大阪", days=3)


def user(text):
    return [{"role": "user", "content": text}]


def raises(what, call, kind):
    """The call raises this class, without the upstream's own text."""
    error = error_of(call)
    checks.true(f"{what}: {kind.__name__}", isinstance(error, kind), repr(error))
    if "SECRET" in str(error):
        checks.true(f"{what}: without the upstream's own text", False)


# -- LiteLLM -----------------------------------------------------------------------------------------


def lite(url, text, provider="openai", **more):
    base = url if provider == "openai" else url.removesuffix("/v1")
    return litellm.completion(
        model=f"{provider}/bench", api_base=base, messages=user(text),
        **{"api_key": KEY, "num_retries": 0, "max_retries": 0, **more})


def lite_chat(root, fake, url):
    answer = lite(url, "hello", extra_headers={"x-trace-id": "lite-1"}, seed=7,
                  extra_body={"user": "u-1"})
    checks.equal("litellm: text", answer.choices[0].message.content, TEXT)
    checks.equal("litellm: usage", (answer.usage.prompt_tokens, answer.usage.completion_tokens),
                 (11, 7))
    checks.equal("litellm: what it sends reaches the upstream",
                 (fake.seen[-1]["body"]["seed"], fake.seen[-1]["body"]["model"]), (7, "m-1"))
    record = trace(root, "lite-1") or {}
    checks.equal("litellm: recorded by tenant, user and key",
                 (record.get("tenant"), record.get("user"), record.get("tokens_in")),
                 ("acme", "u-1", 11))
    many = lite(url, "hello", n=2)
    checks.equal("litellm: two choices", [one.message.content for one in many.choices], [TEXT] * 2)
    call = lite(url, "tool", tools=TOOLS).choices[0].message.tool_calls[0].function
    checks.equal("litellm: tool call", (call.name, call.arguments),
                 (TOOL["name"], TOOL["arguments"]))
    answer = lite(url, "json", response_format=Trip)
    checks.equal("litellm: structured output",
                 Trip.model_validate_json(answer.choices[0].message.content), TRIP)
    checks.equal("litellm: its schema reaches the upstream",
                 fake.seen[-1]["body"]["response_format"]["json_schema"]["name"], "Trip")


def lite_streams(url):
    chunks = list(lite(url, "hello", stream=True, stream_options={"include_usage": True}))
    text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
    checks.equal("litellm: streamed text", text, TEXT)
    built = litellm.stream_chunk_builder(chunks)
    checks.equal("litellm: usage of a stream",
                 (built.usage.prompt_tokens, built.usage.completion_tokens), (11, 7))
    built = litellm.stream_chunk_builder(list(lite(url, "tool", stream=True, tools=TOOLS)))
    checks.equal("litellm: tool call in pieces",
                 built.choices[0].message.tool_calls[0].function.arguments, TOOL["arguments"])
    got = []
    error = error_of(lambda: got.extend(lite(url, "cut", stream=True)))
    checks.true("litellm: a stream cut short is an error", error is not None and len(got) > 2,
                repr((error, len(got))))


def lite_others(fake, url):
    base = {"api_base": url, "api_key": KEY}
    made = litellm.embedding(model="openai/bench", input=["a", "東京"], **base)
    checks.equal("litellm: embeddings", made.data[0]["embedding"], [0.5, -0.25])
    made = litellm.text_completion(model="text-completion-openai/bench", prompt="hello", **base)
    checks.equal("litellm: a plain completion", made.choices[0].text, TEXT)
    made = litellm.responses(model="openai/bench", input="hello", store=False, **base)
    checks.equal("litellm: responses", made.output[0].content[0].text, TEXT)
    made = lite(url, "hello", provider="anthropic", max_tokens=64)
    checks.equal("litellm: by Anthropic's API", (made.choices[0].message.content,
                 made.usage.prompt_tokens), (TEXT, 11))
    chunks = list(lite(url, "tool", provider="anthropic", max_tokens=64, tools=TOOLS, stream=True))
    call = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls[0].function
    checks.equal("litellm: a tool by Anthropic's API, streamed", call.arguments, TOOL["arguments"])
    checks.equal("litellm: the upstream got a chat completion",
                 fake.seen[-1]["body"]["tools"][0]["function"]["name"], "lookup")


def lite_errors(url):
    raises("litellm: upstream 429", lambda: lite(url, "429"), litellm.RateLimitError)
    raises("litellm: upstream 400", lambda: lite(url, "400"), litellm.BadRequestError)
    raises("litellm: upstream 500", lambda: lite(url, "500"), litellm.BadGatewayError)
    raises("litellm: another model", lambda: litellm.completion(
        model="openai/gpt-4o", api_base=url, api_key=KEY, messages=user("x"), max_retries=0),
        litellm.NotFoundError)
    raises("litellm: a wrong key", lambda: lite(url, "x", api_key="wrong"),
           litellm.AuthenticationError)
    raises("litellm: its own timeout", lambda: lite(url, "slow", timeout=0.5), litellm.Timeout)
    raises("litellm: Anthropic's API, upstream 429", lambda: lite(
        url, "429", provider="anthropic", max_tokens=9), litellm.RateLimitError)
    answer = lite(url, "429-once", num_retries=1, max_retries=1)
    checks.equal("litellm: its retry is answered", answer.choices[0].message.content, TEXT)


async def lite_async(url):
    async def one(number):
        more = {"api_base": url, "api_key": KEY, "messages": user("hello")}
        answer = await litellm.acompletion(model="openai/bench", stream=bool(number % 2), **more)
        if number % 2 == 0:
            return answer.choices[0].message.content
        return "".join([one.choices[0].delta.content or "" async for one in answer])

    found = await asyncio.gather(*(one(number) for number in range(20)))
    checks.equal("litellm: 20 at once, half of them streams", found.count(TEXT), 20)


# -- LangChain ---------------------------------------------------------------------------------------


def lang(url, **more):
    return langchain_openai.ChatOpenAI(
        base_url=url, model="bench", **{"api_key": KEY, "max_retries": 0, **more})


def lang_chat(url):
    answer = lang(url).invoke("hello")
    checks.equal("langchain: text and usage",
                 (answer.content, answer.usage_metadata["input_tokens"]), (TEXT, 11))
    chunks = list(lang(url, stream_usage=True).stream("hello"))
    checks.equal("langchain: streamed text", "".join(one.content for one in chunks), TEXT)
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    checks.equal("langchain: usage of a stream", total.usage_metadata["output_tokens"], 7)
    generated = lang(url, n=2).generate([[HumanMessage("hello")]])
    checks.equal("langchain: two choices",
                 [one.text for one in generated.generations[0]], [TEXT, TEXT])
    checks.equal("langchain: batch", [one.content for one in lang(url).batch(["hello"] * 5)],
                 [TEXT] * 5)
    answer = lang(url, use_responses_api=True, store=False).invoke("hello")
    checks.equal("langchain: by the Responses API", answer.text, TEXT)
    made = langchain_openai.OpenAIEmbeddings(
        base_url=url, api_key=KEY, model="bench", check_embedding_ctx_length=False)
    checks.equal("langchain: embeddings", made.embed_documents(["a"]), [[0.5, -0.25]])


def lang_tools(fake, url):
    bound = lang(url).bind_tools(TOOLS)
    answer = bound.invoke("tool")
    checks.equal("langchain: tool call", (answer.tool_calls[0]["name"],
                 answer.tool_calls[0]["args"]), ("lookup", {"order": "東京-7"}))
    total = None
    for chunk in bound.stream("tool"):
        total = chunk if total is None else total + chunk
    checks.equal("langchain: tool call in pieces", total.tool_calls[0]["args"],
                 {"order": "東京-7"})
    result = {"role": "tool", "tool_call_id": answer.tool_calls[0]["id"], "content": "到着しました"}
    said = bound.invoke([("user", "tool"), answer, result])
    checks.equal("langchain: the answer after the tool's result",
                 (said.content, fake.seen[-1]["body"]["messages"][-1]["content"]),
                 (TEXT, "到着しました"))
    typed = lang(url).with_structured_output(Trip, method="json_schema")
    checks.equal("langchain: structured output", typed.invoke("json"), TRIP)
    checks.equal("langchain: structured output, JSON mode", Trip.model_validate(
        lang(url).with_structured_output(None, method="json_mode").invoke("json")), TRIP)


def lang_errors(url):
    raises("langchain: upstream 429", lambda: lang(url).invoke("429"), openai.RateLimitError)
    raises("langchain: upstream 500", lambda: lang(url).invoke("500"), openai.InternalServerError)
    raises("langchain: a wrong key", lambda: lang(url, api_key="wrong").invoke("x"),
           openai.AuthenticationError)
    raises("langchain: a stream cut short", lambda: list(lang(url).stream("cut")), openai.APIError)
    checks.equal("langchain: its retry is answered",
                 lang(url, max_retries=1).invoke([("system", "x"), ("user", "429-once")]).content,
                 TEXT)


async def lang_async(url):
    async def one(number):
        if number % 2:
            return (await lang(url).ainvoke("hello")).content
        return "".join([chunk.content async for chunk in lang(url).astream("hello")])

    found = await asyncio.gather(*(one(number) for number in range(20)))
    checks.equal("langchain: 20 at once, half of them streams", found.count(TEXT), 20)


def main():
    started = time.monotonic()
    versions = [f"{name} {importlib.metadata.version(name)}"
                for name in ("litellm", "langchain-openai", "openai")]
    print(f"{', '.join(versions)} (PyPI), Python {sys.version.split()[0]}")
    assert Trip.model_validate_json(JSON_TEXT) == TRIP
    with tempfile.TemporaryDirectory(prefix="tidegate-frameworks-") as folder:
        fake = Fake()
        root = write_project(
            pathlib.Path(folder) / "raw", {"up": {"kind": "openai", "base_url": fake.url}},
            artifacts={"prompt": {"mode": "pass_through"},
                       "model": {"upstream": "up", "name": "m-1", "embeddings": "e-1"}},
            credentials=[{"name": "app", "key_env": "FRAMEWORKS_KEY", "tenant": "acme"}],
            limits={"retries": 0})
        with serving(root, env={"FRAMEWORKS_KEY": KEY}) as (url, _):
            lite_chat(root, fake, url)
            lite_streams(url)
            lite_others(fake, url)
            lite_errors(url)
            asyncio.run(lite_async(url))
            lang_chat(url)
            lang_tools(fake, url)
            lang_errors(url)
            asyncio.run(lang_async(url))
    print(f"{time.monotonic() - started:.1f} s")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
