//! Observe: outcomes are counted by arm for the controller, and shown to Prometheus.

mod collector;
mod metrics;
mod outage;
mod recent;
mod tools;

pub(crate) use collector::{Collector, FeedbackOn};
pub(crate) use metrics::{
    AnswerSample, ArmView, Format, Metrics, ReleaseView, RetrievalResult, StatusClass, TableView,
    joined_pages,
};
pub(crate) use outage::{began, ended, filed, lasts};
pub(crate) use tools::Calls;
