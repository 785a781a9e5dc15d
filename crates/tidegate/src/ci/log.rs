//! What a stage prints, as evidence: without secrets and personal data, and within a bound.

use tidegate_core::text::redact;

/// Most bytes that are kept of one stage; what follows is counted only.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest line that is kept, bytes; the rest of it is left out.
pub(super) const LINE_MAX: usize = 16 * 1024;
/// Shortest value that is masked, characters: a shorter one is in every other word.
const SECRET_MIN: usize = 4;
const MASK: &str = "***";

/// The log of one stage.
pub(super) struct Log {
    secrets: Vec<String>,
    kept: String,
    left_out: u64,
}

impl Log {
    /// An empty log; these values are masked in it.
    pub(super) fn new(secrets: impl Iterator<Item = String>) -> Log {
        // The longest first: one may be the beginning of another.
        let mut secrets: Vec<String> =
            secrets.filter(|value| value.chars().count() >= SECRET_MIN).collect();
        secrets.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Log { secrets, kept: String::new(), left_out: 0 }
    }

    /// A line without the values of secrets, as it is shown.
    pub(super) fn masked(&self, line: &str) -> String {
        self.secrets.iter().fold(line.to_owned(), |line, secret| line.replace(secret, MASK))
    }

    /// Keeps a line that is masked.
    pub(super) fn keep(&mut self, masked: &str) {
        if self.kept.len() >= BYTES_MAX {
            self.left_out += masked.len() as u64 + 1;
            return;
        }
        self.kept.push_str(&redact(masked));
        self.kept.push('\n');
    }

    /// All of it.
    pub(super) fn into_text(self) -> String {
        match self.left_out {
            0 => self.kept,
            bytes => self.kept + &format!("… {bytes} more bytes are left out\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_holds_no_secret_and_no_address() {
        let secrets = ["hunter2", "hunter2-long", "ab"].map(str::to_owned);
        let mut log = Log::new(secrets.into_iter());
        let masked = log.masked("key hunter2-long, hunter2, ab");
        assert_eq!(masked, "key ***, ***, ab");
        log.keep(&masked);
        log.keep("write to ann@example.com");
        assert_eq!(log.into_text(), "key ***, ***, ab\nwrite to [email]\n");
    }

    #[test]
    fn a_flood_is_counted_and_not_kept() {
        let mut log = Log::new(std::iter::empty());
        let line = "x".repeat(1023);
        (0..5_000).for_each(|_| log.keep(&line));
        let text = log.into_text();
        assert!(text.len() < BYTES_MAX + 100, "{}", text.len());
        assert!(text.ends_with("925696 more bytes are left out\n"), "{}", &text[BYTES_MAX..]);
    }
}
