//! The demo's project: the example support desk, written to a folder that the user can look into.

use crate::error::{CliError, Result};
use std::path::Path;

macro_rules! example {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../examples/support-desk/", $path)))),*]
    };
}

/// The example's files.
const FILES: &[(&str, &str)] = example![
    "tidegate.yaml",
    "prompts/v1/system.md",
    "prompts/v1/user_template.md",
    "prompts/v1/config.yaml",
    "prompts/v2/system.md",
    "prompts/v2/user_template.md",
    "prompts/v2/config.yaml",
    "prompts/v3/system.md",
    "prompts/v3/user_template.md",
    "prompts/v3/config.yaml",
    "prompts/v4/system.md",
    "prompts/v4/user_template.md",
    "prompts/v4/config.yaml",
    "prompts/v5/system.md",
    "prompts/v5/user_template.md",
    "prompts/v5/config.yaml",
    "evals/eval_cases.csv",
    "evals/dataset.jsonl",
    "knowledge/refunds.md",
    "knowledge/shipping.md",
    "knowledge/warranty.md",
    "tools/tools.yaml",
];

/// Writes the project; `faults` is YAML for the simulated upstream, `seed` its seed.
pub(crate) fn write(root: &Path, seed: u64, faults: Option<&str>) -> Result<()> {
    for (path, content) in FILES {
        let content = if *path == "tidegate.yaml" {
            configured(content, seed, faults)
        } else {
            (*content).to_owned()
        };
        write_file(&root.join(path), &content)?;
    }
    // A plain file instead of a link: it works on every file system.
    write_file(&root.join("prompts/current"), "v1\n")
}

/// The example's configuration with the demo's seed and faults in its simulated upstream.
fn configured(example: &str, seed: u64, faults: Option<&str>) -> String {
    let mut text = String::new();
    for line in example.lines() {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("seed:") {
            text.push_str(&format!("{}seed: {seed}\n", " ".repeat(indent)));
            if let Some(faults) = faults {
                text.push_str(&format!("{}faults: {faults}\n", " ".repeat(indent)));
            }
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn write_file(path: &Path, content: &str) -> Result<()> {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, content));
    written.map_err(|e| CliError::internal(format!("cannot write {}: {e}", path.display())))
}
