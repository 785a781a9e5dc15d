// The official OpenAI SDK for Node, unmodified, against the real `tidegate serve`.
//
// usage: bench/openai_node.sh   (it starts what this asks)
// Prints one line for each check; exit 1 when one fails.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify, isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

const given = JSON.parse(process.argv[2]);
const run = promisify(execFile);
const TEXT = 'Ships within 3 days – 三天内发货，送料は無料です。\u0001\u007f';
const ARGUMENTS = '{"order": "東京-7"}';
const user = (text) => [{ role: 'user', content: text }];
const clientOf = (more = {}) =>
  new OpenAI({ baseURL: given.url, apiKey: 'unused', maxRetries: 0, ...more });
const client = clientOf();
const say = (text, more = {}, options = {}) =>
  client.chat.completions.create({ model: 'bench', messages: user(text), ...more }, options);

let passed = 0;
let failed = 0;

function isTrue(what, holds, otherwise = 'it does not') {
  if (holds) passed += 1;
  else failed += 1;
  console.log(holds ? `ok    ${what}` : `FAIL  ${what}: ${otherwise}`);
}

function equal(what, found, expected) {
  const otherwise = `expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`;
  isTrue(what, isDeepStrictEqual(found, expected), otherwise);
}

async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

// The call throws exactly this class, with this status and code, and says no secret.
async function fails(what, call, kind, status, code) {
  const error = await errorOf(call);
  equal(`${what}: ${kind.name} ${status ?? ''} ${code ?? ''}`.trimEnd(),
    [error?.constructor?.name, error?.status, error?.code ?? undefined],
    [kind.name, status, code]);
  const text = String(error) + JSON.stringify(error?.error ?? '');
  if (text.includes('SECRET')) isTrue(`${what}: without the upstream's own text`, false);
  return error;
}

async function trace(id) {
  for (let tries = 0; tries < 100; tries += 1) {
    const found = await run(given.tidegate, ['trace', id, '--json'], { cwd: given.root })
      .catch(() => undefined);
    if (found) return JSON.parse(found.stdout).record;
    await sleep(50);
  }
  return {};
}

const seen = async () => (await fetch(given.fake)).json();

async function texts(stream) {
  const found = [];
  let usage;
  let finish;
  for await (const chunk of stream) {
    for (const choice of chunk.choices) {
      found[choice.index] = (found[choice.index] ?? '') + (choice.delta.content ?? '');
      finish = choice.finish_reason ?? finish;
    }
    usage = chunk.usage ?? usage;
  }
  return { texts: found, usage, finish };
}

async function chat() {
  const { data, response, request_id: id } = await say('hello', { seed: 7, top_k: 3, user: 'u-1' },
    { headers: { 'x-trace-id': 'node-1' } }).withResponse();
  equal('chat: text byte for byte, control characters too', data.choices[0].message.content, TEXT);
  equal('chat: the SDK\'s _request_id', [data._request_id, id],
    Array(2).fill(response.headers.get('x-request-id')));
  equal('headers: the given trace id', response.headers.get('x-trace-id'), 'node-1');
  const body = (await seen()).last.body;
  equal('unknown members go through', [body.top_k, body.seed, body.model], [3, 7, 'm-1']);
  const record = await trace('node-1');
  equal('trace: user, text, tokens', [record.user, record.input, record.tokens_in],
    ['u-1', 'hello', 11]);
  const many = await say('hello', { n: 3 });
  equal('n: 3, whole', many.choices.map((choice) => choice.message.content), [TEXT, TEXT, TEXT]);
}

async function streams() {
  let read = await texts(await say('hello', { stream: true }));
  equal('stream: text letter by letter', read, { texts: [TEXT], usage: undefined, finish: 'stop' });
  read = await texts(await say('hello', { stream: true, stream_options: { include_usage: true } }));
  equal('stream: usage as reported', read.usage,
    { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 });
  read = await texts(await say('hello', { stream: true, n: 3 }));
  equal('n: 3, streamed', read.texts, [TEXT, TEXT, TEXT]);
  const helper = client.chat.completions.stream({ model: 'bench', messages: user('hello'), n: 2 });
  const final = await helper.finalChatCompletion();
  equal('chat.stream helper, n: 2', final.choices.map((choice) => choice.message.content),
    [TEXT, TEXT]);
  const answers = await Promise.all(Array.from({ length: 20 }, async (_, number) => (number % 2
    ? (await say('hello')).choices[0].message.content
    : (await texts(await say('hello', { stream: true }))).texts[0])));
  equal('20 at once, half of them streams', answers, Array(20).fill(TEXT));
}

