//! Which packs have samples of someone. A pack is sealed, so a deletion of records does not reach
//! it: it is named instead.

use super::clean::pseudonym_in;
use crate::store::Whose;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tidegate_core::ids::UnixMs;
use tidegate_core::journal::ControlState;
use tidegate_core::text::redact;

/// What a sample says of whose it is.
#[derive(Deserialize)]
struct Sample {
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    user: Option<String>,
    at: UnixMs,
}

/// The packs of the project that have samples of someone, by their folder, with how many. A pack
/// that was moved away is not looked at.
pub(crate) fn packs_with_samples_of(
    root: &Path,
    state: &ControlState,
    whose: &Whose,
) -> BTreeMap<String, u64> {
    let releases = state.releases.values().filter_map(|release| {
        Some((release.pack.as_ref()?.path.as_str(), release.plan.salt.as_str()))
    });
    let incidents = state
        .incidents
        .iter()
        .filter_map(|(id, incident)| Some((incident.pack.as_ref()?.path.as_str(), id.as_str())));
    let mut found = BTreeMap::new();
    for (path, salt) in releases.chain(incidents) {
        let is_meant = |sample: &Sample| is_of(sample, salt, whose);
        let count = samples(&root.join(path)).iter().filter(|sample| is_meant(sample)).count();
        if count > 0 {
            found.insert(path.to_owned(), count as u64);
        }
    }
    found
}

fn is_of(sample: &Sample, salt: &str, whose: &Whose) -> bool {
    let Whose { tenant, users, before } = whose;
    let is_user = |user: &str| users.iter().any(|name| pseudonym_in(salt, name) == user);
    sample.at < *before
        && tenant.as_deref().is_none_or(|meant| sample.tenant == Some(redact(meant)))
        && (users.is_empty() || sample.user.as_deref().is_some_and(is_user))
}

fn samples(pack: &Path) -> Vec<Sample> {
    let folders = ["failing", "representative"].map(|name| pack.join("samples").join(name));
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let json =
        files.map(|file| file.path()).filter(|path| path.extension() == Some("json".as_ref()));
    json.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect()
}
