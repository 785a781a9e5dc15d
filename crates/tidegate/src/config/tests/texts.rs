//! Variables, and texts that look like something else.

use super::{BASE, check, read, whole};

#[test]
fn variables_come_from_the_environment() {
    let text =
        format!("{BASE}listen: ${{HOST:-127.0.0.1}}:${{PORT}}\nlimits:\n  retries: ${{N:-2}}\n");
    let project = read(&text, &[("PORT", "81")]).unwrap();
    assert_eq!((project.listen.as_str(), project.limits.retries), ("127.0.0.1:81", 2));
    assert_eq!(read(&text, &[("PORT", "1"), ("N", "3")]).unwrap().limits.retries, 3);
    whole(
        &text,
        "5:9: environment variable `PORT` is not set",
        "set it, or give a default: `${PORT:-value}`",
    );
    let error = read(&text, &[("PORT", "1"), ("N", "hunter2")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "tidegate.yaml:7:12: limits.retries: given `${N:-2}`, allowed a whole number, 0 to \
         4294967295"
    );
    check(
        "listen: |\n  ${HOST:-127.0.0.1}:80\n",
        "6:3: listen: a variable in a text of several lines is not replaced",
        "write the value on the line of its key: `${NAME:-default}`",
    );
    check(
        "listen: \"${HOST}:80\"\n",
        "5:9: listen: environment variable `HOST` is not set",
        "set it, or give a default: `${HOST:-value}`",
    );
    check("listen: '${HO ST}'\n", "5:9: listen: allowed are `${NAME}` and `${NAME:-default}`", "");
    // The value of a variable is not repeated, whatever is wrong with it.
    let quoted = format!("{BASE}limits: {{retries: \"${{N}}\"}}\n");
    let error = read(&quoted, &[("N", "hunter2")]).unwrap_err().to_string();
    assert!(error.starts_with("tidegate.yaml:5:") && !error.contains("hunter2"), "{error}");
    check(
        "listen: ${HO ST}\n",
        "5:9: given `${HO ST}`, allowed `${NAME}` or `${NAME:-default}`",
        "",
    );
}

/// What the file calls the code's version comes back as it is written.
#[test]
fn a_version_is_a_text_whatever_it_looks_like() {
    let texts = [
        "abc1234",
        "1234567",
        "0123456",
        "12e4567",
        "1e99999",
        "00e1234",
        "007",
        "1_000",
        "0x1F",
        "0o17",
        "1.10",
        "1.0",
        ".5",
        "-1",
        "+1",
        "on",
        "off",
        "yes",
        "no",
        "true",
        "null",
        "Null",
        "~",
        ".inf",
        ".nan",
        "nan",
        "2025-12-24",
        "12:30:45",
        "v2025.12.24.01",
        "=",
        "1,000",
        "测试",
    ];
    let version = |yaml: &str, env: &[(&str, &str)]| {
        let text = format!("{BASE}artifacts:\n  code:\n    version: {yaml}\n");
        read(&text, env).map(|project| project.artifacts.code.version)
    };
    for text in texts {
        assert_eq!(version(text, &[]).unwrap(), text, "unchanged");
        assert_eq!(version(&format!("'{text}'"), &[]).unwrap(), text, "quoted");
        for variable in ["${SHA:-dev}", "'${SHA:-dev}'", "\"${SHA}\"", "${SHA}"] {
            assert_eq!(version(variable, &[("SHA", text)]).unwrap(), text, "{variable}");
        }
        let flow = format!("{BASE}artifacts: {{code: {{version: \"v-${{SHA}}\"}}}}\n");
        let project = read(&flow, &[("SHA", text)]).unwrap();
        assert_eq!(project.artifacts.code.version, format!("v-{text}"), "in braces");
    }
    for awkward in ["a\"b", "a'b", "a: b", "a #b", "a\\b", "${SHA}", "{", "- a"] {
        assert_eq!(version("'${SHA}'", &[("SHA", awkward)]).unwrap(), awkward);
    }
    assert_eq!(version("'${SHA:-dev}'", &[("SHA", "")]).unwrap(), "dev");
    version("", &[]).unwrap_err();
}
