//! The tool calls of the last answers, so that the request that brings a tool's result says how
//! long the tool took. The client runs the tools: its time includes the network, both ways.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Calls kept, the oldest out first; each about 200 bytes.
const CALLS_MAX: usize = 16_384;

/// Whose call it is: ids are the model server's, and two tenants may be given the same.
type Key = (Option<String>, String);

#[derive(Debug)]
struct Called {
    tool: String,
    at: Instant,
    turn: u64,
}

/// Calls that wait for their result.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Key, Called>,
    order: VecDeque<(u64, Key)>,
    turn: u64,
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole after its statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a call; the latest of an id counts.
    pub(crate) fn called(&self, tenant: Option<&str>, call_id: &str, tool: &str, at: Instant) {
        let mut state = self.state();
        state.turn += 1;
        let turn = state.turn;
        let key = (tenant.map(str::to_owned), call_id.to_owned());
        state.order.push_back((turn, key.clone()));
        state.waiting.insert(key, Called { tool: tool.to_owned(), at, turn });
        while state.order.len() > CALLS_MAX {
            let Some((turn, oldest)) = state.order.pop_front() else { return };
            if state.waiting.get(&oldest).is_some_and(|called| called.turn == turn) {
                state.waiting.remove(&oldest);
            }
        }
    }

    /// The tool of a call, and when it was called; once.
    pub(crate) fn take(&self, tenant: Option<&str>, call_id: &str) -> Option<(String, Instant)> {
        let key = (tenant.map(str::to_owned), call_id.to_owned());
        let called = self.state().waiting.remove(&key)?;
        Some((called.tool, called.at))
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

    #[test]
    fn the_oldest_calls_go_first() {
        let (calls, now) = (Calls::default(), Instant::now());
        for n in 0..=CALLS_MAX {
            calls.called(None, &format!("call_{n}"), "lookup_order", now);
        }
        assert_eq!(calls.take(None, "call_0"), None);
        assert!(calls.take(None, "call_1").is_some());
        // A call that was answered leaves no hole behind.
        for n in 0..3 * CALLS_MAX {
            calls.called(None, "the same", &n.to_string(), now);
        }
        assert!(calls.state().order.len() <= CALLS_MAX);
        assert!(calls.take(None, "the same").is_some());
    }
}
