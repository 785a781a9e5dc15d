//! Sums of squares.

use serde::{Deserialize, Serialize};

/// A sum of squares; wide, and written as decimal text since JSON numbers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WideSum(pub u128);

impl Serialize for WideSum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for WideSum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(WideSum).map_err(serde::de::Error::custom)
    }
}
