//! Bad project files and what is said about them; good ones and what they mean.

use super::load::{load_with, parse_project};
use super::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

mod damaged;
mod plan;
mod texts;
mod upstreams;

/// Four lines that are a whole project; what a case adds starts on line 5.
const BASE: &str = "service: desk\nupstreams:\n  main:\n    kind: simulated\n";

fn read(text: &str, env: &[(&str, &str)]) -> Result<Project, super::ConfigError> {
    let env: HashMap<String, String> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse_project(text, Path::new("tidegate.yaml"), env)
}

pub(super) fn good(added: &str) -> Project {
    read(&format!("{BASE}{added}"), &[]).unwrap()
}

/// The whole text is bad: the exact message after the file's name, and the first hint.
fn whole(text: &str, message: &str, hint: &str) {
    let error = read(text, &[]).unwrap_err();
    assert_eq!(error.to_string(), format!("tidegate.yaml:{message}"), "{text}");
    assert_eq!(error.hints().first().map_or("", String::as_str), hint, "{text}");
}

/// What is added to a good project is bad.
fn check(added: &str, message: &str, hint: &str) {
    whole(&format!("{BASE}{added}"), message, hint);
}

fn upstream(keys: &str, message: &str, hint: &str) {
    whole(&format!("service: desk\nupstreams:\n  main:\n{keys}"), message, hint);
}

#[test]
fn unknown_keys_name_the_nearest_or_all() {
    whole(
        "service: desk\nupstrems:\n  main: {kind: simulated}\n",
        "2:1: unknown key `upstrems`",
        "did you mean `upstreams`?",
    );
    check(
        "lines:\n  error_rate: {puase: 1}\n",
        "6:16: unknown key `puase`",
        "did you mean `pause`?",
    );
    check(
        "risk:\n  zzz: 1\n",
        "6:3: unknown key `zzz`",
        "keys allowed here: planted, on_black, words, block, redact, moderation, ban_s",
    );
    check(
        "credentials:\n  - name: a\n    key: sk-secret-1\n",
        "7:5: unknown key `key`",
        "did you mean `key_env`?",
    );
    check(
        "limits: {max-concurrent: 3}\n",
        "5:10: unknown key `max-concurrent`",
        "did you mean `max_concurrent`?",
    );
}

#[test]
fn missing_and_doubled_keys() {
    whole("service: desk\n", "1:1: missing key `upstreams`", "");
    check("credentials:\n  - name: a\n", "6:5: credentials[0]: missing key `key_env`", "");
    check(
        "prices:\n  m: {input_per_million: 1}\n",
        "6:7: prices.m: missing key `output_per_million`",
        "",
    );
    whole("service: a\nservice: b\n", "2:1: key `service` is given twice", "keep one of the two");
    whole(
        "",
        "1:1: the file is empty or ends too early",
        "make a project that works at once: `tidegate init my-service`",
    );
    whole("- a\n- b\n", "1:1: given a list, allowed keys with values", "");
}

#[test]
fn wrong_types_say_what_was_given_and_allowed() {
    let whole_number = "allowed a whole number of at least 0";
    for (given, allowed) in [("lots", whole_number), ("-1", whole_number), ("1.5", whole_number)] {
        check(
            &format!("limits:\n  max_concurrent: {given}\n"),
            &format!("6:19: limits.max_concurrent: given `{given}`, {allowed}"),
            "",
        );
    }
    check(
        "limits:\n  retries: 99999999999\n",
        "6:12: limits.retries: given `99999999999`, allowed a whole number, 0 to 4294967295",
        "",
    );
    check("limits: 5\n", "5:9: limits: given `5`, allowed keys with values", "");
    check("limits: [5]\n", "5:9: limits: given a list, allowed keys with values", "");
    check("aliases: x\n", "5:10: aliases: given `x`, allowed a list", "");
    check(
        "records:\n  content: yes\n",
        "6:12: records.content: given `yes`, allowed `true` or `false`",
        "",
    );
    check("release:\n  alpha: wide\n", "6:10: release.alpha: given `wide`, allowed a number", "");
    check(
        "release:\n  alpha: .nan\n",
        "6:10: release.alpha: given `.nan`, allowed a finite number",
        "",
    );
    check(
        "release:\n  preset: lader\n",
        "6:11: release.preset: given `lader`, allowed `careful`, `ladder` or `simple`",
        "did you mean `ladder`?",
    );
    check(
        "artifacts: {code: {version: {a: b}}}\n",
        "5:29: artifacts.code.version: given keys with values, allowed a text",
        "",
    );
}

