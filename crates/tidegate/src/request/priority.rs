//! Whose requests go first where there are too few places: by the caller's key and tenant, and
//! later where the request itself asks for that.

use super::arrival::Arrival;
use super::code::Code;
use super::gateway::Gateway;
use super::problem::Problem;
use http::HeaderValue;
use http::header::HeaderName;
use tidegate_core::access::Priority;

/// A request's own wish to go after others.
pub(super) const X_PRIORITY: HeaderName = HeaderName::from_static("x-tidegate-priority");
/// Longest part of a wrong one that an error repeats, characters.
const SHOWN_MAX: usize = 40;

/// A request's priority: its caller's, or a lower one that it asks for.
pub(super) fn of(gateway: &Gateway, arrival: &Arrival) -> Result<Priority, Problem> {
    let caller = &arrival.caller;
    let of_tenant = caller.tenant.as_deref().map(|tenant| gateway.priority_of(tenant));
    let of_key = caller.holder.as_ref().and_then(|holder| holder.held.grant.priority);
    let of_caller = Priority::of_caller(of_tenant, of_key);
    match &arrival.wish {
        None => Ok(of_caller),
        Some(given) => asked(given).map(|asked| asked.min(of_caller)),
    }
}

fn asked(given: &HeaderValue) -> Result<Priority, Problem> {
    let text = String::from_utf8_lossy(given.as_bytes());
    Priority::parse(&text).ok_or_else(|| {
        let shown: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
        let message = format!(
            "`{X_PRIORITY}` is `{shown}`; allowed are `high`, `normal` and `low`, and a request is \
             never before its key's own"
        );
        Problem::bad_request(Code::BadHeaders, message)
    })
}
