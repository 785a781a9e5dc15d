//! Prompts as other tools write them.

use super::*;

#[track_caller]
fn imported(file: &str, text: &str) -> (Imported, Format) {
    parse(Path::new(file), text, None).unwrap_or_else(|problem| panic!("{file}: {problem}"))
}

/// Places and texts of what was lost.
fn lost(imported: &Imported) -> Vec<String> {
    imported.lost.iter().map(|one| format!("{}: {}", one.place, one.what)).collect()
}

#[track_caller]
fn loses(imported: &Imported, texts: &[&str]) {
    let lost = lost(imported);
    assert_eq!(lost.len(), texts.len(), "{lost:#?}");
    for (lost, text) in lost.iter().zip(texts) {
        assert!(lost.contains(text), "no `{text}` in `{lost}`");
    }
}

const GITHUB: &str = "\
name: Summary
description: d
model: openai/gpt-4o-mini
modelParameters: {temperature: 0.5, maxTokens: 300, topP: 0.9}
messages:
  - role: system
    content: You are a clerk for {{shop}}.
  - role: user
    content: |
      Summarize:
      {{input}}
testData:
  - input: 退货政策
    expected: 三十天
  - other: x
evaluators:
  - name: says
    string: {contains: '{{expected}}'}
  - name: judged
    llm: {}
";

#[test]
fn github_models_with_test_data_and_evaluators() {
    let (read, format) = imported("summarize.prompt.yml", GITHUB);
    assert_eq!(format, Format::Github);
    assert_eq!(read.system, "You are a clerk for {{ metadata.shop }}.");
    assert_eq!(read.user, "Summarize:\n{{ input }}\n");
    assert_eq!(read.config["model"], "openai/gpt-4o-mini");
    assert_eq!(
        (&read.config["temperature"], &read.config["max_tokens"]),
        (&json!(0.5), &json!(300))
    );
    let case = json!({"input": "退货政策", "expected": "三十天", "expected_contains": "三十天"});
    assert_eq!(read.cases, [case]);
    loses(&read, &["modelParameters.topP", "evaluators[1]", "testData[1]"]);
    assert!(read.notes.iter().any(|note| note.what.contains("metadata.shop")), "{:?}", read.notes);
}

#[test]
fn prompty_names_lines_of_the_file() {
    let text = "---\nname: x\nmodel:\n  api: chat\n  configuration:\n    type: azure_openai\n    \
        azure_deployment: gpt-4o\n  parameters:\n    max_tokens: 50\nsample:\n  question: hi\n  \
        who: me\n---\nsystem:\nYou are {{name}}.\n{% for d in docs %}\n{{d.text}}\n{% endfor %}\n\n\
        user:\n{{ question }}\n";
    let (read, format) = imported("chat.prompty", text);
    assert_eq!(format, Format::Prompty);
    assert_eq!(read.user, "{{ input }}\n");
    assert_eq!(read.config["model"], "gpt-4o");
    assert_eq!(read.cases, [json!({"input": "hi"})]);
    loses(
        &read,
        &[
            "body:16:1: the tag `{% for d in docs %}`",
            "body:17:1: the expression `{{ d.text }}`",
            "body:18:1: the tag `{% endfor %}`",
            "sample.who",
        ],
    );
    assert!(parse(Path::new("a.prompty"), "system:\nhi", None).is_err());
    assert!(parse(Path::new("a.prompty"), "---\nname: x\n", None).is_err());
}

#[test]
fn promptfoo_messages_with_examples_and_pictures() {
    let (read, format) = imported(
        "chat.json",
        r#"[{"role": "system", "content": "You are {{ persona | upper }}."},
            {"role": "user", "content": "例"}, {"role": "assistant", "content": "答"},
            {"role": "user", "content": [{"type": "text", "text": "{{query}}"},
                {"type": "image_url", "image_url": {"url": "x"}}]}]"#,
    );
    assert_eq!(format, Format::Promptfoo);
    assert_eq!((read.system.as_str(), read.user.as_str()), ("You are .", "{{ input }}"));
    loses(
        &read,
        &[
            "[3].content[1]: a part that is no text",
            "[1].content: an example (user)",
            "[2].content: an example (assistant)",
            "[0].content:1:9: the expression",
        ],
    );
}