const TOOL = { type: 'function', function: { name: 'lookup',
  parameters: { type: 'object', properties: { order: { type: 'string' } } } } };

async function tools() {
  const call = (await say('tool', { tools: [TOOL] })).choices[0];
  equal('tool call', [call.finish_reason, call.message.tool_calls[0].function],
    ['tool_calls', { name: 'lookup', arguments: ARGUMENTS }]);
  const helper = client.chat.completions.stream({ model: 'bench', messages: user('tool'),
    tools: [TOOL] });
  const final = await helper.finalChatCompletion();
  equal('tool call, streamed in pieces', final.choices[0].message.tool_calls[0].function.arguments,
    ARGUMENTS);
  const asked = [];
  const runner = client.chat.completions.runTools({ model: 'bench', messages: user('tool'), tools: [{
    type: 'function', function: { ...TOOL.function, parse: JSON.parse,
      function: ({ order }) => { asked.push(order); return '到着しました'; } } }] });
  equal('runTools: the answer after the tool', await runner.finalContent(), TEXT);
  const { messages } = (await seen()).last.body;
  equal('runTools: the tool and its result', [asked, messages.at(-1).content, messages.at(-1).role],
    [['東京-7'], '到着しました', 'tool']);
}

async function structured() {
  const schema = { type: 'object', required: ['city', 'days'], additionalProperties: false,
    properties: { city: { type: 'string' }, days: { type: 'integer' } } };
  const answer = await client.chat.completions.parse({ model: 'bench', messages: user('json'),
    response_format: { type: 'json_schema', json_schema: { name: 'trip', strict: true, schema } } });
  equal('chat.parse with a JSON schema', answer.choices[0].message.parsed, { city: '大阪', days: 3 });
  equal('the schema reaches the upstream',
    (await seen()).last.body.response_format.json_schema.schema, schema);
}

async function otherForms() {
  const made = await client.completions.create({ model: 'bench', prompt: 'hello', max_tokens: 9 });
  equal('completions: the text', made.choices[0].text, TEXT);
  for (const encoding of [undefined, 'float', 'base64']) {
    const { data } = await client.embeddings.create({ model: 'bench', input: ['a', '東京'],
      encoding_format: encoding });
    const vector = encoding === 'base64'
      ? Array.from(new Float32Array(Uint8Array.from(Buffer.from(data[0].embedding, 'base64')).buffer))
      : data[0].embedding;
    equal(`embeddings: ${encoding ?? 'as the SDK asks by itself'}`, vector, [0.5, -0.25]);
  }
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  equal('models.list', names, ['bench']);
  equal('models.retrieve', (await client.models.retrieve('bench')).id, 'bench');
  await fails('models.retrieve: another', () => client.models.retrieve('gpt-4o'),
    OpenAI.NotFoundError, 404, 'model_not_found');
}

async function responses() {
  const ask = { model: 'bench', store: false };
  const made = await client.responses.create({ ...ask, input: 'hello', instructions: 'Be brief.' });
  equal('responses: text, status, usage',
    [made.output_text, made.status, made.usage.input_tokens, made.usage.output_tokens],
    [TEXT, 'completed', 11, 7]);
  const stream = client.responses.stream({ ...ask, input: 'hello' });
  const kinds = new Set();
  for await (const event of stream) kinds.add(event.type);
  equal('responses.stream: the text', (await stream.finalResponse()).output_text, TEXT);
  isTrue('responses.stream: its events', ['response.created', 'response.output_text.delta',
    'response.completed'].every((kind) => kinds.has(kind)), [...kinds].join());
  const tool = { type: 'function', name: 'lookup', strict: false,
    parameters: TOOL.function.parameters };
  const call = (await client.responses.create({ ...ask, input: 'tool', tools: [tool] })).output[0];
  equal('responses: tool call', [call.type, call.name, call.arguments],
    ['function_call', 'lookup', ARGUMENTS]);
  const format = { type: 'json_schema', name: 'trip', schema: { type: 'object' } };
  const parsed = await client.responses.parse({ ...ask, input: 'json', text: { format } });
  equal('responses.parse with a JSON schema', parsed.output_parsed, { city: '大阪', days: 3 });
  await fails('responses: one that the server should know', () => client.responses.create({ ...ask,
    input: 'hello', previous_response_id: 'resp_1' }), OpenAI.BadRequestError, 400,
  'unsupported_parameter');
  const got = [];
  const error = await errorOf(async () => {
    const cut = await client.responses.create({ ...ask, input: 'cut', stream: true });
    for await (const event of cut) got.push(event.type);
  });
  isTrue('responses: a stream cut short has no good end', !got.includes('response.completed')
    && (error !== undefined || ['error', 'response.failed'].includes(got.at(-1))), got.join());
}