#[test]
fn listening_beyond_this_machine_needs_credentials() {
    for key in ["listen", "admin_listen"] {
        let column = key.len() + 3;
        check(
            &format!("{key}: 0.0.0.0:80\n"),
            &format!(
                "5:{column}: {key}: `0.0.0.0:80` can be reached from other machines, and there are no `credentials`"
            ),
            &format!("listen on this machine only: `{key}: 127.0.0.1:80`"),
        );
    }
    assert!(read(&format!("{BASE}listen: '[::]:80'\n"), &[]).is_err());
    good("listen: localhost:8080\n");
    good("listen: '[::1]:8080'\n");
    good("listen: 0.0.0.0:80\ncredentials: [{name: app, key_env: APP_KEY}]\n");
    check(
        "listen: example.com:80\n",
        "5:9: listen: given `example.com:80`, allowed an IP address and a port",
        "for example `127.0.0.1:8787`, or `0.0.0.0:8787` with `credentials`",
    );
    check(
        "admin_listen: 127.0.0.1:8787\n",
        "5:15: admin_listen: `127.0.0.1:8787` is the address of `listen` too",
        "give the admin plane another address; port 0 takes a free port",
    );
    assert_eq!(listen_addr("localhost:1"), "127.0.0.1:1".parse().ok());
}

#[test]
fn credentials_never_show_a_secret() {
    check(
        "credentials:\n  - {name: a, key_env: sk-live-1234}\n",
        "6:24: credentials[0].key_env: is not the name of an environment variable; allowed are `A-Za-z0-9_`",
        "put the secret into the environment and its variable's name here",
    );
    check(
        "credentials:\n  - {name: a, key_env: A}\n  - {name: a, key_env: B}\n",
        "7:12: credentials[1].name: `a` is given twice",
        "",
    );
    check(
        "credentials:\n  - {name: a, key_env: A}\n  - {name: b, key_env: A}\n",
        "7:24: credentials[1].key_env: `A` is another credential's key already",
        "",
    );
}

#[test]
fn a_guard_that_could_see_nothing_is_refused() {
    check(
        "risk:\n  words: [赌博, \"\\u200b \"]\n",
        "6:15: risk.words[1]: has no character that shows; a word is needed",
        "take it out",
    );
    check(
        "risk:\n  block: [planted, words]\n",
        "6:20: risk.block[1]: nothing would be blocked by it: there are no `risk.words`",
        "add the words: `words: [赌博, gambling]`",
    );
    check(
        "risk:\n  block: [moderation]\n",
        "6:11: risk.block[0]: nothing would be blocked by it: there is no `risk.moderation`",
        "add the endpoint: `moderation: {url: \"https://api.openai.com/v1/moderations\"}`",
    );
    check(
        "risk:\n  moderation: {url: \"http://m\", on: []}\n",
        "6:37: risk.moderation.on: is empty, so that the endpoint is never asked",
        "allowed are `requests` and `answers`; leave out `risk.moderation` for none",
    );
    check(
        "risk:\n  block: [arguments]\n",
        "6:11: risk.block[0]: nothing would be blocked by it: there are no `artifacts.tools`",
        "add the tools, with the JSON Schema of their arguments: `tools: tools/tools.yaml`",
    );
    check(
        "risk:\n  moderation: {url: \"https://user:key@m/v1\"}\n",
        "6:21: risk.moderation.url: a URL with a user, a query or a fragment is not allowed",
        "put a key into the environment and its variable's name into `api_key_env`",
    );
    check(
        "risk:\n  moderation: {url: \"user:key@m\"}\n",
        "6:21: risk.moderation.url: allowed is an `http` or `https` URL",
        "the whole address, for example `https://api.openai.com/v1/moderations`",
    );
}

