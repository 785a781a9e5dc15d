"""Google's official SDK, `google-genai`, unmodified, against the real `tidegate serve`.

usage: bench/google_sdk.sh   (it makes the environment that this needs)
Once before a model server that speaks OpenAI's chat completions, once before one that speaks the
Gemini API. Prints one line for each check; exit 1 when one fails.
"""

import asyncio
import json
import pathlib
import sys
import tempfile
import time

import pydantic
from google import genai
from google.genai import errors, types

from serving import (
    TEXT, TOOL, Checks, Fake, error_of, serving, text_of, tidegate, trace, write_project)

checks = Checks()

DECLARED = types.Tool(function_declarations=[types.FunctionDeclaration(
    name="lookup", description="Finds an order.", parameters=types.Schema(
        type="OBJECT", properties={"order": types.Schema(type="STRING")}, required=["order"]))])


class City(pydantic.BaseModel):
    """What the model is to answer with."""

    city: str
    days: int


class Gemini(Fake):
    """A model server that speaks the Gemini API; the last text names its conduct."""

    def answer(self, http_, body):
        parts = body["contents"][-1]["parts"]
        wish = next((part["text"] for part in reversed(parts) if "text" in part), "hello")
        if wish in ("400", "429", "500"):
            error = {"code": int(wish), "message": "SECRET of the upstream", "status": "X"}
            http_.send_response(int(wish))
            return self.body(http_, json.dumps({"error": error}).encode(), "application/json")
        if "generationConfig" in body and "responseJsonSchema" in body["generationConfig"]:
            wish = "json"
        if http_.path.endswith(":countTokens"):
            return self.whole(http_, json.dumps({"totalTokens": 42}).encode())
        if "streamGenerateContent" in http_.path:
            return self.pieces(http_, wish)
        part = self.call() if wish == "tool" else {"text": text_of(wish)}
        return self.whole(http_, json.dumps(self.said([part], "STOP")).encode())

    @staticmethod
    def call():
        args = json.loads(TOOL["arguments"])
        return {"functionCall": {"id": "call_1", "name": TOOL["name"], "args": args},
                "thoughtSignature": "c2ln"}

    @staticmethod
    def said(parts, finish=None):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m-1-0613",
                "responseId": "r-1"}

    def pieces(self, http_, wish):
        http_.send_response(200)
        http_.send_header("content-type", "text/event-stream")
        http_.send_header("connection", "close")
        http_.end_headers()
        http_.close_connection = True
        parts = [self.call()] if wish == "tool" else [{"text": letter} for letter in text_of(wish)]
        for part in parts:
            http_.wfile.write(b"data: " + json.dumps(self.said([part])).encode() + b"\n\n")
            if wish == "cut" and part.get("text") == "s":
                return
        last = json.dumps(self.said([{"text": ""}], "STOP"))
        http_.wfile.write(b"data: " + last.encode() + b"\n\n")


def client_of(url, key="unused-key-0123456789"):
    """An SDK client of our server."""
    base = url.removesuffix("/v1")
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base))


def say(client, text, **config):
    """One answer."""
    return client.models.generate_content(
        model="bench", contents=text, config=types.GenerateContentConfig(**config))


def check_error(what, call, status, word, reason=""):
    """The call raises the SDK's error with this code and word, and nothing of the upstream's."""
    error = error_of(call)
    found = (isinstance(error, errors.APIError), getattr(error, "code", None),
             getattr(error, "status", None))
    checks.equal(f"{what}: {status} {word}", found, (True, status, word))
    if reason:
        checks.true(f"{what}: the details say why", reason in json.dumps(error.details),
                    repr(error.details))
    if "SECRET" in str(error):
        checks.true(f"{what}: without the upstream's own text", False)


def answers(root, client, kind):
    answer = say(client, "hello", system_instruction="Answer briefly.", max_output_tokens=64,
                 stop_sequences=["##"])
    checks.equal("answer: the text, control characters too", answer.text, TEXT)
    checks.equal("answer: why it ended", answer.candidates[0].finish_reason.name, "STOP")
    usage = answer.usage_metadata
    checks.equal("answer: usage",
                 (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count),
                 (11, 7, 18))
    checks.equal("answer: the model that answered", answer.model_version, "m-1-0613")
    ids = types.HttpOptions(headers={"x-trace-id": f"google-{kind}"})
    say(client, "hello", http_options=ids)
    record = trace(root, f"google-{kind}") or {}
    checks.equal("trace: tokens and text", (record.get("tokens_in"), record.get("input")),
                 (11, "hello"))
    chat = client.chats.create(model="bench")
    chat.send_message("hello")
    checks.equal("chat: the second turn", chat.send_message("hello again").text, TEXT)


def streams(client):
    parts = list(client.models.generate_content_stream(model="bench", contents="hello"))
    checks.equal("stream: text letter by letter", "".join(part.text for part in parts), TEXT)
    checks.true("stream: in pieces", len(parts) > 20, str(len(parts)))
    last = parts[-1]
    checks.equal("stream: usage and reason at its end",
                 (last.usage_metadata.total_token_count, last.candidates[0].finish_reason.name),
                 (18, "STOP"))
    got = []
    error = error_of(lambda: got.extend(
        client.models.generate_content_stream(model="bench", contents="cut")))
    checks.true("a stream cut short: the SDK raises",
                isinstance(error, errors.APIError) and "upstream_cut_short" in str(error),
                repr((error, len(got))))


