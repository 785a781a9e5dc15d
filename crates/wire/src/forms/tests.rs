use super::*;

fn check_chat_error(body: &str, code: &str, param: &str) {
    let error = parse_short_chat(body.as_bytes()).expect_err(body);
    assert_eq!((error.code(), error.param()), (code, Some(param)), "{error}");
}

fn nothing() -> FeedbackRequest {
    let trace_id = "canary-test-001".to_owned();
    FeedbackRequest { trace_id, like: None, adopted: None, task_done: None, satisfaction: None }
}

fn check_feedback(members: &str, expected: FeedbackRequest) {
    let body = format!("{{\"trace_id\":\"canary-test-001\",{members}}}");
    assert_eq!(parse_feedback(body.as_bytes()), Ok(expected), "{members}");
}

fn check_feedback_error(members: &str, code: &str, param: &str) {
    let body = format!("{{\"trace_id\":\"t\"{members}}}");
    let error = parse_feedback(body.as_bytes()).expect_err(members);
    assert_eq!((error.code(), error.param()), (code, Some(param)), "{error}");
}

#[test]
fn the_seeds_chat() {
    let chat = parse_short_chat(
        "{\"user_id\":\"u1\",\"prompt\":\"测试回滚\",\"budget_ms\":1000}".as_bytes(),
    );
    let expected = ShortChat {
        user_id: "u1".to_owned(),
        prompt: "测试回滚".to_owned(),
        budget_ms: Some(1000),
    };
    assert_eq!(chat, Ok(expected));
    let bare = parse_short_chat(br#"{"user_id":"u1","prompt":"p"}"#).unwrap();
    assert_eq!(bare.budget_ms, None);
}

#[test]
fn a_chat_that_is_not_one() {
    check_chat_error(r#"{"prompt":"p"}"#, "missing_required_parameter", "user_id");
    check_chat_error(r#"{"user_id":"u"}"#, "missing_required_parameter", "prompt");
    check_chat_error(r#"{"user_id":7,"prompt":"p"}"#, "invalid_type", "user_id");
    check_chat_error(r#"{"user_id":"u","prompt":""}"#, "invalid_value", "prompt");
    check_chat_error(r#"{"user_id":"u","prompt":null}"#, "invalid_type", "prompt");
    let budget = |value: &str| format!(r#"{{"user_id":"u","prompt":"p","budget_ms":{value}}}"#);
    assert_eq!(parse_short_chat(budget("600000.0").as_bytes()).unwrap().budget_ms, Some(600_000));
    check_chat_error(&budget("0"), "invalid_value", "budget_ms");
    check_chat_error(&budget("0.0"), "invalid_value", "budget_ms");
    check_chat_error(&budget("600000.5"), "invalid_value", "budget_ms");
    check_chat_error(&budget("1e300"), "invalid_value", "budget_ms");
    check_chat_error(&budget("-5"), "invalid_value", "budget_ms");
    check_chat_error(&budget("1000.5"), "invalid_value", "budget_ms");
    check_chat_error(&budget("600001"), "invalid_value", "budget_ms");
    check_chat_error(&budget("\"1000\""), "invalid_type", "budget_ms");
    check_chat_error(
        r#"{"user_id":"u","prompt":"p","api_base":"x"}"#,
        "unknown_parameter",
        "api_base",
    );
}

#[test]
fn feedback() {
    let like = |like| FeedbackRequest { like: Some(like), ..nothing() };
    check_feedback("\"like\":true", like(true));
    check_feedback("\"like\":false,\"rating\":null", like(false));
    check_feedback("\"rating\":\"up\"", like(true));
    check_feedback("\"rating\":\"like\"", like(true));
    check_feedback("\"rating\":\"down\"", like(false));
    check_feedback("\"rating\":\"dislike\"", like(false));
    let satisfaction = Some(0.0);
    check_feedback("\"satisfaction_score\":0", FeedbackRequest { satisfaction, ..nothing() });
    check_feedback(
        "\"satisfaction_score\":0.5,\"task_done\":true,\"adopted\":false",
        FeedbackRequest {
            adopted: Some(false),
            task_done: Some(true),
            satisfaction: Some(0.5),
            ..nothing()
        },
    );
}

#[test]
fn feedback_that_is_none() {
    check_feedback_error("", "missing_required_parameter", "like");
    check_feedback_error(",\"like\":\"yes\"", "invalid_type", "like");
    check_feedback_error(",\"like\":true,\"rating\":\"up\"", "invalid_value", "rating");
    check_feedback_error(",\"rating\":\"good\"", "invalid_value", "rating");
    check_feedback_error(",\"rating\":5", "invalid_type", "rating");
    check_feedback_error(",\"satisfaction_score\":1.1", "invalid_value", "satisfaction_score");
    check_feedback_error(",\"satisfaction_score\":\"1\"", "invalid_type", "satisfaction_score");
    check_feedback_error(",\"like\":true,\"like\":true", "duplicate_parameter", "like");
    check_feedback_error(",\"comment\":\"x\"", "unknown_parameter", "comment");
    let error = parse_feedback(br#"{"like":true}"#).unwrap_err();
    assert_eq!(error.param(), Some("trace_id"));
}

#[test]
fn an_unknown_member_is_told_the_known_ones() {
    let error = parse_feedback(br#"{"trace_id":"t","liked":true}"#).unwrap_err().to_string();
    assert!(error.contains("`liked`") && error.contains("`task_done`"), "{error}");
}