#[test]
fn ranges() {
    check(
        "limits:\n  max_concurrent: 0\n",
        "6:19: limits.max_concurrent: given `0`, allowed 1 to 100000",
        "",
    );
    check(
        "limits:\n  total_ms: 0\n",
        "6:13: limits.total_ms: given `0`, allowed 1 to 86400000",
        "",
    );
    check("evals:\n  threshold: 85\n", "6:14: evals.threshold: given `85`, allowed 0 to 1", "");
    check(
        "evals:\n  concurrency: 0\n",
        "6:16: evals.concurrency: given `0`, allowed 1 to 1024",
        "",
    );
    check(
        "records:\n  retention_days: 0\n",
        "6:19: records.retention_days: given `0`, allowed 1 to 3660",
        "",
    );
    check(
        "records:\n  audit: maybe\n",
        "6:10: records.audit: given `maybe`, allowed `counted` or `strict`",
        "",
    );
    check(
        "records:\n  audit_tenants: [acme]\n",
        "6:19: records.audit_tenants[0]: `acme` is the tenant of no credential",
        "`credentials[].tenant` says the tenant of a key",
    );
    check(
        "credentials: [{name: a, key_env: A, tenant: acme}]\nrecords:\n  audit_tenants: [acmee]\n",
        "7:19: records.audit_tenants[0]: `acmee` is the tenant of no credential",
        "did you mean `acme`?",
    );
    check(
        "prices:\n  gpt-4.1: {input_per_million: -1, output_per_million: 2}\n",
        "6:32: prices.gpt-4.1.input_per_million: given `-1`, allowed 0 to 1000000000 (dollars)",
        "",
    );
    check(
        "risk:\n  planted: [秘密]\n",
        "6:13: risk.planted[0]: has 2 characters, allowed 8 or more",
        "plant a text that no honest answer contains, such as `TG-CANARY-7f3a91`",
    );
    check(
        "aliases: [a b]\n",
        "5:11: aliases[0]: service name `a b` is not valid: 1 to 64 letters and digits \
         of any script, and `._/:-`",
        "",
    );
    check("aliases: [desk]\n", "5:11: aliases[0]: `desk` is given twice", "");
    let error = read(&format!("{BASE}contract:\n  output: {{type: objct}}\n"), &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("tidegate.yaml:6:11: contract.output: is not a JSON Schema:")
    );
}

#[test]
fn yaml_is_bounded() {
    check("---\nservice: b\n", "5:1: a second document (`---`) starts here; one is allowed", "");
    let nested = |depth: usize| {
        let deep = format!("{}1{}", "{a: ".repeat(depth), "}".repeat(depth));
        read(&format!("{BASE}artifacts: {{model: {{parameters: {deep}}}}}\n"), &[])
    };
    assert!(nested(29).is_ok());
    let error = nested(30).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 32 levels"), "{error}");
    for (open, close) in [("{a: ", "}"), ("[", "]")] {
        for depth in [33, 34, 300, 5_000] {
            let deep = format!("x: {}1{}\n", open.repeat(depth), close.repeat(depth));
            let error = read(&format!("{BASE}{deep}"), &[]).unwrap_err().to_string();
            let says = "nested deeper than 32 levels";
            assert!(error.contains(says) && !error.contains("recursion"), "{depth}: {error}");
        }
    }
    let bomb: String = (1..12)
        .map(|i| format!("b{i}: &b{i} [{}]\n", vec![format!("*b{}", i - 1); 10].join(", ")))
        .collect();
    let error = read(&format!("b0: &b0 [x]\n{bomb}"), &[]).unwrap_err().to_string();
    assert!(error.contains("more than 200000 values, what aliases"), "{error}");
    let long = format!("{BASE}# {}\n", "x".repeat(1024 * 1024));
    let error = read(&long, &[]).unwrap_err().to_string();
    assert!(error.contains("at most 1048576 are read"), "{error}");
}

#[test]
fn a_missing_file_says_how_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let error = load(&dir.path().join("tidegate.yaml")).unwrap_err();
    assert!(error.to_string().ends_with("tidegate.yaml: there is no such file"), "{error}");
    assert!(error.hints()[0].contains("tidegate init my-service"));
    std::fs::write(dir.path().join("b.yaml"), b"service: \xff\n").unwrap();
    let error = load(&dir.path().join("b.yaml")).unwrap_err();
    assert!(error.to_string().ends_with("the file is not UTF-8 text"), "{error}");
}

