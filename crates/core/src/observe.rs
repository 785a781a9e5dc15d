//! Observe: outcomes → mergeable windows per arm.
//!
//! A window is small and made of counts: it does not grow with traffic, merging is exact (integers
//! only, ordered maps) and commutes, so that windows of several gateways, or of before and after a
//! crash, add up to the same bytes in any order.

mod counts;
mod histogram;
mod outage;
mod outcome;
mod usage;
mod wide_sum;
mod window;

pub use counts::Counts;
pub use histogram::Histogram;
pub use outage::{FailedRequest, Outage, OutageChange, OutageLog, OutageRun, OutageWatch};
pub use outcome::{Estimate, Feedback, Outcome, Timing};
pub use usage::{ArmUsage, Spending};
pub use wide_sum::WideSum;
pub use window::Window;
