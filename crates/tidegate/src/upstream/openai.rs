//! Not written yet.
use super::{Call, Reply, UpstreamError};

/// OpenAi
#[derive(Debug)]
pub(crate) struct OpenAi {}

impl OpenAi {
    /// New
    pub(crate) fn new(
        name: &str,
        base_url: &str,
        api_key_env: Option<&str>,
    ) -> crate::error::Result<Self> {
        let _ = (name, base_url, api_key_env);
        Ok(OpenAi {})
    }
    /// Call
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, UpstreamError> {
        let _ = call;
        unimplemented!()
    }
}
