//! Who may call, and how fast.
//!
//! A **key** ([`key`]) opens the door, a **grant** ([`grant`]) says what its owner may do, a
//! **quota** ([`quota`], [`allowance`]) how much of it at a time, and a **budget** ([`budget`]) for
//! how much money; [`bounds`] says which numbers either may be. [`turns`] says who waits where
//! there are too few places, by [`priority`]. Everything is counted in whole numbers, so that no
//! rounding lets a caller through or locks one out; time is an argument.

pub mod allowance;
pub mod bounds;
pub mod budget;
pub mod grant;
pub mod key;
pub mod priority;
pub mod quota;
pub mod turns;

pub use allowance::{
    Ahead, Allowance, Asked, Begun, BoundKind, Level, OverBound, OverBudget, Refused, SCOPES_MAX,
    Used, begin_all,
};
pub use bounds::{AmountError, BoundError, Bounds};
pub use budget::{Budget, Ledger, Period, Spent};
pub use grant::{Grant, HeldKey, KeyState, Role};
pub use key::{KeyError, KeyId, KeyText};
pub use priority::Priority;
pub use quota::{Bucket, Denied};
pub use turns::Turns;