async function errors() {
  const { BadRequestError, InternalServerError, NotFoundError, RateLimitError } = OpenAI;
  await fails('another model', () => client.chat.completions.create({ model: 'gpt-4o',
    messages: user('x') }), NotFoundError, 404, 'model_not_found');
  await fails('no messages', () => client.chat.completions.create({ model: 'bench', messages: [] }),
    BadRequestError, 400, 'invalid_value');
  await fails('a path that is not there', () => client.files.list(), NotFoundError, 404,
    'unknown_endpoint');
  await fails('upstream 429', () => say('429'), RateLimitError, 429, 'upstream_rate_limited');
  await fails('upstream 500', () => say('500'), InternalServerError, 502, 'upstream_error');
  await fails('upstream 400', () => say('400'), BadRequestError, 400, 'x');
  await fails('upstream answers HTML', () => say('html'), InternalServerError, 502,
    'upstream_malformed');
  await fails('upstream too slow', () => say('slow'), InternalServerError, 504, 'upstream_timeout');
  await fails('the client\'s own timeout', () => say('slow', {}, { timeout: 300 }),
    OpenAI.APIConnectionTimeoutError, undefined, undefined);
  for (const wish of ['cut', 'error-inside']) {
    const { data: stream, response } = await say(wish, { stream: true }).withResponse();
    let chunks = 0;
    const error = await errorOf(async () => { for await (const _ of stream) chunks += 1; });
    isTrue(`${wish}: an APIError after what came`, error instanceof OpenAI.APIError && chunks > 2,
      `${error}, ${chunks} chunks`);
    isTrue(`${wish}: recorded as a failure`,
      Boolean((await trace(response.headers.get('x-trace-id'))).failure));
  }
}

async function retries() {
  const before = (await seen()).requests;
  const patient = clientOf({ maxRetries: 1 });
  const ask = (text) => patient.chat.completions.create({ model: 'bench', messages: user(text) });
  await fails('the SDK\'s own second try', () => ask('500'), OpenAI.InternalServerError, 502,
    'upstream_error');
  equal('the SDK\'s own second try reaches the upstream', (await seen()).requests - before, 2);
  const begun = performance.now();
  const answer = await ask('429-once');
  isTrue('Retry-After of the upstream: the SDK waits for it, and is answered',
    answer.choices[0].message.content === TEXT && performance.now() - begun > 950,
    `${performance.now() - begun} ms`);
  const refused = (await seen()).requests;
  await fails('what no retry can help is not tried again', () => ask('400'), OpenAI.BadRequestError,
    400, 'x');
  equal('it reached the upstream once', (await seen()).requests - refused, 1);
}

async function aborted() {
  const { data: stream, response } = await say('forever', { stream: true }).withResponse();
  let chunks = 0;
  for await (const _ of stream) {
    chunks += 1;
    if (chunks === 5) stream.controller.abort();
  }
  equal('aborted stream: it had 5 chunks', chunks, 5);
  let left = false;
  for (let tries = 0; tries < 100 && !left; tries += 1) {
    left = (await seen()).left;
    if (!left) await sleep(50);
  }
  isTrue('aborted stream: the upstream\'s connection is closed', left);
  const record = await trace(response.headers.get('x-trace-id'));
  equal('aborted stream: client_gone', [record.failure, record.status], ['client_gone', 499]);
  const control = new AbortController();
  setTimeout(() => control.abort(), 200);
  await fails('aborted before the answer', () => say('slow', {}, { signal: control.signal,
    headers: { 'x-trace-id': 'node-aborted' } }), OpenAI.APIUserAbortError, undefined, undefined);
  equal('aborted before the answer: client_gone', (await trace('node-aborted')).failure,
    'client_gone');
}

async function keys() {
  const closed = (apiKey) => new OpenAI({ baseURL: given.closed, apiKey, maxRetries: 0 });
  await fails('a wrong key', () => closed('wrong').models.list(), OpenAI.AuthenticationError, 401,
    'invalid_api_key');
  const answer = await closed(given.key).chat.completions.create({ model: 'bench',
    messages: user('x') });
  isTrue('the right key', answer.choices[0].finish_reason === 'stop');
}

const started = performance.now();
const sdk = new URL('node_modules/openai/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(sdk));
console.log(`openai ${version} (npm), node ${process.versions.node}`);
for (const part of [chat, streams, tools, structured, otherForms, responses, errors, retries,
  aborted, keys]) {
  const error = await errorOf(part);
  if (error) isTrue(part.name, false, error.stack);
}
console.log(`${((performance.now() - started) / 1000).toFixed(1)} s`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
