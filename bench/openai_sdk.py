"""The official OpenAI SDK, unmodified, against the real `tidegate serve`.

usage: bench/openai_sdk.sh   (it makes the environment that this needs)
Prints one line for each check; exit 1 when one fails.
"""

import asyncio
import json
import pathlib
import re
import sys
import tempfile
import time

import openai
import pydantic

from serving import (
    TEXT, TOOL, Checks, Fake, error_of, serving, tidegate, trace, write_project)

KEY = "sdk-check-key-0123456789"
checks = Checks()


def client_of(url, **more):
    """An SDK client that tries once: the checks are about single answers."""
    return openai.OpenAI(base_url=url, **{"api_key": "unused", "max_retries": 0, **more})


def user(text):
    return [{"role": "user", "content": text}]


def check_error(what, call, kind, status=None, code=None):
    """The call raises exactly this type, with this status and code, and tells no secret."""
    error = error_of(call)
    found = (type(error).__name__, getattr(error, "status_code", None), getattr(error, "code", None))
    expected = (kind.__name__, status or found[1], code or found[2])
    checks.equal(f"{what}: {' '.join(str(part) for part in expected if part)}", found, expected)
    if "SECRET" in str(error) + str(getattr(error, "body", "")):
        checks.true(f"{what}: without the upstream's own text", False)
    return error


def say(client, text, **more):
    return client.chat.completions.create(model="bench", messages=user(text), **more)


def read(stream):
    """A stream's text, its usage and its last finish reason."""
    text, usage, finish = "", None, None
    for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        usage = chunk.usage or usage
    return text, usage, finish


# -- the project of `tidegate init`: rendered prompts, a contract, a simulated model ------------


class Answer(pydantic.BaseModel):
    """The output contract of `tidegate init`."""

    answer: str
    citations: list[str]


def first_project(folder):
    root = folder / "sdk-desk"
    tidegate(folder, "init", str(root))
    text = (root / "tidegate.yaml").read_text()
    text = text.replace("  main:\n    kind: simulated", "  main:\n    kind: simulated\n"
                        "    first_token_ms: 5\n    ms_per_token: 0.2")
    (root / "tidegate.yaml").write_text(text)
    with serving(root) as (url, _):
        simulated(root, client_of(url))
        asyncio.run(at_once(url))


def simulated(root, client):
    ask = {"model": "sdk-desk", "messages": user("How long does a refund take?")}
    answer = client.chat.completions.create(**ask)
    body = Answer.model_validate_json(answer.choices[0].message.content)
    checks.true("chat: a typed answer that keeps the contract", bool(body.answer and body.citations))
    checks.true("chat: usage adds up", answer.usage.total_tokens
                == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0)
    parsed = client.chat.completions.parse(**ask, response_format=Answer)
    checks.true("chat.parse: the SDK reads the contract's form", bool(
        parsed.choices[0].message.parsed.citations))

    text, usage, finish = read(client.chat.completions.create(**ask, stream=True))
    checks.equal("stream: ends with its finish reason", finish, "stop")
    checks.true("stream: keeps the contract", bool(Answer.model_validate_json(text).answer))
    checks.equal("stream without include_usage: none comes", usage, None)
    options = {"include_usage": True}
    text, usage, _ = read(client.chat.completions.create(**ask, stream=True, stream_options=options))
    checks.true("stream with include_usage: it comes", usage is not None
                and usage.completion_tokens > 0 and usage.prompt_tokens > 0, repr(usage))
    with client.chat.completions.stream(**ask) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    checks.true("chat.stream helper: content.done and the final answer", "content.done" in kinds
                and bool(final.choices[0].message.content), repr(kinds))

    raw = client.chat.completions.with_raw_response.create(
        **ask, extra_headers={"x-trace-id": "sdk-trace-1"}, user="u-1")
    headers = raw.headers
    checks.equal("headers: the given trace id", headers.get("x-trace-id"), "sdk-trace-1")
    checks.equal("headers: the arm", headers.get("x-tidegate-arm"), "stable")
    checks.true("headers: the version set",
                bool(re.fullmatch(r"vs-[0-9a-f]{12}", headers.get("x-tidegate-version-set", ""))))
    checks.equal("headers: the SDK's _request_id", raw.parse()._request_id,
                 headers.get("x-request-id"))
    record = trace(root, "sdk-trace-1") or {}
    checks.equal("trace: finds it, with user and version set",
                 (record.get("user"), record.get("version_set", {}).get("id")),
                 ("u-1", headers.get("x-tidegate-version-set")))

    checks.equal("models.list", [model.id for model in client.models.list()], ["sdk-desk"])
    without = client.post("/chat/completions", body={"messages": ask["messages"]}, cast_to=object)
    checks.equal("model left out, raw post", without["object"], "chat.completion")
    check_error("another model", lambda: client.chat.completions.create(
        model="gpt-4o", messages=ask["messages"]), openai.NotFoundError, 404, "model_not_found")
    check_error("no messages", lambda: client.chat.completions.create(
        model="sdk-desk", messages=[]), openai.BadRequestError, 400)
    check_error("3 MiB of text", lambda: client.chat.completions.create(
        model="sdk-desk", messages=user("x" * (3 << 20))), openai.APIStatusError, 413,
        "request_too_large")
    checks.equal("models.retrieve", client.models.retrieve("sdk-desk").id, "sdk-desk")
    check_error("models.retrieve: another", lambda: client.models.retrieve("gpt-4o"),
                openai.NotFoundError, 404, "model_not_found")
    check_error("embeddings that nobody makes", lambda: client.embeddings.create(
        model="sdk-desk", input="x"), openai.NotFoundError, 404, "endpoint_not_served")
    check_error("a plain completion beside a prompt", lambda: client.completions.create(
        model="sdk-desk", prompt="x"), openai.NotFoundError, 404, "endpoint_not_served")
    checks.equal("after all errors: it answers",
                 client.chat.completions.create(**ask).choices[0].finish_reason, "stop")


