//! One fixed text for everyone: what is answered while no model is asked.

use super::completion::{self, Pace, Schedule};
use super::{Call, Reply, UpstreamError};
use crate::clock::Clock;
use std::time::Duration;
use tidegate_wire::Finish;
use tidegate_wire::openai_chat::Completion;

/// Answers a call with this text, at once and for nothing.
pub(crate) async fn fixed(call: Call, text: String, clock: &Clock) -> Result<Reply, UpstreamError> {
    let completion = Completion {
        id: format!("chatcmpl-{}", call.request_id),
        created: clock.now().0 / 1000,
        model: completion::model(&call.body).to_owned(),
        fingerprint: "degraded",
        text,
        tool: None,
        finish: Finish::Stop,
        tokens_in: 0,
        tokens_out: 0,
    };
    let schedule = Schedule { first_token: Duration::ZERO, total: Duration::ZERO, cut: false };
    Pace::start(clock, call.deadlines).deliver(&call, &completion, schedule).await
}
