//! Sets that may not be released again.

use crate::decide::Cause;
use crate::ids::{ChangeId, UnixMs};
use serde::{Deserialize, Serialize};

/// Why a set may not be released again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The release that was rolled back.
    pub change_id: ChangeId,
    /// When the rollback was decided.
    pub at: UnixMs,
    /// The first reason of that decision; absent where it gave none.
    pub reason: Option<Cause>,
}
