//! A client's request through a set.

use super::*;

fn live(system: &str, user: &str, parameters: Value) -> LiveSet {
    let mut project = Project::new();
    project.prompt("v1", system, user);
    project.set(&["artifacts", "model", "parameters"], parameters);
    project.live().unwrap()
}

fn render(live: &LiveSet, body: Value, user: Option<&str>) -> Result<Value, String> {
    let rendered =
        live.render(body.as_object().unwrap().clone(), user).map_err(|e| e.to_string())?;
    Ok(Value::Object(rendered.body))
}

/// One user message through `user`, with these members more in the body.
fn check(user: &str, content: Value, expected: Value) {
    let live = live("You are S.", user, json!({}));
    let body = json!({"messages": [{"role": "user", "content": content, "name": "n"}]});
    let got = render(&live, body, Some("u1")).unwrap();
    let messages = json!([
        {"role": "system", "content": "You are S."},
        {"role": "user", "name": "n", "content": expected}
    ]);
    assert_eq!(got["messages"], messages);
}

#[test]
fn the_last_user_text_goes_through_the_template() {
    check("{{ input }}", json!("测试回滚"), json!("测试回滚"));
    check("Q {{ user }}: {{ input }}\n", json!("{{ user }} {%"), json!("Q u1: {{ user }} {%\n"));
    check("<{{ input }}>", Value::Null, json!("<>"));
    let image = json!({"type": "image_url", "image_url": {"url": "data:,x"}});
    let text = |t: &str| json!({"type": "text", "text": t});
    check(
        "<{{ input }}>",
        json!([image, text("a"), image, text("b")]),
        json!([image, text("<a"), image, text("b>")]),
    );
    check("<{{ input }}>", json!([image]), json!([text("<>"), image]));
}

#[test]
fn the_client_s_other_messages_and_members_are_kept() {
    let live = live("You are S.", "<{{ input }}>", json!({}));
    let messages = json!([
        {"role": "system", "content": "client's own"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "r"}
    ]);
    let body = json!({
        "model": "support", "messages": messages, "stream": true, "x_new": {"deep": [1]},
        "stream_options": {"include_usage": false}, "metadata": {"k": "v"}, "user": "u"
    });
    let got = render(&live, body.clone(), None).unwrap();
    for key in ["stream", "x_new", "stream_options", "metadata", "user"] {
        assert_eq!(got[key], body[key], "{key}");
    }
    assert_eq!(got["model"], "gpt-4o-mini");
    let mut expected = messages.as_array().unwrap().clone();
    expected[3]["content"] = json!("<second>");
    expected.insert(0, json!({"role": "system", "content": "You are S."}));
    assert_eq!(got["messages"], Value::Array(expected));
}

fn check_members(parameters: Value, client: Value, expected: Value) {
    let live = live("You are S.", "{{ input }}", parameters);
    let mut body = client.as_object().unwrap().clone();
    body.insert("messages".into(), json!([{"role": "user", "content": "a"}]));
    let got = match render(&live, Value::Object(body), None) {
        Ok(mut got) => {
            let members = got.as_object_mut().unwrap();
            members.shift_remove("messages");
            assert_eq!(members.shift_remove("model"), Some(json!("gpt-4o-mini")));
            got
        }
        Err(error) => json!(error),
    };
    assert_eq!(got, expected, "client {client}");
}

#[test]
fn the_client_s_settings_win_up_to_the_set_s_longest_answer() {
    let set = json!({"temperature": 0.7, "max_tokens": 100});
    check_members(json!({}), json!({}), set.clone());
    check_members(json!({}), json!({"temperature": null, "max_tokens": null}), set);
    let cases = [
        (json!({"temperature": 0, "max_tokens": 7}), json!({"temperature": 0, "max_tokens": 7})),
        (json!({"max_tokens": 5000}), json!({"max_tokens": 100, "temperature": 0.7})),
        (
            json!({"max_completion_tokens": 5000}),
            json!({"max_completion_tokens": 100, "temperature": 0.7}),
        ),
        (json!({"max_tokens": -1}), json!("`max_tokens` must be a whole number from 1 to 100")),
        (json!({"max_tokens": "9"}), json!("`max_tokens` must be a whole number from 1 to 100")),
    ];
    for (client, expected) in cases {
        check_members(json!({}), client, expected);
    }
}

#[test]
fn parameters_fill_what_the_client_leaves_out() {
    let parameters = json!({"top_p": 0.9, "seed": 7, "temperature": 1.5});
    check_members(
        parameters,
        json!({"seed": 1}),
        json!({"seed": 1, "top_p": 0.9, "temperature": 0.7, "max_tokens": 100}),
    );
    check_members(
        json!({"max_completion_tokens": 10}),
        json!({}),
        json!({"max_completion_tokens": 100, "temperature": 0.7}),
    );
}

#[test]
fn metadata_fills_variables_and_is_not_sent_on() {
    let live = live("For {{ metadata.plan }}.", "{{ metadata.n }} {{ input }}", json!({}));
    let messages = json!([{"role": "user", "content": "a"}]);
    let body = |metadata: Value| json!({"messages": messages, "metadata": metadata});
    let got = render(&live, body(json!({"plan": "pro", "n": 3, "k": "v"})), None).unwrap();
    assert_eq!(got["messages"][0]["content"], "For pro.");
    assert_eq!(got["messages"][1]["content"], "3 a");
    assert_eq!(got["metadata"], json!({"k": "v"}));
    let got = render(&live, body(json!({"plan": "pro", "n": 3})), None).unwrap();
    assert_eq!(got.get("metadata"), None);
    let error = render(&live, body(json!({"n": 3})), None).unwrap_err();
    assert!(error.contains("`metadata.plan`") && error.contains("\"metadata\": {\"plan\""));
    let error = render(&live, body(json!({"plan": ["secret"], "n": 3})), None).unwrap_err();
    assert!(error.contains("must be text") && !error.contains("secret"), "{error}");
}

#[test]
fn messages_of_the_wrong_shape_are_the_client_s_to_mend() {
    let live = live("You are S.", "{{ input }}", json!({}));
    for (body, message) in [
        (json!({}), "`messages` must be a list"),
        (json!({"messages": "a"}), "`messages` must be a list"),
        (json!({"messages": []}), "no message with `\"role\": \"user\"`"),
        (json!({"messages": [1, {"role": "system", "content": "a"}]}), "no message with"),
        (json!({"messages": [{"role": "user", "content": 1}]}), "must be text or a list"),
    ] {
        assert!(render(&live, body.clone(), None).unwrap_err().contains(message), "{body}");
    }
}

#[test]
fn pass_through_fills_in_and_touches_nothing_else() {
    let mut project = Project::new();
    project.set(&["artifacts", "prompt", "mode"], json!("pass_through"));
    let live = project.live().unwrap();
    let body = json!({"model": "support", "messages": [{"role": "tool", "content": "x"}],
                      "metadata": {"k": "v"}, "stream": false});
    let got = render(&live, body.clone(), None).unwrap();
    let mut expected = body;
    expected["model"] = json!("gpt-4o-mini");
    expected["temperature"] = json!(0.7);
    expected["max_tokens"] = json!(100);
    assert_eq!(got, expected);
}
