//! What is checked while every key still has its place: kinds of upstream with their keys.

use super::error::Result;
use super::places::{Node, Place};
use super::upstream::UpstreamKind;
use super::yaml::{Source, any_of, unknown_key};
use crate::near;

/// Checks the upstreams' kinds and keys while their places are still known.
pub(super) fn precheck(source: &Source<'_>, tree: &Node) -> Result<()> {
    let Some((_, upstreams)) = tree.entry("upstreams") else { return Ok(()) };
    for (name, upstream) in upstreams.value.entries() {
        let path = format!("upstreams.{}", name.value);
        let kinds: Vec<&str> = UpstreamKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let Some((_, kind)) = upstream.value.entry("kind") else {
            if matches!(upstream.value, Node::Map(_)) {
                let place = Place::of(name.referenced);
                return Err(source
                    .at(place, &format!("{path}: missing key `kind`; allowed {}", any_of(&kinds)))
                    .hint("`kind: simulated` needs no network and no key"));
            }
            continue;
        };
        let given = kind.value.text().unwrap_or_default();
        let Some(kind) = UpstreamKind::ALL.into_iter().find(|known| known.as_str() == given) else {
            let place = Place::of(kind.referenced);
            let message = format!("{path}.kind: given `{given}`, allowed {}", any_of(&kinds));
            let openai = || "any server with an OpenAI-compatible API is `openai`".to_owned();
            let hint = near::hint(given, kinds).unwrap_or_else(openai);
            return Err(source.at(place, &message).hint(hint));
        };
        upstream_keys(source, &path, kind, (Place::of(name.referenced), &upstream.value))?;
    }
    Ok(())
}

fn upstream_keys(
    source: &Source<'_>,
    path: &str,
    kind: UpstreamKind,
    (place, upstream): (Option<Place>, &Node),
) -> Result<()> {
    let foreign = |key: &str| key != "kind" && !kind.keys().contains(&key);
    if let Some((key, _)) = upstream.entries().iter().find(|(key, _)| foreign(&key.value)) {
        return Err(unknown_key(
            |text| {
                let of = format!("{text} of an upstream of kind `{}`", kind.as_str());
                source.at(Place::of(key.referenced), &of)
            },
            &key.value,
            kind.keys(),
        ));
    }
    match kind.required() {
        Some(key) if upstream.entry(key).is_none() => Err(source.at(
            place,
            &format!("{path}: an upstream of kind `{}` needs the key `{key}`", kind.as_str()),
        )),
        _ => Ok(()),
    }
}