#[test]
fn prompt_configs_are_strict_and_taken_as_they_stand() {
    let file = Path::new("prompts/v1/config.yaml");
    let config: PromptConfig = parse_yaml(
        "version: 2.0\nmodel: gpt-4o\ntemperature: 0.7\nmax_tokens: 1024\nthresholds: {accuracy: 0.90}\ntest_cases:\n  - input: ${HOME} 是什么?\n    expected_keywords: [学习]\n",
        file,
    )
    .unwrap();
    assert_eq!(config.version.as_deref(), Some("2.0"));
    assert_eq!(config.test_cases[0].input, "${HOME} 是什么?");
    let error = parse_yaml::<PromptConfig>("max_token: 5\n", file).unwrap_err();
    assert_eq!(error.to_string(), "prompts/v1/config.yaml:1:1: unknown key `max_token`");
    assert_eq!(error.hints(), ["did you mean `max_tokens`?"]);
}

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/support-desk")
}

fn as_json(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_example_loads_and_is_complete() {
    let loaded = load_with(&example().join("tidegate.yaml"), HashMap::new()).unwrap();
    let contract = &loaded.project.contract;
    assert!(contract.endpoint.is_some() && contract.stop_path.is_some());
    let planted = &loaded.project.risk.planted[0];
    for version in ["v1", "v2", "v3", "v4", "v5"] {
        let dir = loaded.root.join("prompts").join(version);
        let system = std::fs::read_to_string(dir.join("system.md")).unwrap();
        assert!(system.chars().count() > 100 && system.contains("You are"), "{version}");
        assert!(system.contains(planted), "{version}");
        let file = dir.join("config.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let config: PromptConfig = parse_yaml(&text, &file).unwrap();
        assert_eq!(config.max_tokens, Some(if version == "v3" { 160 } else { 512 }));
    }
    assert!(loaded.root.join("prompts/current/system.md").is_file());
}

#[test]
fn the_schema_holds_for_good_files_and_not_for_bad_ones() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/tidegate.yaml");
    for good in [example().join("tidegate.yaml"), template] {
        let errors: Vec<String> =
            validator.iter_errors(&as_json(&good)).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", good.display());
    }
    let main = |upstream: Value| json!({"service": "d", "upstreams": {"main": upstream}});
    let check = |value: Value, expected: bool| {
        assert_eq!(validator.is_valid(&value), expected, "{value}");
    };
    check(main(json!({"kind": "simulated", "seed": 3})), true);
    check(main(json!({"kind": "simulated", "seed": "${SEED:-3}"})), true);
    check(main(json!({"kind": "simulated", "seed": "three"})), false);
    check(main(json!({"kind": "simulated", "sed": 3})), false);
    check(main(json!({"kind": "openai"})), false);
    check(main(json!({"kind": "vllm"})), false);
    check(json!({"service": "d", "upstrems": {}}), false);
    let described = &schema["properties"]["listen"]["description"];
    assert!(described.as_str().is_some_and(|text| text.contains("data plane")), "{described}");
}

#[test]
fn origins_are_what_browsers_send() {
    let check = |origins: &str, message: &str, hint: &str| {
        check(&format!("cors:\n  allow_origins: {origins}\n"), message, hint);
    };
    check(
        "[\"https://a.example/\"]",
        "6:19: cors.allow_origins[0]: `https://a.example/` has a path; browsers send the scheme, \
         the host and the port only: `https://a.example`",
        "",
    );
    check(
        "[\"https://*.a.example\"]",
        "6:19: cors.allow_origins[0]: `https://*.a.example` has a `*` in it; list each origin, or \
         `*` alone for all of them",
        "",
    );
    check(
        "[\"http://a\", \"http://a\"]",
        "6:31: cors.allow_origins[1]: `http://a` is given twice",
        "",
    );
    check(
        "[\"*\", \"http://a\"]",
        "6:18: cors.allow_origins: `*` allows every origin, and others are given too",
        "leave out `*`, or all but `*`",
    );
    check(
        "[\"*\"]",
        "6:18: cors.allow_origins: `*` lets any page that somebody here opens use the service, and \
         there are no credentials",
        "list the origins: `allow_origins: [https://app.example.com]`",
    );
    good("require_keys: true\ncors:\n  allow_origins: [\"*\"]\n");
    good("cors:\n  allow_origins: [https://a.example, \"http://localhost:5173\"]\n");
}
