use super::plan::Plan;
use super::types::*;
use crate::ids::UnixMs;
/// Decides.
pub fn decide(
    _plan: &Plan,
    _state: &ReleaseState,
    _observation: &Observation,
    _now: UnixMs,
) -> Decision {
    unimplemented!()
}
