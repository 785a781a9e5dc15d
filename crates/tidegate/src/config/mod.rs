//! The user's project file, `tidegate.yaml`: its shape, how it is read, and its errors.

mod address;
mod cache;
mod check;
mod contract;
mod cors;
mod degrade;
mod environment;
mod error;
mod gate_file;
mod judge;
mod lineage;
mod load;
mod moderation;
mod money;
mod places;
mod plan;
mod precheck;
mod project;
mod prompt;
mod records;
mod release;
mod reserved;
mod retrieval;
mod risk;
mod schema;
mod sentinel;
mod shadow;
mod texts;
mod tls;
mod upstream;
mod workspace;
mod yaml;

#[cfg(feature = "bedrock")]
pub(crate) use address::BEDROCK_MODELS;
pub(crate) use address::{
    ANTHROPIC_COUNTS, ANTHROPIC_MESSAGES, AZURE, BaseUrlProblem, CHAT_COMPLETIONS, GEMINI_MODELS,
    endpoint_below, is_open_to_all, is_this_machine, listen_addr,
};
pub(crate) use cache::CacheConfig;
pub(crate) use contract::Contract;
pub(crate) use degrade::DegradeConfig;
pub(crate) use environment::Environment;
pub(crate) use error::ConfigError;
pub(crate) use gate_file::GateFile;
pub(crate) use judge::{JudgeConfig, ResponseFormat};
pub(crate) use lineage::FineTune;
pub(crate) use load::{Loaded, YamlValue, load, parse_yaml, parse_yaml_value};
pub(crate) use moderation::{ModerationConfig, Side};
pub(crate) use money::{Prices, PriorityName};
pub(crate) use plan::plan_parts;
pub(crate) use project::*;
pub(crate) use prompt::{PromptCase, PromptConfig};
pub(crate) use records::*;
pub(crate) use reserved::{reserved, reserved_host};
pub(crate) use retrieval::*;
pub(crate) use risk::*;
pub(crate) use schema::schema;
pub(crate) use shadow::ShadowConfig;
pub(crate) use tls::Tls as TlsFiles;
pub(crate) use upstream::*;
pub(crate) use workspace::{WORKSPACE_FILE, Workspace};

#[cfg(test)]
mod tests;
