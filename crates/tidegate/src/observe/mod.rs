//! Observe: outcomes are counted by arm for the controller, and shown to Prometheus.

mod collector;
mod metrics;
mod recent;

pub(crate) use collector::{Collector, FeedbackOn};
pub(crate) use metrics::{AnswerSample, Metrics, StatusClass, TableView, joined_pages};
