//! Whether a text is SQL: statements of the common kinds, read without a dialect. A query is read
//! word by word, so that a misspelt clause, a missing comma or an open bracket is seen; of other
//! statements the beginning is. What every database refuses is refused here; what some take is
//! taken, so this does not say that a given database runs it.

mod expression;
mod reader;
mod tokens;

use reader::Reader;
use tokens::{Token, tokens};

/// What is wrong with the text as SQL; `None` where nothing is.
pub(super) fn sql_problem(text: &str) -> Option<String> {
    let problem = tokens(text.trim()).and_then(|tokens| {
        let mut statements = 0;
        for statement in tokens.split(|token| *token == Token::Mark(';')) {
            if !statement.is_empty() {
                statements += 1;
                Reader::new(statement).statement()?;
            }
        }
        if statements > 0 { Ok(()) } else { Err("no statement is in it".to_owned()) }
    });
    problem.err()
}

/// Whether a code block, quoted code, or a statement in prose that begins in capitals is SQL.
pub(super) fn has_sql(text: &str) -> bool {
    let blocks = text.split("```").skip(1).step_by(2).map(|block| {
        let (first, rest) = block.split_once('\n').unwrap_or(("", block));
        if first.trim().chars().all(char::is_alphanumeric) { rest } else { block }
    });
    let quoted = text.split('`').skip(1).step_by(2);
    let paragraphs = text.split("\n\n").flat_map(|part| {
        let begins = part.char_indices().filter(|(at, _)| is_begun(part, *at));
        begins.take(8).map(|(at, _)| part[at..].split_inclusive(';').next().unwrap_or_default())
    });
    let mut all = blocks.chain(quoted).chain(paragraphs).take(200);
    all.any(|part| part.trim().contains(char::is_whitespace) && sql_problem(part).is_none())
}

/// Whether a word that begins a statement is there.
fn is_begun(text: &str, at: usize) -> bool {
    // "Select an item from the list" is a sentence.
    let begins = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let is_start = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    is_start && begins.iter().any(|begin| text[at..].starts_with(begin))
}

#[cfg(test)]
#[path = "sql/tests.rs"]
mod tests;