async def at_once(url):
    """Twenty requests at a time through the asynchronous client, half of them streams."""
    async with openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:

        async def one(number):
            ask = {"model": "sdk-desk", "messages": user(f"Question {number}: 周末营业吗？")}
            if number % 2:
                answer = await client.chat.completions.create(**ask)
                return answer.choices[0].message.content
            stream = await client.chat.completions.create(**ask, stream=True)
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            return "".join(parts)

        answers = await asyncio.gather(*(one(number) for number in range(20)))
        valid = sum(bool(Answer.model_validate_json(answer).answer) for answer in answers)
        checks.equal("async client: 20 at once, half of them streams", valid, 20)


# -- a fake upstream: what the simulated one never does ------------------------------------------


def raw_upstream(folder):
    fake = Fake()
    root = write_project(
        folder / "raw", {"up": {"kind": "openai", "base_url": fake.url}},
        artifacts={"prompt": {"mode": "pass_through"},
                   "model": {"upstream": "up", "name": "m-1", "embeddings": "e-1"}},
        limits={"first_byte_ms": 2500, "retries": 0})
    with serving(root) as (url, _):
        client = client_of(url)
        passed_on(fake, client)
        plain_forms(fake, client)
        failures(root, fake, client)
        responses(root, fake, client)
        gone(root, fake, client)
        asyncio.run(cancelled(root, fake, url))
        fake.close()
        check_error("upstream down", lambda: say(client, "x"), openai.InternalServerError, 502,
                    "upstream_unreachable")


def passed_on(fake, client):
    answer = say(client, "hello", seed=7, extra_body={"guided_json": {"鍵": [1, None]}, "top_k": 3})
    checks.equal("chat: text byte for byte, control characters too",
                 answer.choices[0].message.content, TEXT)
    body = fake.seen[-1]["body"]
    checks.equal("extra_body: unknown members go through",
                 (body.get("guided_json"), body.get("top_k"), body.get("seed")),
                 ({"鍵": [1, None]}, 3, 7))
    checks.equal("the upstream gets the set's model", body.get("model"), "m-1")
    sent = {name.lower(): value for name, value in fake.seen[-1]["headers"].items()}
    checks.true("the client's key does not go on", "unused" not in json.dumps(sent))
    text, usage, _ = read(say(client, "hello", stream=True, stream_options={"include_usage": True}))
    checks.equal("stream: text letter by letter", text, TEXT)
    checks.equal("stream: usage as reported", (usage.prompt_tokens, usage.completion_tokens), (11, 7))
    _, usage, _ = read(say(client, "hello", stream=True))
    checks.equal("stream: usage that only tidegate asked for is not shown", usage, None)
    call = say(client, "tool").choices[0].message.tool_calls[0].function
    checks.equal("tool call", (call.name, call.arguments), (TOOL["name"], TOOL["arguments"]))
    with client.chat.completions.stream(model="bench", messages=user("tool")) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0].function
    checks.equal("tool call, streamed in pieces", call.arguments, TOOL["arguments"])


