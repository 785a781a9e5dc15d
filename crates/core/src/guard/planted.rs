//! Planted texts: exact after folding, so one is enough.

use super::{RiskEvent, RiskKind};
use crate::text::{folded, readings};

/// An event for each planted text that one of the texts holds, however it is written.
pub(super) fn look<'a>(planted: &[String], texts: impl Iterator<Item = &'a str>) -> Vec<RiskEvent> {
    if planted.is_empty() {
        return Vec::new();
    }
    let texts: Vec<String> = texts.flat_map(readings).collect();
    let of = planted.len();
    let is_there = |planted: &str| {
        let planted = folded(planted);
        let planted = planted.trim();
        !planted.is_empty() && texts.iter().any(|text| text.contains(planted))
    };
    planted
        .iter()
        .enumerate()
        .filter(|(_, planted)| is_there(planted))
        .map(|(i, _)| RiskEvent {
            kind: RiskKind::Leak,
            detail: format!("planted text {} of {of}", i + 1),
        })
        .collect()
}