def tools(client, fake, kind):
    answer = say(client, "tool", tools=[DECLARED])
    call = answer.function_calls[0]
    checks.equal("tool call", (call.name, call.args),
                 (TOOL["name"], json.loads(TOOL["arguments"])))
    streamed = client.models.generate_content_stream(
        model="bench", contents="tool", config=types.GenerateContentConfig(tools=[DECLARED]))
    calls = [call for part in streamed for call in part.function_calls or []]
    checks.equal("tool call, streamed", [(it.name, it.args) for it in calls],
                 [(call.name, call.args)])
    result = types.Part.from_function_response(name=call.name, response={"result": "到着しました"})
    contents = [types.Content(role="user", parts=[types.Part(text="Where is 東京-7?")]),
                answer.candidates[0].content, types.Content(role="user", parts=[result])]
    client.models.generate_content(
        model="bench", contents=contents, config=types.GenerateContentConfig(tools=[DECLARED]))
    sent = fake.seen[-1]["body"]
    if kind == "openai":
        message = sent["messages"][-1]
        checks.equal("tool result: as the model server expects it",
                     (message["role"], message["tool_call_id"], json.loads(message["content"])),
                     ("tool", call.id, {"result": "到着しました"}))
    else:
        part = sent["contents"][-1]["parts"][0]["functionResponse"]
        checks.equal("tool result: as the model server expects it",
                     (part["name"], part["response"]), (call.name, {"result": "到着しました"}))


def schema(client, fake, kind):
    answer = say(client, "json", response_mime_type="application/json", response_schema=City)
    checks.equal("JSON schema: parsed by the SDK", answer.parsed, City(city="大阪", days=3))
    sent = fake.seen[-1]["body"]
    if kind == "openai":
        sent = sent["response_format"]["json_schema"]["schema"]
        checks.equal("JSON schema: types in small letters",
                     (sent["type"], sent["properties"]["days"]["type"]), ("object", "integer"))


def failures(client):
    check_error("upstream 429", lambda: say(client, "429"), 429, "RESOURCE_EXHAUSTED")
    check_error("upstream 500", lambda: say(client, "500"), 502, "UNAVAILABLE")
    check_error("upstream 400", lambda: say(client, "400"), 400, "INVALID_ARGUMENT")
    check_error("another model", lambda: client.models.generate_content(
        model="gemini-9", contents="x"), 404, "NOT_FOUND", "model_not_found")
    check_error("embeddings", lambda: client.models.embed_content(model="bench", contents="x"),
                404, "NOT_FOUND", "unknown_endpoint")
    checks.equal("after all errors: it answers", say(client, "hello").text, TEXT)


def refused(client):
    check_error("a filter that is not there", lambda: say(client, "x", safety_settings=[
        types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_ONLY_HIGH")]),
        400, "INVALID_ARGUMENT", "safetySettings[0].threshold")
    check_error("a tool of Google's", lambda: say(client, "x", tools=[
        types.Tool(google_search=types.GoogleSearch())]), 400, "INVALID_ARGUMENT", "googleSearch")


def models(client):
    listed = [model.name for model in client.models.list()]
    checks.equal("models", listed, ["models/bench"])
    checks.equal("one model", client.models.get(model="bench").name, "models/bench")
    counted = client.models.count_tokens(model="bench", contents="Where is my order?")
    checks.true("count_tokens", 2 < counted.total_tokens < 50, repr(counted))


async def asynchronous(client):
    answer = await client.aio.models.generate_content(model="bench", contents="hello")
    checks.equal("async: the text", answer.text, TEXT)
    got = [part.text async for part in await client.aio.models.generate_content_stream(
        model="bench", contents="hello")]
    checks.equal("async: streamed", "".join(got), TEXT)


def keys(folder, fake):
    root = write_project(folder / "keys", {"up": {"kind": "openai", "base_url": fake.url}})
    with serving(root) as (url, _):
        key = tidegate(root, "key", "create", "sdk", "--requests-per-min", "1").stdout.strip()
        check_error("a wrong key", lambda: say(client_of(url), "hello"), 401, "UNAUTHENTICATED")
        known = client_of(url, key)
        checks.equal("a key of `tidegate key`", say(known, "hello").text, TEXT)
        check_error("over its bound", lambda: say(known, "hello"), 429, "RESOURCE_EXHAUSTED",
                    "RetryInfo")


def before(folder, kind, fake, upstream):
    """All checks before one kind of model server."""
    print(f"-- before a model server of kind {kind}")
    root = write_project(folder / kind, {"up": {"kind": kind, **upstream}},
                         limits={"first_byte_ms": 5000, "retries": 0})
    with serving(root) as (url, _):
        client = client_of(url)
        answers(root, client, kind)
        streams(client)
        tools(client, fake, kind)
        schema(client, fake, kind)
        failures(client)
        if kind == "openai":
            refused(client)
        models(client)
        asyncio.run(asynchronous(client))
        checks.true("the client's key does not go on",
                    "unused-key" not in json.dumps([one["headers"] for one in fake.seen]))


def main():
    started = time.monotonic()
    print(f"google-genai {genai.__version__} (PyPI), Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="tidegate-sdk-") as folder:
        folder = pathlib.Path(folder)
        chat, gemini = Fake(), Gemini()
        before(folder, "openai", chat, {"base_url": chat.url})
        base = gemini.url.removesuffix("/v1") + "/v1beta"
        before(folder, "gemini", gemini, {"base_url": base, "sampling": True})
        keys(folder, chat)
        chat.close()
        gemini.close()
    print(f"{time.monotonic() - started:.1f} s")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
