//! The prompt hub: the versions of the project's prompt, what differs between them, which one is
//! current, and who made it so.
//!
//! `prompts/current` says what the next `eval` and `release start` take where no version is named.
//! A running service serves its version set and never this link; so [`mod@promote`] moves the link
//! alone, and only to a version that the gate of a release would let through. What users see
//! changes by a release.
//!
//! | file | what it does |
//! |---|---|
//! | `error` | why the hub refuses |
//! | `hub` | the versions with their digests and findings; which of them are served |
//! | `promote` | moves `current`, by the gate, and writes down who and when |
//! | `trial` | tests a version: its own cases, those in `tests/prompts`, adversarial inputs |
//! | `import` | prompts of other tools as a version |
//! | `history` | the moves of `current`, and the releases that changed the prompt |

mod error;
mod history;
mod hub;
pub(crate) mod import;
mod promote;
mod trial;

pub(crate) use error::HubError;
pub(crate) use history::{Change, history};
pub(crate) use hub::{Hub, Version};
pub(crate) use promote::{Because, promote};
pub(crate) use trial::{Failed, How, Trial, trial};
