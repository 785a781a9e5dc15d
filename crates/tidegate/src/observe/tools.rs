//! The tool calls of the last answers, so that the request that brings a tool's result says how
//! long the tool took. The client runs the tools: its time includes the network, both ways.

use super::recent::Recent;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Calls kept, the oldest out first; each about 200 bytes.
const CALLS_MAX: usize = 16_384;

/// Whose call it is: ids are the model server's, and two tenants may be given the same.
type Key = (Option<String>, String);

/// Calls that wait for their result: the tool, and when it was called.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    waiting: Mutex<Recent<Key, (String, Instant), CALLS_MAX>>,
}

impl Calls {
    fn waiting(&self) -> MutexGuard<'_, Recent<Key, (String, Instant), CALLS_MAX>> {
        // Each change is whole after its statement.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a call; the latest of an id counts.
    pub(crate) fn called(&self, tenant: Option<&str>, call_id: &str, tool: &str, at: Instant) {
        let key = (tenant.map(str::to_owned), call_id.to_owned());
        self.waiting().insert(key, (tool.to_owned(), at));
    }

    /// The tool of a call, and when it was called; once.
    pub(crate) fn take(&self, tenant: Option<&str>, call_id: &str) -> Option<(String, Instant)> {
        let key = (tenant.map(str::to_owned), call_id.to_owned());
        self.waiting().take(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_once_and_only_by_its_tenant() {
        let (calls, now) = (Calls::default(), Instant::now());
        calls.called(Some("acme"), "call_1", "lookup_order", now);
        assert_eq!(calls.take(Some("beta"), "call_1"), None);
        assert_eq!(calls.take(None, "call_1"), None);
        assert_eq!(calls.take(Some("acme"), "call_1"), Some(("lookup_order".to_owned(), now)));
        assert_eq!(calls.take(Some("acme"), "call_1"), None);
    }
}