def plain_forms(fake, client):
    """OpenAI's older completions, and embeddings."""
    made = client.completions.create(model="bench", prompt="hello", max_tokens=9)
    checks.equal("completions: the text", made.choices[0].text, TEXT)
    checks.equal("completions: the upstream gets the set's model", fake.seen[-1]["body"]["model"],
                 "m-1")
    for encoding in ("float", "base64"):
        made = client.embeddings.create(model="bench", input=["a", "東京"], encoding_format=encoding)
        checks.equal(f"embeddings: {encoding}", fake.seen[-1]["body"]["encoding_format"], encoding)
    vector = client.embeddings.create(model="bench", input="a").data[0].embedding
    checks.equal("embeddings: the vector, as the SDK asks for it by itself", vector, [0.5, -0.25])
    checks.equal("embeddings: the set's model for them", fake.seen[-1]["body"]["model"], "e-1")


def failures(root, fake, client):
    check_error("upstream 429", lambda: say(client, "429"), openai.RateLimitError, 429,
                "upstream_rate_limited")
    check_error("upstream 500", lambda: say(client, "500"), openai.InternalServerError, 502)
    # A refusal keeps the model server's own code.
    check_error("upstream 400", lambda: say(client, "400"), openai.BadRequestError, 400, "x")
    check_error("upstream answers HTML", lambda: say(client, "html"), openai.InternalServerError,
                502, "upstream_malformed")
    check_error("upstream 429 before a stream", lambda: say(client, "429", stream=True),
                openai.RateLimitError, 429)
    check_error("upstream too slow", lambda: say(client, "slow"), openai.InternalServerError, 504,
                "upstream_timeout")
    check_error("the client's own timeout", lambda: say(client, "slow", timeout=0.3),
                openai.APITimeoutError)
    for wish, what in [("cut", "a stream cut short"), ("error-inside", "an error in the stream")]:
        stream = say(client, wish, stream=True)
        got = []
        error = check_error(what, lambda s=stream, g=got: g.extend(s), openai.APIError)
        checks.true(f"{what}: what came before it was passed on", len(got) > 2, repr(got))
        record = trace(root, stream.response.headers["x-trace-id"]) or {}
        checks.true(f"{what}: recorded as a failure", bool(record.get("failure")), repr(error))
    before = len(fake.seen)
    patient = client.with_options(max_retries=1)
    check_error("the SDK's own second try", lambda: say(patient, "500"), openai.InternalServerError)
    checks.equal("the SDK's own second try reaches the upstream", len(fake.seen) - before, 2)


