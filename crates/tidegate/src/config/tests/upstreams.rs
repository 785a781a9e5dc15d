//! Model servers: what is said of bad ones, and what good ones mean.

use super::*;

/// Kinds of upstream, as messages name them.
const KINDS: &str = "`openai`, `azure`, `anthropic`, `gemini`, `bedrock`, `replay` or `simulated`";

#[test]
fn upstreams_keep_their_places() {
    upstream(
        "    kind: opnai\n",
        &format!("4:11: upstreams.main.kind: given `opnai`, allowed {KINDS}"),
        "did you mean `openai`?",
    );
    upstream(
        "    kind: vllm\n",
        &format!("4:11: upstreams.main.kind: given `vllm`, allowed {KINDS}"),
        "any server with an OpenAI-compatible API is `openai`",
    );
    upstream(
        "    base_url: https://x/v1\n",
        &format!("3:3: upstreams.main: missing key `kind`; allowed {KINDS}"),
        "`kind: simulated` needs no network and no key",
    );
    upstream(
        "    base_ulr: https://x/v1\n    kind: openai\n",
        "4:5: unknown key `base_ulr` of an upstream of kind `openai`",
        "did you mean `base_url`?",
    );
    upstream(
        "    kind: openai\n    base_url: https://x/v1\n    seed: 3\n",
        "6:5: unknown key `seed` of an upstream of kind `openai`",
        "keys allowed here: base_url, api_key_env, stream_usage, merge_system, \
         endpoints, health, any_address, http2",
    );
    upstream(
        "    kind: openai\n",
        "3:3: upstreams.main: an upstream of kind `openai` needs the key `base_url`",
        "",
    );
    upstream(
        "    kind: simulated\n    seed: many\n",
        "5:11: upstreams.main.seed: given `many`, allowed a whole number of at least 0",
        "",
    );
    upstream(
        "    kind: simulated\n    faults: [{rat: 1}]\n",
        "5:15: unknown key `rat`",
        "did you mean `rate`?",
    );
    upstream("    []\n", "4:5: upstreams.main: given a list, allowed keys with values", "");
}

#[test]
fn upstream_values_are_checked() {
    let url = |url: &str, message: &str, hint: &str| {
        upstream(&format!("    kind: openai\n    base_url: {url}\n"), message, hint);
    };
    url(
        "api.example.com/v1",
        "5:15: upstreams.main.base_url: given `api.example.com/v1`, allowed an `http` or `https` URL",
        "up to and with `/v1`, for example `https://api.example.com/v1`",
    );
    for secret in ["https://u:secret@x/v1", "u:secret@x", "https://x/v1?api_key=secret"] {
        url(
            secret,
            "5:15: upstreams.main.base_url: a URL with a user, a query or a fragment is not allowed",
            "put a key into the environment and its variable's name into `api_key_env`",
        );
    }
    url(
        "https://x/v1/chat/completions",
        "5:15: upstreams.main.base_url: given `https://x/v1/chat/completions`, allowed the URL before `/chat/completions`",
        "write `https://x/v1`",
    );
    upstream(
        "    kind: simulated\n    error_rate: 5\n",
        "5:17: upstreams.main.error_rate: given `5`, allowed 0 to 1",
        "",
    );
    upstream(
        "    kind: simulated\n    faults:\n      - {language: fr, cut: true}\n",
        "6:20: upstreams.main.faults[0].language: given `fr`, allowed `en`, `zh` or `ja`",
        "",
    );
    upstream(
        "    kind: simulated\n    faults:\n      - {prompt: v3}\n",
        "6:9: upstreams.main.faults[0]: this fault changes nothing",
        "give one of `status`, `slower`, `answer`, `cut: true`",
    );
    check(
        "artifacts:\n  model: {upstream: mian}\n",
        "6:21: artifacts.model.upstream: given `mian`, allowed `main`",
        "",
    );
    whole(
        "service: d\nupstreams:\n  a: {kind: simulated}\n  b: {kind: simulated}\n",
        " artifacts.model: there is more than one upstream and `upstream` is not set",
        "name one: `artifacts: {model: {upstream: a}}`",
    );
}

