use super::*;

fn of(body: &str) -> ErrorFacts {
    ErrorFacts::of_body(body.as_bytes())
}

fn check(body: &str, status: Option<u16>, code: Option<&str>, message: Option<&str>) {
    let facts = of(body);
    let got = (facts.status, facts.code.as_deref(), facts.message.as_deref());
    assert_eq!(got, (status, code, message), "{body}");
}

#[test]
fn envelopes_of_many_makers() {
    check(
        r#"{"error":{"message":"no","type":"invalid_request_error","code":"bad_model"}}"#,
        None,
        Some("bad_model"),
        Some("no"),
    );
    // llama.cpp puts the status where others have a code.
    check(
        r#"{"error":{"code":503,"message":"Loading model"}}"#,
        Some(503),
        None,
        Some("Loading model"),
    );
    check(r#"{"error":"model 'x' not found"}"#, None, None, Some("model 'x' not found"));
    check(r#"{"error":"bad_request","message":"no"}"#, None, Some("bad_request"), Some("no"));
    check(
        r#"{"object":"error","message":"too long","type":"BadRequestError","code":400}"#,
        Some(400),
        None,
        Some("too long"),
    );
    check(
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"no"}]}"#,
        None,
        None,
        Some("body.stream_options: no"),
    );
    check(r#"{"detail":"Not Found"}"#, None, None, Some("Not Found"));
    check(
        r#"[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]"#,
        Some(429),
        None,
        Some("quota"),
    );
    check("upstream connect error", None, None, Some("upstream connect error"));
    check("<html>", None, None, None);
    check("", None, None, None);
    check("7", None, None, None);
}

#[test]
fn a_code_is_a_word_and_a_message_has_a_bound() {
    let facts = of(r#"{"error":{"code":"bad key sk-1 <b>\n","message":"x"}}"#);
    assert_eq!(facts.code.as_deref(), Some("badkeysk-1b"));
    let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "长".repeat(3_000));
    assert_eq!(of(&long).message.unwrap().chars().count(), 2_000);
}

#[test]
fn an_account_without_credit_is_told_from_a_busy_server() {
    let check = |body, account| assert_eq!(of(body).is_account_limit(), account, "{body}");
    check(r#"{"error":{"code":"insufficient_quota"}}"#, true);
    check(r#"{"error":{"code":"x","type":"insufficient_quota"}}"#, true);
    check(
        r#"{"error":{"type":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
        true,
    );
    check(r#"{"error":{"code":"rate_limit_exceeded"}}"#, false);
}

#[test]
fn a_request_that_is_too_long_is_known_by_code_or_sentence() {
    let check = |body, long| assert_eq!(of(body).is_too_long(), long, "{body}");
    check(r#"{"error":{"code":"context_length_exceeded"}}"#, true);
    check(r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"x"}}"#, true);
    check(
        r#"{"error":{"message":"This model's maximum context length is 2048 tokens.","code":400}}"#,
        true,
    );
    check(
        r#"{"error":{"code":500,"message":"the request exceeds the available context size"}}"#,
        true,
    );
    check(r#"{"error":{"message":"max_tokens must be positive"}}"#, false);
}

#[test]
fn moderation_is_known() {
    let check = |body, moderated| assert_eq!(of(body).moderated, moderated, "{body}");
    check(r#"{"error":{"code":"content_filter","message":"x"}}"#, true);
    check(r#"{"error":{"code":"content_policy_violation"}}"#, true);
    check(r#"{"error":{"type":"moderation_blocked"}}"#, true);
    check(r#"{"error":{"code":403,"metadata":{"reasons":["x"],"flagged_input":"y"}}}"#, true);
    check(r#"{"error":{"code":403,"message":"no access to this model"}}"#, false);
}
