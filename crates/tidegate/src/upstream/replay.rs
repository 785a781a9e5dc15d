//! Not written yet.
use super::{Call, Reply, UpstreamError};

/// Replay
#[derive(Debug)]
pub(crate) struct Replay {}

impl Replay {
    /// New
    pub(crate) fn new(
        name: &str,
        path: &std::path::Path,
        latency_ms: u64,
        ms_per_token: f64,
        clock: &crate::clock::Clock,
    ) -> crate::error::Result<Self> {
        let _ = (name, path, latency_ms, ms_per_token, clock);
        Ok(Replay {})
    }
    /// Call
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, UpstreamError> {
        let _ = call;
        unimplemented!()
    }
}
