//! Expressions: operands with operators between them.

use super::reader::Reader;
use super::tokens::Token;

impl Reader<'_, '_> {
    pub(super) fn expressions(&mut self) -> Result<(), String> {
        loop {
            self.expression()?;
            if !self.mark(',') {
                return Ok(());
            }
        }
    }

    pub(super) fn expression(&mut self) -> Result<(), String> {
        self.nested(Self::operands)
    }

    /// Operands with operators between them.
    pub(super) fn operands(&mut self) -> Result<(), String> {
        loop {
            while self.take(&["not"]) || self.sign() {}
            self.operand()?;
            self.suffixes()?;
            if !self.operator() {
                return Ok(());
            }
        }
    }

    pub(super) fn sign(&mut self) -> bool {
        let is_there = matches!(self.left.first(), Some(Token::Operator("-" | "+" | "~" | "!")));
        if is_there {
            self.left = &self.left[1..];
        }
        is_there
    }

    pub(super) fn operator(&mut self) -> bool {
        if self.mark('*') || self.take(&["and", "or", "xor", "div", "mod", "collate"]) {
            return true;
        }
        let like = ["like", "ilike", "rlike", "regexp", "glob", "match", "similar"];
        let is_not = self.is_word(&["not"]);
        let after = if is_not { &self.left[1..] } else { self.left };
        let is_like = matches!(after.first(), Some(Token::Word(word))
            if like.iter().any(|like| word.eq_ignore_ascii_case(like)));
        if is_like {
            self.left = &after[1..];
            self.take(&["to"]);
            return true;
        }
        let is_there = matches!(self.left.first(), Some(Token::Operator(text)) if *text != "!");
        if is_there {
            self.left = &self.left[1..];
        }
        is_there
    }

    /// What may follow an operand: `IS NULL`, `IN (…)`, `BETWEEN a AND b`, `OVER (…)`.
    pub(super) fn suffixes(&mut self) -> Result<(), String> {
        loop {
            if self.take(&["is"]) {
                self.take(&["not"]);
                if self.take(&["distinct"]) {
                    self.need(&["from"])?;
                    self.operand()?;
                } else {
                    self.need(&["null", "true", "false", "unknown"])?;
                }
            } else if self.take(&["isnull", "notnull"]) {
            } else if self.take_with_not("in") {
                if !self.mark('(') {
                    return Err(self.wrong("("));
                }
                self.list_or_query()?;
                self.close()?;
            } else if self.take_with_not("between") {
                self.operand()?;
                while matches!(self.left.first(), Some(Token::Operator(_) | Token::Mark('*'))) {
                    self.left = &self.left[1..];
                    self.operand()?;
                }
                self.need(&["and"])?;
                self.operand()?;
            } else if self.take(&["at"]) {
                self.need(&["time"])?;
                self.need(&["zone"])?;
                self.operand()?;
            } else if self.take(&["escape"]) {
                self.operand()?;
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn take_with_not(&mut self, word: &str) -> bool {
        let left = self.left;
        self.take(&["not"]);
        let is_there = self.take(&[word]);
        if !is_there {
            self.left = left;
        }
        is_there
    }

    pub(super) fn operand(&mut self) -> Result<(), String> {
        if self.mark('(') {
            self.list_or_query()?;
            return self.close();
        }
        if self.take(&["case"]) {
            return self.case();
        }
        if self.take(&["exists", "any", "all", "some"]) {
            return self.bracketed_query();
        }
        if self.take(&["null", "true", "false", "default"]) {
            return Ok(());
        }
        if self.take(&["interval", "date", "timestamp", "time"]) {
            return self.typed();
        }
        match self.left.first() {
            Some(Token::Value) => {
                self.left = &self.left[1..];
                Ok(())
            }
            // The functions have names of words that join.
            Some(Token::Word(word))
                if ["left", "right", "values"].contains(&&*word.to_lowercase()) =>
            {
                self.left = &self.left[1..];
                if self.mark('(') { self.arguments() } else { Err(self.wrong("(")) }
            }
            _ => self.column_or_call(),
        }
    }

    /// A value with its type before it, `DATE '2026-01-01'`, or a column or a call of that name.
    pub(super) fn typed(&mut self) -> Result<(), String> {
        if self.mark('(') {
            return self.arguments();
        }
        if self.left.first() == Some(&Token::Value) {
            self.left = &self.left[1..];
            let units = ["year", "month", "week", "day", "hour", "minute", "second"];
            self.take(&units);
        }
        Ok(())
    }

    pub(super) fn column_or_call(&mut self) -> Result<(), String> {
        self.plain_name()?;
        while self.mark('.') {
            if self.mark('*') {
                return Ok(());
            }
            self.plain_name()?;
        }
        if !self.mark('(') {
            return Ok(());
        }
        self.arguments()
    }

    /// The arguments of a call, and the window that it is over.
    pub(super) fn arguments(&mut self) -> Result<(), String> {
        if !self.mark(')') {
            self.take(&["distinct"]);
            if !self.mark('*') {
                self.expression()?;
                // `CAST(a AS INT)`, `EXTRACT(YEAR FROM a)`, `TRIM(BOTH ' ' FROM a)`.
                if self.take(&["as"]) {
                    self.name()?;
                    if self.mark('(') {
                        self.expressions()?;
                        self.close()?;
                    }
                } else if self.take(&["from", "for", "using"]) {
                    self.expression()?;
                }
                while self.mark(',') {
                    self.expression()?;
                }
                self.order()?;
            }
            self.close()?;
        }
        if self.take(&["filter"]) {
            if !self.mark('(') {
                return Err(self.wrong("("));
            }
            self.need(&["where"])?;
            self.expression()?;
            self.close()?;
        }
        if self.take(&["over"]) { self.window() } else { Ok(()) }
    }

    pub(super) fn window(&mut self) -> Result<(), String> {
        if !self.mark('(') {
            return self.plain_name();
        }
        if self.take(&["partition"]) {
            self.need(&["by"])?;
            self.expressions()?;
        }
        self.order()?;
        // A frame is words and numbers.
        while matches!(self.left.first(), Some(Token::Word(_) | Token::Value)) {
            self.left = &self.left[1..];
        }
        self.close()
    }

    pub(super) fn list_or_query(&mut self) -> Result<(), String> {
        match self.is_word(&["select", "with", "values"]) {
            true => self.nested(Self::query),
            false => self.expressions(),
        }
    }

    pub(super) fn case(&mut self) -> Result<(), String> {
        if !self.is_word(&["when"]) {
            self.expression()?;
        }
        self.need(&["when"])?;
        loop {
            self.expression()?;
            self.need(&["then"])?;
            self.expression()?;
            if !self.take(&["when"]) {
                break;
            }
        }
        if self.take(&["else"]) {
            self.expression()?;
        }
        self.need(&["end"])
    }
}
