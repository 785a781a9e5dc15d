"""The official Anthropic SDK, unmodified, against the real `tidegate serve`.

usage: bench/anthropic_sdk.sh   (it makes the environment that this needs)
The model server speaks OpenAI's chat completions. Prints one line for each check; exit 1 when one
fails.
"""

import json
import pathlib
import sys
import tempfile
import time

import anthropic

from serving import (
    TEXT, TOOL, Checks, Fake, error_of, serving, tidegate, trace, write_project)

checks = Checks()

TOOLS = [{
    "name": "lookup", "description": "Finds an order.",
    "input_schema": {"type": "object", "properties": {"order": {"type": "string"}}},
}]


def client_of(url, **more):
    """An SDK client that tries once: the checks are about single answers."""
    base = url.removesuffix("/v1")
    return anthropic.Anthropic(base_url=base, **{"api_key": "unused", "max_retries": 0, **more})


def say(client, text, **more):
    """One message."""
    return client.messages.create(
        model="bench", max_tokens=64, messages=[{"role": "user", "content": text}], **more)


def check_error(what, call, kind, status, word):
    """The call raises this type with this status, and its body has the API's form."""
    error = error_of(call)
    found = (type(error).__name__, getattr(error, "status_code", None))
    checks.equal(f"{what}: {kind.__name__} {status}", found, (kind.__name__, status))
    body = getattr(error, "body", None) or {}
    checks.true(f"{what}: the error has the API's form",
                body.get("type") == "error" and word in json.dumps(body.get("error")), repr(body))
    if "SECRET" in str(error) + json.dumps(body):
        checks.true(f"{what}: without the upstream's own text", False)
    return error


def answers(root, fake, client):
    message = say(client, "hello", system="Answer briefly.", stop_sequences=["##"])
    checks.equal("message: the text, control characters too", message.content[0].text, TEXT)
    checks.equal("message: role, kind, why it ended",
                 (message.role, message.type, message.stop_reason), ("assistant", "message", "end_turn"))
    checks.equal("message: usage", (message.usage.input_tokens, message.usage.output_tokens), (11, 7))
    body = fake.seen[-1]["body"]
    checks.equal("the model server gets a chat completion",
                 (body["model"], body["messages"][0], body["messages"][-1], body["stop"],
                  body["max_tokens"]),
                 ("m-1", {"role": "system", "content": "Answer briefly."},
                  {"role": "user", "content": "hello"}, ["##"], 64))
    checks.true("the client's key does not go on",
                "unused" not in json.dumps(fake.seen[-1]["headers"]))
    raw = client.messages.with_raw_response.create(
        model="bench", max_tokens=64, messages=[{"role": "user", "content": "hello"}],
        extra_body={"top_k": 3}, extra_headers={"x-trace-id": "anthropic-1"})
    checks.equal("headers: the SDK's _request_id", raw.parse()._request_id, "anthropic-1")
    checks.true("headers: what was left out is said", "top_k" in raw.headers["x-tidegate-warning"],
                repr(raw.headers))
    record = trace(root, "anthropic-1") or {}
    checks.equal("trace: tokens and text", (record.get("tokens_in"), record.get("input")),
                 (11, "hello"))


