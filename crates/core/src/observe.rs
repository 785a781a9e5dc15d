//! Observe: outcomes → mergeable windows per arm.
//!
//! A window is small and made of counts: it does not grow with traffic, merging is exact (integers
//! only, ordered maps) and commutes, so that windows of several gateways, or of before and after a
//! crash, add up to the same bytes in any order.

mod counts;
mod histogram;
mod usage;
mod window;

pub use counts::Counts;
pub use histogram::Histogram;
pub use usage::{Spending, Usage};
pub use window::{Estimate, Feedback, Outcome, Timing, WideSum, Window};
