//! Statements, clause by clause.

use super::tokens::Token;

/// How deep brackets and subqueries may be.
const DEPTH_MAX: usize = 100;

/// Words that begin a clause or join two parts; none is a name unless it is quoted.
const RESERVED: [&str; 44] = [
    "select",
    "from",
    "where",
    "group",
    "order",
    "having",
    "limit",
    "union",
    "intersect",
    "except",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
    "on",
    "using",
    "as",
    "and",
    "or",
    "not",
    "in",
    "is",
    "like",
    "between",
    "case",
    "when",
    "then",
    "else",
    "end",
    "exists",
    "null",
    "insert",
    "update",
    "delete",
    "set",
    "values",
    "into",
    "by",
    "distinct",
    "with",
    "offset",
];
/// Statements of which the beginning alone is read, and what may follow it.
const OTHERS: [&str; 20] = [
    "create", "alter", "drop", "truncate", "grant", "revoke", "begin", "commit", "rollback",
    "explain", "analyze", "show", "describe", "use", "set", "merge", "call", "pragma", "vacuum",
    "comment",
];

/// Reads one statement from its beginning.
pub(super) struct Reader<'a, 'b> {
    pub(super) left: &'b [Token<'a>],
    depth: usize,
}

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(left: &'b [Token<'a>]) -> Self {
        Reader { left, depth: 0 }
    }

    pub(super) fn word(&self) -> Option<String> {
        match self.left.first() {
            Some(Token::Word(word)) => Some(word.to_ascii_lowercase()),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, words: &[&str]) -> bool {
        let is = |word: &str| words.iter().any(|one| word.eq_ignore_ascii_case(one));
        matches!(self.left.first(), Some(Token::Word(word)) if is(word))
    }

    /// Takes one of these words.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let is_there = self.is_word(words);
        if is_there {
            self.left = &self.left[1..];
        }
        is_there
    }

    pub(super) fn mark(&mut self, mark: char) -> bool {
        let is_there = self.left.first() == Some(&Token::Mark(mark));
        if is_there {
            self.left = &self.left[1..];
        }
        is_there
    }

    pub(super) fn need(&mut self, words: &[&str]) -> Result<(), String> {
        if self.take(words) { Ok(()) } else { Err(self.wrong(&words.join("` or `"))) }
    }

    pub(super) fn close(&mut self) -> Result<(), String> {
        if self.mark(')') { Ok(()) } else { Err(self.wrong(")")) }
    }

    /// What is there where something else is needed.
    pub(super) fn wrong(&self, needed: &str) -> String {
        let there = match self.left.first() {
            None => "the statement ends".to_owned(),
            Some(Token::Word(word) | Token::Operator(word)) => {
                format!("`{}` is there", word.chars().take(30).collect::<String>())
            }
            Some(Token::Mark(mark)) => format!("`{mark}` is there"),
            Some(Token::Name | Token::Value) => "a value is there".to_owned(),
        };
        format!("{there} where `{needed}` is needed")
    }

    /// Runs a part that may hold others of its kind.
    pub(super) fn nested(
        &mut self,
        part: fn(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX}"));
        }
        part(self)?;
        self.depth -= 1;
        Ok(())
    }

    pub(super) fn statement(&mut self) -> Result<(), String> {
        match self.word().unwrap_or_default().as_str() {
            "" if self.left.first() == Some(&Token::Mark('(')) => self.query()?,
            "insert" | "replace" => self.insert()?,
            "update" => self.update()?,
            "delete" => self.delete()?,
            "select" | "with" | "values" => self.query()?,
            other if OTHERS.contains(&other) => return self.other(),
            _ => return Err(self.wrong("SELECT")),
        }
        if self.left.is_empty() { Ok(()) } else { Err(self.wrong("the end")) }
    }

    /// The rest of a statement that is not read: its brackets are closed.
    pub(super) fn other(&mut self) -> Result<(), String> {
        let alone = ["begin", "commit", "rollback", "vacuum", "analyze", "show"];
        if self.left.len() < 2 && !self.is_word(&alone) {
            return Err(format!("nothing follows `{}`", self.word().unwrap_or_default()));
        }
        let mut depth = 0_usize;
        for token in self.left {
            match token {
                Token::Mark('(') => depth += 1,
                Token::Mark(')') => depth = depth.checked_sub(1).ok_or("`)` closes nothing")?,
                _ => {}
            }
        }
        if depth == 0 { Ok(()) } else { Err("`(` is not closed".to_owned()) }
    }

    /// `WITH … SELECT … UNION SELECT … ORDER BY … LIMIT …`.
    pub(super) fn query(&mut self) -> Result<(), String> {
        if self.take(&["with"]) {
            self.take(&["recursive"]);
            loop {
                self.name()?;
                if self.mark('(') {
                    self.names()?;
                    self.close()?;
                }
                self.need(&["as"])?;
                self.take(&["not"]);
                self.take(&["materialized"]);
                self.bracketed_query()?;
                if !self.mark(',') {
                    break;
                }
            }
            match self.word().as_deref() {
                Some("insert") => return self.insert(),
                Some("update") => return self.update(),
                Some("delete") => return self.delete(),
                _ => {}
            }
        }
        loop {
            if self.left.first() == Some(&Token::Mark('(')) {
                self.bracketed_query()?;
            } else if self.take(&["values"]) {
                self.rows()?;
            } else {
                self.select()?;
            }
            if !self.take(&["union", "intersect", "except", "minus"]) {
                break;
            }
            self.take(&["all", "distinct"]);
        }
        self.tail()
    }

    pub(super) fn bracketed_query(&mut self) -> Result<(), String> {
        if !self.mark('(') {
            return Err(self.wrong("("));
        }
        self.nested(Self::query)?;
        self.close()
    }

    pub(super) fn select(&mut self) -> Result<(), String> {
        self.need(&["select"])?;
        self.take(&["distinct", "all"]);
        if self.take(&["top"]) {
            self.expression()?;
        }
        loop {
            if !self.mark('*') {
                self.expression()?;
                self.alias()?;
            }
            if !self.mark(',') {
                break;
            }
        }
        if self.take(&["from"]) {
            self.tables()?;
        }
        if self.take(&["where"]) {
            self.expression()?;
        }
        if self.take(&["group"]) {
            self.need(&["by"])?;
            self.expressions()?;
        }
        if self.take(&["having"]) {
            self.expression()?;
        }
        if self.take(&["qualify"]) {
            self.expression()?;
        }
        Ok(())
    }

    /// What follows all parts of a query.
    pub(super) fn tail(&mut self) -> Result<(), String> {
        self.order()?;
        if self.take(&["limit"]) && !self.take(&["all"]) {
            self.expressions()?;
        }
        if self.take(&["offset"]) {
            self.expression()?;
            self.take(&["rows", "row"]);
        }
        if self.take(&["fetch"]) {
            self.need(&["first", "next"])?;
            self.expression()?;
            self.need(&["rows", "row"])?;
            self.need(&["only"])?;
        }
        if self.take(&["for"]) {
            self.need(&["update", "share"])?;
        }
        Ok(())
    }

    pub(super) fn order(&mut self) -> Result<(), String> {
        if !self.take(&["order"]) {
            return Ok(());
        }
        self.need(&["by"])?;
        loop {
            self.expression()?;
            self.take(&["asc", "desc"]);
            if self.take(&["nulls"]) {
                self.need(&["first", "last"])?;
            }
            if !self.mark(',') {
                return Ok(());
            }
        }
    }

    pub(super) fn tables(&mut self) -> Result<(), String> {
        self.table()?;
        loop {
            if self.mark(',') {
                self.table()?;
                continue;
            }
            let has_side = self.take(&["inner", "left", "right", "full", "cross", "natural"]);
            self.take(&["outer"]);
            if !self.take(&["join"]) {
                return if has_side { Err(self.wrong("JOIN")) } else { Ok(()) };
            }
            self.table()?;
            if self.take(&["on"]) {
                self.expression()?;
            } else if self.take(&["using"]) {
                self.bracketed_names()?;
            }
        }
    }

    pub(super) fn table(&mut self) -> Result<(), String> {
        self.take(&["lateral", "only"]);
        if self.left.first() == Some(&Token::Mark('(')) {
            self.bracketed_query()?;
        } else {
            self.name()?;
            if self.mark('(') && !self.mark(')') {
                self.expressions()?;
                self.close()?;
            }
        }
        self.alias()?;
        if self.left.first() == Some(&Token::Mark('(')) {
            self.bracketed_names()?;
        }
        Ok(())
    }

    /// Another name, where there is one.
    pub(super) fn alias(&mut self) -> Result<(), String> {
        if self.take(&["as"]) {
            return match self.left.first() {
                Some(Token::Value) => {
                    self.left = &self.left[1..];
                    Ok(())
                }
                _ => self.plain_name(),
            };
        }
        let follows =
            ["asc", "desc", "fetch", "for", "qualify", "minus", "returning", "window", "rows"];
        match self.left.first() {
            Some(Token::Name) => self.plain_name(),
            Some(Token::Word(_)) if !self.is_word(&RESERVED) && !self.is_word(&follows) => {
                self.plain_name()
            }
            _ => Ok(()),
        }
    }

    pub(super) fn plain_name(&mut self) -> Result<(), String> {
        match self.left.first() {
            Some(Token::Name) => {}
            Some(Token::Word(_)) if !self.is_word(&RESERVED) => {}
            _ => return Err(self.wrong("a name")),
        }
        self.left = &self.left[1..];
        Ok(())
    }

    /// A name, with the schema before it.
    pub(super) fn name(&mut self) -> Result<(), String> {
        loop {
            let is_bracketed = self.mark('[');
            self.plain_name()?;
            if is_bracketed && !self.mark(']') {
                return Err(self.wrong("]"));
            }
            if !self.mark('.') {
                return Ok(());
            }
        }
    }

    pub(super) fn names(&mut self) -> Result<(), String> {
        loop {
            self.name()?;
            if !self.mark(',') {
                return Ok(());
            }
        }
    }

    pub(super) fn bracketed_names(&mut self) -> Result<(), String> {
        if !self.mark('(') {
            return Err(self.wrong("("));
        }
        self.names()?;
        self.close()
    }

    pub(super) fn insert(&mut self) -> Result<(), String> {
        self.need(&["insert", "replace"])?;
        if self.take(&["or"]) {
            self.need(&["replace", "ignore", "abort", "fail", "rollback"])?;
        }
        self.take(&["ignore"]);
        self.need(&["into"])?;
        self.name()?;
        if self.take(&["as"]) {
            self.plain_name()?;
        }
        if self.left.first() == Some(&Token::Mark('(')) {
            self.bracketed_names()?;
        }
        if self.take(&["default"]) {
            self.need(&["values"])?;
        } else if self.take(&["values", "value"]) {
            self.rows()?;
        } else if self.take(&["set"]) {
            self.assignments()?;
        } else {
            self.query()?;
        }
        if self.take(&["on"]) {
            self.conflict()?;
        }
        self.returning()
    }

    /// `CONFLICT (…) DO UPDATE SET …`, or `DUPLICATE KEY UPDATE …`.
    pub(super) fn conflict(&mut self) -> Result<(), String> {
        if self.take(&["duplicate"]) {
            self.need(&["key"])?;
            self.need(&["update"])?;
            return self.assignments();
        }
        self.need(&["conflict"])?;
        if self.left.first() == Some(&Token::Mark('(')) {
            self.bracketed_names()?;
        }
        self.need(&["do"])?;
        if self.take(&["nothing"]) {
            return Ok(());
        }
        self.need(&["update"])?;
        self.need(&["set"])?;
        self.assignments()?;
        if self.take(&["where"]) { self.expression() } else { Ok(()) }
    }

    pub(super) fn rows(&mut self) -> Result<(), String> {
        loop {
            if !self.mark('(') {
                return Err(self.wrong("("));
            }
            self.expressions()?;
            self.close()?;
            if !self.mark(',') {
                return Ok(());
            }
        }
    }

    pub(super) fn assignments(&mut self) -> Result<(), String> {
        loop {
            self.name()?;
            if self.left.first() != Some(&Token::Operator("=")) {
                return Err(self.wrong("="));
            }
            self.left = &self.left[1..];
            self.expression()?;
            if !self.mark(',') {
                return Ok(());
            }
        }
    }

    pub(super) fn update(&mut self) -> Result<(), String> {
        self.need(&["update"])?;
        self.table()?;
        self.need(&["set"])?;
        self.assignments()?;
        if self.take(&["from"]) {
            self.tables()?;
        }
        self.condition()
    }

    pub(super) fn delete(&mut self) -> Result<(), String> {
        self.need(&["delete"])?;
        self.need(&["from"])?;
        self.table()?;
        if self.take(&["using"]) {
            self.tables()?;
        }
        self.condition()
    }

    pub(super) fn condition(&mut self) -> Result<(), String> {
        if self.take(&["where"]) {
            self.expression()?;
        }
        self.tail()?;
        self.returning()
    }

    pub(super) fn returning(&mut self) -> Result<(), String> {
        if !self.take(&["returning"]) || self.mark('*') { Ok(()) } else { self.expressions() }
    }
}