def streams(client):
    with client.messages.stream(
            model="bench", max_tokens=64, messages=[{"role": "user", "content": "hello"}]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    checks.equal("stream: text letter by letter", final.content[0].text, TEXT)
    checks.equal("stream: usage at its end", (final.usage.output_tokens, final.stop_reason),
                 (7, "end_turn"))
    named = [kind for kind in kinds if kind in ("message_start", "content_block_start",
                                                "content_block_stop", "message_stop")]
    checks.equal("stream: each event in its place", named, [
        "message_start", "content_block_start", "content_block_stop", "message_stop"])
    for wish, what in [("cut", "a stream cut short"), ("error-inside", "an error in the stream")]:
        got = []
        stream = say(client, wish, stream=True)
        error = error_of(lambda s=stream, g=got: g.extend(s))
        checks.true(f"{what}: the SDK raises, what came before was passed on",
                    isinstance(error, anthropic.APIError) and len(got) > 2, repr((error, len(got))))


def tools(fake, client):
    message = say(client, "tool", tools=TOOLS)
    call = message.content[0]
    checks.equal("tool call", (call.type, call.name, call.input, message.stop_reason),
                 ("tool_use", TOOL["name"], json.loads(TOOL["arguments"]), "tool_use"))
    with client.messages.stream(model="bench", max_tokens=64, tools=TOOLS,
                                messages=[{"role": "user", "content": "tool"}]) as stream:
        streamed = stream.get_final_message().content[0]
    checks.equal("tool call, streamed in pieces", (streamed.name, streamed.input),
                 (call.name, call.input))
    client.messages.create(model="bench", max_tokens=64, tools=TOOLS, messages=[
        {"role": "user", "content": "Where is 東京-7?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name,
                                           "input": call.input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                      "content": "到着しました"}]}])
    sent = fake.seen[-1]["body"]["messages"]
    checks.equal("tool result: as the model server expects it",
                 (sent[1]["tool_calls"][0]["id"], sent[2]["role"], sent[2]["tool_call_id"],
                  sent[2]["content"]), (call.id, "tool", call.id, "到着しました"))


def failures(client):
    check_error("upstream 429", lambda: say(client, "429"), anthropic.RateLimitError, 429, "limit")
    check_error("upstream 500", lambda: say(client, "500"), anthropic.InternalServerError, 502, "")
    check_error("upstream 400", lambda: say(client, "400"), anthropic.BadRequestError, 400, "x")
    counted = client.messages.count_tokens(
        model="bench", messages=[{"role": "user", "content": "Where is my order?"}])
    checks.true("count_tokens: an estimate", 2 < counted.input_tokens < 20, repr(counted))
    check_error("no messages", lambda: client.messages.create(
        model="bench", max_tokens=64, messages=[]), anthropic.BadRequestError, 400, "messages")
    check_error("another model", lambda: client.messages.create(
        model="gpt-4o", max_tokens=64, messages=[{"role": "user", "content": "x"}]),
        anthropic.NotFoundError, 404, "gpt-4o")
    check_error("an endpoint that is not there", lambda: client.messages.batches.list(),
                anthropic.NotFoundError, 404, "endpoint")
    checks.equal("after all errors: it answers", say(client, "hello").stop_reason, "end_turn")


def keys(folder, fake):
    root = write_project(folder / "keys", {"up": {"kind": "openai", "base_url": fake.url}})
    with serving(root) as (url, _):
        key = tidegate(root, "key", "create", "agent", "--requests-per-min", "2").stdout.strip()
        check_error("a wrong key", lambda: say(client_of(url), "hello"),
                    anthropic.AuthenticationError, 401, "authentication_error")
        known = client_of(url, api_key=key)
        checks.equal("a key of `tidegate key`", say(known, "hello").stop_reason, "end_turn")
        bearer = client_of(url, api_key=None, auth_token=key)
        checks.equal("the same as a bearer token", say(bearer, "hello").stop_reason, "end_turn")
        check_error("over its bound", lambda: say(known, "hello"), anthropic.RateLimitError, 429,
                    "requests a minute")


def main():
    started = time.monotonic()
    print(f"anthropic {anthropic.__version__} (PyPI), Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="tidegate-sdk-") as folder:
        folder = pathlib.Path(folder)
        fake = Fake()
        root = write_project(folder / "raw", {"up": {"kind": "openai", "base_url": fake.url}},
                             limits={"first_byte_ms": 5000, "retries": 0})
        with serving(root) as (url, _):
            client = client_of(url)
            answers(root, fake, client)
            streams(client)
            tools(fake, client)
            failures(client)
        keys(folder, fake)
        fake.close()
    print(f"{time.monotonic() - started:.1f} s")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
