//! What an error says to a client, in whichever form that has the status in it.

/// What an error says to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorBody<'a> {
    /// The status it is sent with, or would be: in a stream none is.
    pub status: u16,
    /// What was given and what is allowed; no secret, no prompt.
    pub message: &'a str,
    /// The member of the request at fault.
    pub param: Option<&'a str>,
    /// Tidegate's code for it.
    pub code: &'a str,
    /// The request's trace id, by which its record is found.
    pub trace_id: Option<&'a str>,
    /// How long to wait before trying again, seconds; Anthropic has it as a header alone.
    pub retry_after_s: Option<u64>,
}
