//! What a template may say, and what it gives.

use super::*;
use crate::error::CliError;
use crate::version_set::SetError;
use std::collections::HashSet;

fn parse(role: Role, text: &str) -> Result<Template, CliError> {
    Ok(Template::parse("prompts/v1/x.md", role, text.as_bytes()).map_err(SetError::from)?)
}

fn render(text: &str) -> Result<String, String> {
    let template = parse(Role::User, text).map_err(|error| error.message)?;
    let values = |variable| {
        Ok(Cow::Borrowed(match variable {
            &Variable::Input => "你好 {{ user }} <&>",
            Variable::User => "u1",
            Variable::Retrieved => "[1] a.md#1",
            Variable::Metadata(key) if key == "plan" => "pro",
            Variable::Metadata(key) => return Err(RenderError(format!("no {key}"))),
        }))
    };
    template.render(values).map_err(|error| error.0)
}

fn check(template: &str, expected: &str) {
    assert_eq!(render(template).as_deref(), Ok(expected), "{template:?}");
}

fn refuse(role: Role, template: &str, message: &str) {
    let error = parse(role, template).unwrap_err();
    assert!(error.message.contains(message), "{template:?}: {}", error.message);
    assert!(!error.hints.is_empty(), "{template:?}");
}

#[test]
fn variables_are_substituted_and_values_are_never_read_as_templates() {
    check("", "");
    check("plain\n", "plain\n");
    check("a\r\n\r\n", "a\r\n\r\n");
    check("Q: {{ input }}\n", "Q: 你好 {{ user }} <&>\n");
    check("{{input}}{{  user\t}}", "你好 {{ user }} <&>u1");
    check("{{ metadata.plan }}", "pro");
    check("a{# a note {{ input }} #}b", "ab");
    check("{\"a\": {\"b\": 1}} 100% { {", "{\"a\": {\"b\": 1}} 100% { {");
    check("\u{feff}bom", "bom");
    assert_eq!(render("{{ metadata.x }}"), Err("no x".to_owned()));
}

#[test]
fn everything_that_computes_is_refused_with_its_line() {
    for text in [
        "{{ 'a' * 100000000 }}",
        "{{ input | upper }}",
        "{{ input() }}",
        "{{ input + user }}",
        "{{ \"x\" }}",
        "{{ 1 }}",
        "{{ input[0] }}",
        "{{ input.__class__.x.y() }}",
        "{{- input -}}",
        "{{ }}",
        "{{ metadata. }}",
        "{{ a{{ input }}",
        "{{ 输入 }}",
        "{% for x in range(9) %}x{% endfor %}",
        "{% raw %}",
        "{{ input",
        "{# open",
    ] {
        refuse(Role::User, &format!("first\nsecond {text}"), "prompts/v1/x.md:2: ");
    }
}

#[test]
fn an_unknown_variable_names_the_allowed_ones_and_the_nearest() {
    refuse(Role::User, "\n\n{{ inptu }}", "x.md:3: unknown variable `inptu`; allowed are `input`");
    let hint = |role, text: &str| parse(role, text).unwrap_err().hints[0].clone();
    assert!(hint(Role::User, "{{ inptu }}").contains("`{{ input }}`"));
    assert!(hint(Role::User, "{{ plan }}").contains("`{{ metadata.plan }}`"));
    assert!(hint(Role::User, "{{ metdata.plan }}").contains("`{{ metadata.plan }}`"));
    assert!(hint(Role::User, "{{ metadata.a.b }}").contains("`{{ metadata.b }}`"));
    assert!(hint(Role::System, "{{ plan }}").contains("`{{ metadata.plan }}`"));
    refuse(Role::User, "{{ input.x }}", "unknown variable `input.x`");
    refuse(Role::User, "{{ metadata }}", "unknown variable `metadata`");
}

#[test]
fn the_system_prompt_takes_no_user_text() {
    assert!(parse(Role::System, "for {{ metadata.plan }}").is_ok());
    refuse(Role::System, "a\n{{ input }}", "x.md:2: the system prompt must not use `input`");
    refuse(Role::System, "{{ user }}", "must not use `user`");
}

#[test]
fn size_and_encoding_are_bounded() {
    let error = |bytes: &[u8]| Template::parse("x.md", Role::User, bytes).unwrap_err().to_string();
    assert!(error(&vec![b'a'; TEMPLATE_BYTES_MAX + 1]).contains("allowed are 262144"));
    assert!(error(b"ok\n\xff").starts_with("x.md:2: the template is not UTF-8"));
}

#[test]
fn a_multiplied_input_is_refused_before_it_is_copied() {
    let template = parse(Role::User, &"{{input}}".repeat(20_000)).unwrap();
    let input = "x".repeat(100_000);
    let got = template.render(|_| Ok(Cow::Borrowed(input.as_str()))).unwrap_err();
    assert!(got.0.contains("has 2000000000 bytes, allowed are 8388608"), "{}", got.0);
}

#[test]
fn the_engine_reads_what_the_grammar_let_through() {
    let words = [
        "{",
        "}",
        "{{",
        "}}",
        "{#",
        "#}",
        "%",
        "-",
        "+",
        "input",
        "user",
        "metadata",
        "metadata.a",
        ".",
        "_b",
        " ",
        "\n",
        "\r\n",
        "\u{3000}",
        "文",
        "true",
        "loop",
        "{{ input }}",
    ];
    let mut state = 7_u64;
    let mut next = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % n
    };
    let mut substituting = 0;
    for _ in 0..50_000 {
        let text: String = (0..next(9)).map(|_| words[next(words.len())]).collect();
        let Ok(variables) = grammar::variables("x.md", Role::User, &text) else { continue };
        let template = parse(Role::User, &text).expect(&text);
        let ours: HashSet<String> = variables
            .iter()
            .map(|variable| match variable {
                Variable::Input => "input".to_owned(),
                Variable::User => "user".to_owned(),
                Variable::Retrieved => "retrieved".to_owned(),
                Variable::Metadata(key) => format!("metadata.{key}"),
            })
            .collect();
        let theirs = template.engine.get_template(NAME).unwrap().undeclared_variables(true);
        assert_eq!(theirs, ours, "{text:?}");
        let rendered = template.render(|_| Ok(Cow::Borrowed("12"))).expect(&text);
        assert_eq!(rendered.len(), template.fixed.len() + variables.len(), "{text:?}");
        assert!(!rendered.contains("{#") && !rendered.contains("{{"), "{text:?}");
        substituting += usize::from(!variables.is_empty());
    }
    assert!(substituting > 4_000, "only {substituting} of the texts substitute");
}

#[test]
fn white_space_control_is_for_comments_only() {
    check("a {#- note -#} b", "ab");
    check("a {#+ note +#} b", "a  b");
    refuse(Role::User, "{{- input }}", "is not a plain variable");
    refuse(Role::User, "{{ input\u{3000}}}", "is not a plain variable");
}

#[test]
fn the_fixed_text_leaves_the_values_out() {
    let template = parse(Role::User, "你是 {{ metadata.name }}。").unwrap();
    assert_eq!(template.fixed_text(), "你是  。");
    assert_eq!(template.variables().count(), 1);
}
