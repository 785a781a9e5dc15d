//! Degrade: what of a service is switched off, by an operator's order, to relieve it.
//!
//! Each level switches off what the level before does and more. It is of the service and not of an
//! arm: both arms answer alike. What an answer at a level says is about the level as much as about
//! its version set, so it is counted apart and never compared.

use crate::ids::UnixMs;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much is switched off. It is journalled as its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum DegradeLevel {
    /// 1: expensive tools are off, answers are cut short.
    Short,
    /// 2: retrieval is off too, and a smaller model answers.
    Small,
    /// 3: only those on the allow-list are served.
    AllowList,
    /// 4: everyone gets one fixed text, and no model is asked.
    FixedText,
}

impl DegradeLevel {
    /// All, the lowest first.
    pub const ALL: [DegradeLevel; 4] = [
        DegradeLevel::Short,
        DegradeLevel::Small,
        DegradeLevel::AllowList,
        DegradeLevel::FixedText,
    ];

    /// Its number, 1 to 4.
    pub fn number(self) -> u8 {
        match self {
            DegradeLevel::Short => 1,
            DegradeLevel::Small => 2,
            DegradeLevel::AllowList => 3,
            DegradeLevel::FixedText => 4,
        }
    }

    /// The level with this number; `None` for any other number, 0 (nothing is off) among them.
    pub fn of(number: u8) -> Option<DegradeLevel> {
        DegradeLevel::ALL.into_iter().find(|level| level.number() == number)
    }
}

impl From<DegradeLevel> for u8 {
    fn from(level: DegradeLevel) -> u8 {
        level.number()
    }
}

impl TryFrom<u8> for DegradeLevel {
    type Error = String;
    fn try_from(number: u8) -> Result<DegradeLevel, String> {
        DegradeLevel::of(number).ok_or_else(|| format!("level {number}; there are 1 to 4"))
    }
}

impl fmt::Display for DegradeLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// A service that is degraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degraded {
    /// How much is switched off.
    pub level: DegradeLevel,
    /// Who ordered it.
    pub by: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// Since when.
    pub since: UnixMs,
}

impl Degraded {
    /// Degraded to this level from a moment on.
    pub fn new(level: DegradeLevel, by: &str, reason: &str, since: UnixMs) -> Degraded {
        Degraded { level, by: by.to_owned(), reason: reason.to_owned(), since }
    }
}

/// What a level needs and the project does not have. The level does the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// No tool is marked as expensive: all tools stay on.
    ExpensiveTools,
    /// The version set sends no index: there is no retrieval to switch off.
    Retrieval,
    /// No smaller model is named: the version set's own answers.
    SmallerModel,
    /// No one is on the allow-list: everyone is still served.
    AllowList,
}

/// What the project has of what levels need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Has {
    /// A tool that is marked as expensive.
    pub expensive_tools: bool,
    /// An index that is sent to the model server.
    pub retrieval: bool,
    /// A smaller model.
    pub smaller_model: bool,
    /// An allow-list.
    pub allow_list: bool,
}

impl DegradeLevel {
    /// What the project lacks for this level. At the last one no model is asked, so that what the
    /// levels before need does not matter.
    pub fn lacks(self, has: Has) -> Vec<Lack> {
        if self == DegradeLevel::FixedText {
            return Vec::new();
        }
        let from = |level, has: bool, lack| (self >= level && !has).then_some(lack);
        let lacks = [
            from(DegradeLevel::Short, has.expensive_tools, Lack::ExpensiveTools),
            from(DegradeLevel::Small, has.retrieval, Lack::Retrieval),
            from(DegradeLevel::Small, has.smaller_model, Lack::SmallerModel),
            from(DegradeLevel::AllowList, has.allow_list, Lack::AllowList),
        ];
        lacks.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_its_number() {
        for level in DegradeLevel::ALL {
            assert_eq!(DegradeLevel::of(level.number()), Some(level));
            let text = serde_json::to_string(&level).unwrap();
            assert_eq!(text, level.number().to_string());
            assert_eq!(serde_json::from_str::<DegradeLevel>(&text).unwrap(), level);
        }
        assert_eq!(DegradeLevel::of(0), None);
        assert!(serde_json::from_str::<DegradeLevel>("5").is_err());
        assert!(DegradeLevel::ALL.is_sorted());
    }

    #[test]
    fn a_level_says_what_it_lacks() {
        let nothing = Has {
            expensive_tools: false,
            retrieval: false,
            smaller_model: false,
            allow_list: false,
        };
        let count = |level: DegradeLevel, has| level.lacks(has).len();
        assert_eq!(DegradeLevel::ALL.map(|level| count(level, nothing)), [1, 3, 4, 0]);
        let model = Has { smaller_model: true, ..nothing };
        assert!(!DegradeLevel::Small.lacks(model).contains(&Lack::SmallerModel));
    }
}
