//! The pieces of a statement, whatever its dialect.

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A word without quotes.
    Word(&'a str),
    /// A name in quotes.
    Name,
    /// A text, a number or a parameter.
    Value,
    /// An operator that has something on both sides.
    Operator(&'a str),
    /// A bracket, comma, point, star or semicolon.
    Mark(char),
}

/// The pieces of a text, comments left out.
///
/// # Errors
/// What is not closed, or is no part of SQL.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let (mut rest, mut found) = (text, Vec::new());
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            c if c.is_whitespace() => (None, c.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '#' if rest.starts_with("# ") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                let end = rest[2..].find("*/").ok_or("a comment is not closed")?;
                (None, end + 4)
            }
            '\'' => (Some(Token::Value), quoted(rest, '\'')?),
            '"' | '`' => (Some(Token::Name), quoted(rest, c)?),
            '(' | ')' | '[' | ']' | ',' | '.' | ';' | '*'
                if !(c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) =>
            {
                (Some(Token::Mark(c)), 1)
            }
            c if c.is_ascii_digit() || c == '.' => (Some(Token::Value), number(rest)),
            '?' => (Some(Token::Value), 1),
            ':' | '@' | '$' | '%' if parameter(rest) > 0 => (Some(Token::Value), parameter(rest)),
            c if c.is_alphabetic() || c == '_' => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
                (Some(Token::Word(&rest[..end])), end)
            }
            c if "=<>!+-/|%&^~:".contains(c) => {
                let more = rest[1..].find(|c: char| !"=<>!|&~:".contains(c));
                let end = more.map_or(rest.len(), |more| more + 1);
                (Some(Token::Operator(&rest[..end])), end)
            }
            c => return Err(format!("`{c}` is no part of SQL")),
        };
        found.extend(token);
        rest = &rest[length..];
    }
    Ok(found)
}

/// How long a quoted part is; its own quote is written twice in it, or behind a backslash.
fn quoted(text: &str, quote: char) -> Result<usize, String> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '\'' {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => chars.next(),
                _ => return Ok(at + 1),
            };
        }
    }
    Err(format!("a quote `{quote}` is not closed"))
}

fn number(text: &str) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let end = text.find(|c: char| !is_part(c)).unwrap_or(text.len());
    let has_sign = text[..end].ends_with(['e', 'E']) && text[end..].starts_with(['+', '-']);
    match has_sign && !text.starts_with("0x") {
        true => {
            let rest = &text[end + 1..];
            end + 1 + rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())
        }
        false => end,
    }
}

/// How long a parameter is: `:name`, `@name`, `$1`, `%s`; 0 for none.
fn parameter(text: &str) -> usize {
    let name = text[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - 1);
    match (text.starts_with('%'), name) {
        (_, 0) => 0,
        (true, _) if !text[1..].starts_with('s') || name > 1 => 0,
        (_, name) => name + 1,
    }
}
