//! `tidegate-core` answers *what should happen*: no async, clock, file, network, random source,
//! environment or log. Time and observations are arguments; answers are values with reasons.
//!
//! The modules follow a request: it is sent to an arm ([`route`]) and a model ([`upstream`]), its
//! answer is looked through ([`guard`]), counted ([`observe`]), judged ([`decide`]), and acted on
//! ([`act`]); what happened is kept ([`evidence`]), becomes cases ([`gate`]) and is in the
//! [`journal`].

pub mod access;
pub mod approval;
pub mod calendar;
pub mod data;
pub mod ids;
pub mod money;
pub mod random;
pub mod retrieval;
pub mod text;
pub mod version_set;

pub mod route;
pub mod upstream;

pub mod guard;
pub mod observe;

pub mod decide;
pub mod pairs;
pub mod say;
pub mod shadow;

pub mod act;
pub mod degrade;

pub mod evidence;
pub mod incident;

pub mod drift;
pub mod gate;

pub mod journal;

#[cfg(test)]
mod tests;
