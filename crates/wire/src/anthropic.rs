//! The dialect of Anthropic's Messages API.

pub(crate) mod shape;