#[test]
fn values_of_providers_are_checked() {
    upstream(
        "    kind: anthropic\n    base_url: https://api.anthropic.com/\n",
        "5:15: upstreams.main.base_url: given `https://api.anthropic.com/`, allowed a URL that \
         ends with `/v1`",
        "Anthropic's SDKs are given it without; write `https://api.anthropic.com/v1`",
    );
    upstream(
        "    kind: anthropic\n    version: '2023/06'\n",
        "5:14: upstreams.main.version: given `2023/06`, allowed letters, digits and `-`",
        "a version of the API, for example `2023-06-01`",
    );
    upstream(
        "    kind: azure\n    base_url: https://x.openai.azure.com/openai\n",
        "5:15: upstreams.main.base_url: given `https://x.openai.azure.com/openai`, allowed the \
         URL before `/openai`",
        "write `https://x.openai.azure.com`",
    );
    upstream(
        "    kind: azure\n    base_url: https://x\n    api_version: 2024&1\n",
        "6:18: upstreams.main.api_version: given `2024&1`, allowed letters, digits and `-`",
        "a version of the API, for example `2024-10-21`",
    );
    upstream(
        "    kind: anthropic\n    max_tokens: 0\n",
        "5:17: upstreams.main.max_tokens: given `0`, allowed 1 to 1000000",
        "",
    );
    upstream(
        "    kind: gemini\n    system_later: true\n",
        "5:5: unknown key `system_later` of an upstream of kind `gemini`",
        "keys allowed here: base_url, api_key_env, sampling, thinking, endpoints, health, \
         any_address, http2",
    );
}

#[test]
fn every_kind_of_upstream_is_read() {
    let project = read(
        "service: d\nartifacts: {model: {upstream: a}}\nupstreams:\n  a: {base_url: 'http://h:1/v1', kind: openai}\n  b: {kind: replay, path: r.jsonl}\n  c: {kind: simulated, faults: [{status: 503, rate: 0.5}]}\n  d: {kind: anthropic, max_tokens: 512, sampling: true}\n  e: {kind: gemini, thinking: budget, api_key_env: GEMINI_API_KEY}\n  f: {kind: azure, base_url: 'https://x', api_version: 2024-10-21}\n",
        &[],
    )
    .unwrap();
    assert_eq!(
        project.upstreams["a"],
        Upstream::Openai {
            reach: Reach::default(),
            base_url: "http://h:1/v1".to_owned(),
            api_key_env: None,
            stream_usage: true,
            merge_system: true,
        }
    );
    assert_eq!(
        project.upstreams["b"],
        Upstream::Replay { path: "r.jsonl".into(), latency_ms: 0, ms_per_token: 0.0 }
    );
    let fault = SimulatedFault { status: Some(503), rate: Some(0.5), ..SimulatedFault::default() };
    let expected = Simulated { faults: vec![fault], ..Simulated::default() };
    assert_eq!(project.upstreams["c"], Upstream::Simulated(expected));
    let expected = Anthropic { max_tokens: 512, sampling: true, ..Anthropic::default() };
    assert_eq!(project.upstreams["d"], Upstream::Anthropic(expected));
    let api_key_env = Some("GEMINI_API_KEY".to_owned());
    let expected = Gemini { thinking: Thinking::Budget, api_key_env, ..Gemini::default() };
    assert_eq!(project.upstreams["e"], Upstream::Gemini(expected));
    let expected = Azure {
        base_url: "https://x".to_owned(),
        api_key_env: None,
        api_version: Some("2024-10-21".to_owned()),
        deployment: None,
        stream_usage: true,
        reach: Reach::default(),
    };
    assert_eq!(project.upstreams["f"], Upstream::Azure(expected));
    // Written and read back as JSON, as the store does.
    let json = serde_json::to_value(&project).unwrap();
    assert_eq!(serde_json::from_value::<Project>(json).unwrap(), project);
    // A foreign key is refused without the file's help too.
    let foreign = json!({"kind": "replay", "path": "x", "seed": 1});
    assert!(serde_json::from_value::<Upstream>(foreign).is_err());
}