def responses(root, fake, client):
    """The Responses API, without what needs the server to keep them."""
    ask = {"model": "bench", "store": False}
    made = client.responses.create(**ask, input="hello", instructions="Answer briefly.")
    checks.equal("responses: the text", made.output_text, TEXT)
    checks.equal("responses: status and usage",
                 (made.status, made.usage.input_tokens, made.usage.output_tokens),
                 ("completed", 11, 7))
    sent = fake.seen[-1]["body"]["messages"]
    checks.equal("responses: the model server gets a chat completion",
                 [message["content"] for message in sent], ["Answer briefly.", "hello"])
    with client.responses.stream(**ask, input="hello") as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    checks.equal("responses.stream: text letter by letter", final.output_text, TEXT)
    checks.true("responses.stream: its events", {"response.created", "response.completed",
                "response.output_text.delta"} <= kinds, repr(kinds))
    tool = {"type": "function", "name": TOOL["name"], "strict": False,
            "parameters": {"type": "object", "properties": {"order": {"type": "string"}}}}
    call = client.responses.create(**ask, input="tool", tools=[tool]).output[0]
    checks.equal("responses: tool call", (call.type, call.name, call.arguments),
                 ("function_call", TOOL["name"], TOOL["arguments"]))
    client.responses.create(**ask, tools=[tool], input=[
        {"role": "user", "content": "Where is 東京-7?"},
        {"type": "function_call", "call_id": call.call_id, "name": call.name,
         "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "到着しました"}])
    sent = fake.seen[-1]["body"]["messages"]
    checks.equal("responses: tool result",
                 (sent[1]["tool_calls"][0]["id"], sent[2]["role"], sent[2]["content"]),
                 (call.call_id, "tool", "到着しました"))
    check_error("responses: one that the server should know", lambda: client.responses.create(
        **ask, input="hello", previous_response_id="resp_1"), openai.BadRequestError, 400)
    check_error("responses: upstream 429", lambda: client.responses.create(**ask, input="429"),
                openai.RateLimitError, 429)
    raw = client.responses.with_raw_response.create(**ask, input="hello")
    record = trace(root, raw.headers["x-trace-id"]) or {}
    checks.equal("responses: recorded", (record.get("tokens_in"), record.get("input")),
                 (11, "hello"))
    got = []
    stream = client.responses.create(**ask, input="cut", stream=True)
    error = error_of(lambda: got.extend(stream))
    ended = [event for event in got if event.type == "response.completed"]
    checks.true("responses: a stream cut short has no good end",
                not ended and (error is not None or got[-1].type == "error"), repr((error, got[-1:])))


def gone(root, fake, client):
    fake.left.clear()
    stream = say(client, "forever", stream=True)
    got = [chunk for chunk, _ in zip(stream, range(5))]
    stream.close()
    checks.equal("client leaves: it had 5 chunks", len(got), 5)
    checks.true("client leaves: the upstream's connection is closed", fake.left.wait(5))
    record = trace(root, stream.response.headers["x-trace-id"]) or {}
    checks.equal("client leaves: trace says client_gone",
                 (record.get("failure"), record.get("status")), ("client_gone", 499))
    shown = tidegate(root, "trace", stream.response.headers["x-trace-id"]).stdout
    checks.true("client leaves: `tidegate trace` shows it", "client_gone" in shown, shown)


async def cancelled(root, fake, url):
    """A task that is cancelled in mid-stream, as web frameworks do when their client leaves."""
    fake.left.clear()
    async with openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        begun = asyncio.Event()
        ids = []

        async def one():
            stream = await client.chat.completions.create(
                model="bench", messages=user("forever"), stream=True)
            ids.append(stream.response.headers["x-trace-id"])
            async with stream:
                async for _ in stream:
                    begun.set()

        task = asyncio.create_task(one())
        await asyncio.wait_for(begun.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    left = await asyncio.to_thread(fake.left.wait, 5)
    checks.true("async task cancelled: the upstream's connection is closed", left)
    record = trace(root, ids[0]) or {}
    checks.equal("async task cancelled: client_gone", record.get("failure"), "client_gone")


# -- credentials -----------------------------------------------------------------------------------


def credentials(folder):
    root = write_project(
        folder / "keys", {"up": {"kind": "simulated", "first_token_ms": 1, "ms_per_token": 0}},
        credentials=[{"name": "app", "key_env": "SDK_CHECK_KEY", "tenant": "acme"}])
    with serving(root, env={"SDK_CHECK_KEY": KEY}) as (url, _):
        check_error("a wrong key", lambda: say(client_of(url), "x"), openai.AuthenticationError, 401)
        check_error("a wrong key, models", lambda: client_of(url).models.list(),
                    openai.AuthenticationError, 401)
        known = client_of(url, api_key=KEY)
        raw = known.chat.completions.with_raw_response.create(model="bench", messages=user("x"))
        checks.equal("the right key", raw.status_code, 200)
        record = trace(root, raw.headers["x-trace-id"]) or {}
        checks.equal("the right key: its tenant is recorded", record.get("tenant"), "acme")
        kept = (root / "serve.log").read_text() + json.dumps(record)
        checks.true("neither log nor record has the key", KEY not in kept)


def main():
    started = time.monotonic()
    print(f"openai {openai.__version__} (PyPI), Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="tidegate-sdk-") as folder:
        folder = pathlib.Path(folder)
        first_project(folder)
        raw_upstream(folder)
        credentials(folder)
    print(f"{time.monotonic() - started:.1f} s")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
