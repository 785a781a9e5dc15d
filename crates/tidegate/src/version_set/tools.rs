//! The tool manifest: which tools a model may call, with what, and what each of them may do.

use super::contract;
use crate::config::parse_yaml;
use crate::error::{CliError, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Largest tool manifest, bytes.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// Most tools in a manifest: the largest number an OpenAI request may carry.
const TOOLS_MAX: usize = 128;
/// Longest name of a tool, characters; the OpenAI API's bound.
const TOOL_NAME_MAX: usize = 64;

/// `tools/tools.yaml`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The tools.
    pub(crate) tools: Vec<Tool>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    /// Its name in tool calls: 1 to 64 of `A-Za-z0-9_-`.
    pub(crate) name: String,
    /// What it does, for the model.
    #[serde(default)]
    pub(crate) description: String,
    /// JSON Schema of its arguments; left out for a tool without.
    #[serde(default)]
    pub(crate) parameters: Option<Value>,
    /// What it may do. There is no default: leaving it out must not grant anything.
    pub(crate) permission: Permission,
    /// Whether a call costs enough to count.
    #[serde(default)]
    pub(crate) expensive: bool,
}

/// What a tool may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Permission {
    /// It only looks.
    Read,
    /// It changes data.
    Write,
    /// It changes who may do what.
    Admin,
}

impl Manifest {
    /// Reads a manifest; `file` names it in errors.
    ///
    /// # Errors
    /// Not strict YAML, or a tool whose name or schema is not valid.
    pub(crate) fn parse(bytes: &[u8], file: &Path) -> Result<Manifest> {
        let shown = file.display();
        let text = std::str::from_utf8(bytes)
            .map_err(|_| CliError::usage(format!("{shown}: the file is not UTF-8")))?;
        let manifest: Manifest = parse_yaml(text, file)?;
        if manifest.tools.len() > TOOLS_MAX {
            return Err(CliError::usage(format!(
                "{shown}: {} tools, allowed are {TOOLS_MAX}",
                manifest.tools.len()
            )));
        }
        let mut names = BTreeSet::new();
        for (index, tool) in manifest.tools.iter().enumerate() {
            tool.check(&format!("{shown}: tools[{index}]"))?;
            if !names.insert(tool.name.as_str()) {
                return Err(CliError::usage(format!(
                    "{shown}: tools[{index}]: the name `{}` is used twice",
                    tool.name
                )));
            }
        }
        Ok(manifest)
    }

    /// The names calls are checked against; `None` when no tool is named and none is checked.
    pub(crate) fn allowed(&self) -> Option<BTreeSet<String>> {
        let names: BTreeSet<String> = self.tools.iter().map(|tool| tool.name.clone()).collect();
        (!names.is_empty()).then_some(names)
    }
}

impl Tool {
    fn check(&self, place: &str) -> Result<()> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(1..=TOOL_NAME_MAX).contains(&self.name.len()) || !self.name.bytes().all(good) {
            let given: String = self.name.chars().take(TOOL_NAME_MAX).collect();
            return Err(CliError::usage(format!(
                "{place}: the name `{}` is not valid: 1 to {TOOL_NAME_MAX} of `A-Za-z0-9_-`",
                given.escape_debug()
            )));
        }
        if let Some(schema) = &self.parameters {
            let place = format!("{place} (`{}`): parameters", self.name);
            if !schema.is_object() {
                return Err(CliError::usage(format!("{place}: a JSON Schema is an object")));
            }
            contract::compile(&place, schema)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text.as_bytes(), Path::new("tools/tools.yaml"))
    }

    fn refuse(text: &str, message: &str) {
        let error = parse(text).unwrap_err().message;
        assert!(error.contains(message), "{text:?}: {error}");
    }

    #[test]
    fn a_manifest_names_the_allowed_tools() {
        let manifest = parse(
            "tools:\n  - name: lookup_order\n    description: 查询订单\n    permission: read\n    \
             parameters: {type: object, properties: {id: {type: string}}}\n  - name: refund\n    \
             permission: write\n    expensive: true\n",
        )
        .unwrap();
        assert_eq!(manifest.tools[1].permission, Permission::Write);
        assert!(manifest.tools[1].expensive && !manifest.tools[0].expensive);
        let names: Vec<String> = manifest.allowed().unwrap().into_iter().collect();
        assert_eq!(names, ["lookup_order", "refund"]);
        assert_eq!(parse("tools: []").unwrap().allowed(), None);
    }

    #[test]
    fn a_bad_manifest_names_the_place() {
        refuse("tools:\n  - {name: 'a b', permission: read}", "tools[0]: the name `a b`");
        refuse("tools:\n  - {name: 查询, permission: read}", "tools[0]: the name");
        refuse("tools:\n  - {name: '', permission: read}", "tools[0]: the name ``");
        refuse(
            "tools:\n  - {name: a, permission: read}\n  - {name: a, permission: write}",
            "tools[1]: the name `a` is used twice",
        );
        refuse("tools:\n  - {name: a}", "permission");
        refuse("tools:\n  - {name: a, permission: root}", "root");
        refuse("tools:\n  - {name: a, permission: read, cost: 1}", "cost");
        refuse("tools:\n  - {name: a, permission: read, parameters: 3}", "an object");
        refuse(
            "tools:\n  - {name: a, permission: read, parameters: {type: objekt}}",
            "tools[0] (`a`): parameters",
        );
    }
}
