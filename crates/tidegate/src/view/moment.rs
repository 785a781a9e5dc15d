//! Moments for people.

use crate::clock::rfc3339;
use tidegate_core::ids::UnixMs;

/// A moment for people, such as `2026-11-28 14:05 UTC`.
pub(super) fn moment(at: UnixMs) -> String {
    let text = rfc3339(at);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}
