//! Where in a text something is.

/// A line and a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Counted from 1.
    pub(super) line: usize,
    /// Counted from 1, in characters.
    pub(super) column: usize,
}

impl Place {
    /// The first character.
    pub(super) const START: Place = Place { line: 1, column: 1 };

    /// The place of the character that begins at this byte; one inside a character is its start.
    pub(super) fn of(text: &str, at: usize) -> Place {
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let before = &text[..at.unwrap_or_default()];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}
