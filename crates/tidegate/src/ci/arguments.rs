//! `${NAME}` and `${NAME:-default}` in arguments: values of the environment. They become part of
//! one argument and are read by no shell, whatever is in them.

/// The text with its variables' values; `Err` names a variable that is not set.
pub(super) fn expanded(
    text: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((inside, behind)) = after.split_once('}') else {
            return Ok(out + &rest[before.len()..]);
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (inside, None),
        };
        // As in a shell: `:-` is also for a variable that is empty.
        let given = value(name).filter(|value| default.is_none() || !value.is_empty());
        out.push_str(&given.or(default).ok_or_else(|| name.to_owned())?);
        rest = behind;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let value = |name: &str| match name {
            "SHA" => Some("a b; rm -rf ${SHA}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let found = expanded(text, value);
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn a_value_is_part_of_one_argument_and_is_not_read_again() {
        check("plain $SHA {x}", Ok("plain $SHA {x}"));
        check("app:${SHA}!", Ok("app:a b; rm -rf ${SHA}!"));
        check("${NONE:-dev}/${EMPTY:-x}", Ok("dev/x"));
        check("[${EMPTY}]", Ok("[]"));
        check("${NONE}", Err("NONE"));
        check("发布 ${open", Ok("发布 ${open"));
    }
}
