//! Not written yet.
use super::{Call, Reply, UpstreamError};

/// Simulated
#[derive(Debug)]
pub(crate) struct Simulated {}

impl Simulated {
    /// New
    pub(crate) fn new(config: &crate::config::Simulated, clock: &crate::clock::Clock) -> Self {
        let _ = (config, clock);
        Simulated {}
    }
    /// Call
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, UpstreamError> {
        let _ = call;
        unimplemented!()
    }
}
