//! Checks of `risk`: what is asked for must have something to act on. A guard that is switched on
//! and looks for nothing is worse than none.

use super::Checker;
use crate::config::error::Result;
use crate::config::{Block, ModerationConfig, Project};
use tidegate_core::text::folded;

/// Shortest planted text, characters: a shorter one could be in an honest answer.
const MIN_PLANTED_CHARS: usize = 8;
/// Longest `risk.ban_s`, s: a day.
const BAN_S_MAX: u64 = 86_400;

impl Checker<'_> {
    pub(super) fn risk(&self, project: &Project) -> Result<()> {
        let risk = &project.risk;
        if risk.ban_s > BAN_S_MAX {
            return Err(self.refuse("risk.ban_s", risk.ban_s, "0 to 86400"));
        }
        if let Some(moderation) = &risk.moderation {
            self.moderation(moderation)?;
        }
        let is_empty = |word: &String| folded(word).trim().is_empty();
        if let Some(i) = risk.words.iter().position(is_empty) {
            return Err(self
                .error(&format!("risk.words[{i}]"), "has no character that shows; a word is needed")
                .hint("take it out"));
        }
        self.planted(&risk.planted)?;
        for (i, block) in risk.block.iter().enumerate() {
            let Some((lacks, add)) = lacks(*block, project) else { continue };
            let text = format!("nothing would be blocked by it: {lacks}");
            return Err(self.error(&format!("risk.block[{i}]"), text).hint(add));
        }
        Ok(())
    }

    fn moderation(&self, moderation: &ModerationConfig) -> Result<()> {
        let ModerationConfig { url, on, deadline_ms, .. } = moderation;
        // What is given may hold a key and is not repeated.
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(self
                .error("risk.moderation.url", "allowed is an `http` or `https` URL")
                .hint("the whole address, for example `https://api.openai.com/v1/moderations`"));
        }
        self.base_url("risk.moderation.url", url, "")?;
        if on.is_empty() {
            return Err(self
                .error("risk.moderation.on", "is empty, so that the endpoint is never asked")
                .hint(
                    "allowed are `requests` and `answers`; leave out `risk.moderation` for none",
                ));
        }
        if !(1..=60_000).contains(deadline_ms) {
            return Err(self.refuse("risk.moderation.deadline_ms", deadline_ms, "1 to 60000"));
        }
        Ok(())
    }

    fn planted(&self, planted: &[String]) -> Result<()> {
        for (i, text) in planted.iter().enumerate() {
            let chars = text.trim().chars().count();
            if chars < MIN_PLANTED_CHARS {
                let text = format!("has {chars} characters, allowed {MIN_PLANTED_CHARS} or more");
                return Err(self.error(&format!("risk.planted[{i}]"), text).hint(
                    "plant a text that no honest answer contains, such as `TG-CANARY-7f3a91`",
                ));
            }
        }
        Ok(())
    }
}

/// What a project lacks for something to be blocked, and what to do; `None` where it lacks nothing,
/// or what only the artifacts say.
fn lacks(block: Block, project: &Project) -> Option<(&'static str, &'static str)> {
    let risk = &project.risk;
    match block {
        Block::Words if risk.words.is_empty() => {
            Some(("there are no `risk.words`", "add the words: `words: [赌博, gambling]`"))
        }
        Block::Moderation | Block::ModerationUnreachable if risk.moderation.is_none() => Some((
            "there is no `risk.moderation`",
            "add the endpoint: `moderation: {url: \"https://api.openai.com/v1/moderations\"}`",
        )),
        Block::Contract if project.contract.output.is_none() => Some((
            "there is no `contract.output`",
            "add the JSON Schema of answers as `contract.output`",
        )),
        Block::Arguments if project.artifacts.tools.is_none() => Some((
            "there are no `artifacts.tools`",
            "add the tools, with the JSON Schema of their arguments: `tools: tools/tools.yaml`",
        )),
        Block::Words
        | Block::Moderation
        | Block::ModerationUnreachable
        | Block::Contract
        | Block::Arguments
        | Block::Planted
        | Block::Tools
        | Block::Prompt
        | Block::Secrets
        | Block::Ids
        | Block::Personal
        | Block::Injection
        | Block::HiddenText => None,
    }
}
