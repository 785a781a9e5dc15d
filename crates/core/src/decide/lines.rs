//! Lines.
use super::plan::LineRule;
use super::types::Reason;
use crate::observe::Window;
use serde::{Deserialize, Serialize};

/// x
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// x
    pub estimate: f64,
}
/// x
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// x
    Pass,
}
/// x
pub fn compare(_rule: &LineRule, _s: &Window, _c: &Window, _alpha: f64) -> (Verdict, Reason) {
    unimplemented!()
}