#[test]
fn langsmith_with_its_model_and_f_strings() {
    let template = |kind: &str, text: &str| {
        json!({"lc": 1, "type": "constructor", "id": ["langchain", "prompts", kind], "kwargs":
            {"prompt": {"lc": 1, "type": "constructor", "id": ["langchain", "PromptTemplate"],
                "kwargs": {"template": text, "template_format": "f-string"}}}})
    };
    let prompt = json!({"lc": 1, "type": "constructor", "id": ["x", "ChatPromptTemplate"],
    "kwargs": {"messages": [
        template("SystemMessagePromptTemplate", "You are {who}. Answer {{\"a\": 1}}, {n:>3}"),
        {"lc": 1, "type": "constructor", "id": ["x", "MessagesPlaceholder"],
            "kwargs": {"variable_name": "history"}},
        template("HumanMessagePromptTemplate", "{question}"),
    ]}});
    let sequence = json!({"commit_hash": "abc", "manifest": {"lc": 1, "type": "constructor",
        "id": ["x", "RunnableSequence"], "kwargs": {"first": prompt, "last":
            {"lc": 1, "type": "constructor", "id": ["x", "ChatOpenAI"], "kwargs":
                {"model_name": "gpt-4o", "temperature": 0, "top_p": 1, "openai_api_key":
                    {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}}}}}});
    let (read, format) = imported("p.json", &sequence.to_string());
    assert_eq!(format, Format::Langsmith);
    assert_eq!(read.system, "You are {{ metadata.who }}. Answer {\"a\": 1}, ");
    assert_eq!(read.user, "{{ input }}");
    assert_eq!((&read.config["model"], &read.config["temperature"]), (&json!("gpt-4o"), &json!(0)));
    loses(&read, &["messages[0]:1:35: the expression `{n:>3}`", "step 2.top_p"]);
    let notes: Vec<_> = read.notes.iter().map(|note| note.what.as_str()).collect();
    assert!(notes.iter().any(|note| note.contains("placeholder `history`")), "{notes:?}");
}

#[test]
fn langfuse_chat_and_text() {
    let (read, format) = imported(
        "p.json",
        r#"{"name": "support", "version": 3, "type": "chat", "labels": ["production"],
            "config": {"model": "gpt-4o", "temperature": 0.2, "tools": [1]},
            "prompt": [{"role": "system", "content": "You are a clerk."},
                {"type": "placeholder", "name": "history"},
                {"role": "user", "content": "{{ user_input }}"}]}"#,
    );
    assert_eq!(format, Format::Langfuse);
    assert_eq!((read.system.as_str(), read.user.as_str()), ("You are a clerk.", "{{ input }}"));
    loses(&read, &["config.tools"]);
    let (read, _) = imported("p.json", r#"{"type": "text", "prompt": "Translate: {{text}}"}"#);
    assert_eq!(read.user, "Translate: {{ input }}");
    loses(&read, &["there is no system message"]);
}

#[test]
fn braces_of_a_text_stay_text() {
    let (read, _) = imported(
        "p.json",
        &json!({"lc": 1, "id": ["PromptTemplate"], "kwargs":
            {"template": "{{{{a}}}} {{{x}}} {y}", "template_format": "f-string"}})
        .to_string(),
    );
    // `{{{{` is two braces of text, `{{{x}}}` a variable between braces.
    assert_eq!(read.user, "{ {a}} { {{ metadata.x }}} {{ metadata.y }}");
}

#[test]
fn two_that_could_be_the_users_text_and_none_are_lost() {
    let (read, _) = imported(
        "p.json",
        r#"[{"role": "system", "content": "You are x."},
        {"role": "user", "content": "{{query}} {{text}}"}]"#,
    );
    loses(&read, &["which of `query`, `text`"]);
    let (read, _) = imported(
        "p.json",
        r#"[{"role": "system", "content": "Say {{input}}."},
        {"role": "user", "content": "hello"}]"#,
    );
    loses(&read, &["text of users gets no system authority", "the user's text is nowhere"]);
}

#[test]
fn what_is_no_prompt_is_an_error() {
    for (file, text) in [
        ("p.json", "{}"),
        ("p.json", "[1]"),
        ("p.json", r#"[{"role": "user"}]"#),
        ("p.json", "{\"lc\": 1}"),
        ("p.json", "{\"prompt\": 5}"),
        ("p.yml", "messages: no"),
        ("p.yml", "a: [b"),
        ("p.json", ""),
    ] {
        assert!(parse(Path::new(file), text, None).is_err(), "{text}");
    }
}

#[test]
fn the_next_version_is_the_highest_and_one() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(next(&names(&["v1", "v10", "v2", "polite", "v2.1"])), "v11");
    assert_eq!(next(&[]), "v1");
}

mod properties {
    use super::super::template::{Part, Syntax, ours, parts};
    use crate::version_set::is_template;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever comes in, what goes out is a template of ours.
        #[test]
        fn what_is_written_is_always_a_template(
            text in "[{}%#a&. |你\n]{0,40}",
            f_string in any::<bool>(),
        ) {
            let syntax = if f_string { Syntax::FString } else { Syntax::Braces };
            let read = parts(&text, syntax, "p", 1);
            let (out, _) = ours(&read.parts, |name| format!("metadata.{name}"));
            prop_assert!(is_template(&out), "{text:?} → {out:?}");
        }

        /// Text without braces and percent signs comes through unchanged.
        #[test]
        fn plain_text_is_kept(text in "[a-z你好。 \n]{0,40}") {
            for syntax in [Syntax::FString, Syntax::Braces] {
                let read = parts(&text, syntax, "p", 1);
                prop_assert!(read.lost.is_empty());
                let kept = Some(Part::Text(text.clone())).filter(|_| !text.is_empty());
                prop_assert_eq!(read.parts, Vec::from_iter(kept));
            }
        }
    }
}
