//! What types cannot say about a project file: names that must exist, ranges, and safe listening.

mod money;
mod risk;
mod shadow;

use super::address::{endpoint_below, is_open_to_all, listen_addr};
use super::cors::check_origin;
use super::error::{ConfigError, Result};
use super::places::Places;
use super::plan::{metric, rules};
use super::project::{Credential, Project};
use super::release::{AudienceKind, RungConfig};
use super::yaml::{Source, any_of};
use crate::clock::span;
use crate::near;
use std::collections::BTreeSet;
use tidegate_core::ids::ServiceName;
use tidegate_core::route::Weight;

mod endpoints;
mod evals;
mod upstreams;

/// Highest `cache.max_mb`: 64 GiB.
const CACHE_MB_MAX: u64 = 65_536;
/// Highest `degrade.max_tokens`: far more than any answer has.
const DEGRADED_TOKENS_MAX: u64 = 1_000_000;
/// What is wrong with an address that is not this machine's own.
const REACHABLE: &str = "can be reached from other machines, and there are no `credentials`";
/// Longest look at a rung, seconds: a year.
const MAX_LOOK_S: f64 = 366.0 * 86_400.0;
/// Longest time limit, ms: a day.
const MAX_LIMIT_MS: u64 = 86_400_000;

/// Checks a project that was read; errors carry the places of the file.
pub(super) struct Checker<'a> {
    /// The file.
    pub(super) source: &'a Source<'a>,
    /// Its places.
    pub(super) places: &'a Places,
}

impl Checker<'_> {
    /// Checks everything, in the order of the file's keys.
    pub(super) fn check(&self, project: &Project) -> Result<()> {
        self.names(project)?;
        self.listening(project)?;
        self.credentials(&project.credentials)?;
        self.cors(project)?;
        self.artifacts(project)?;
        for (name, upstream) in &project.upstreams {
            self.upstream(&format!("upstreams.{name}"), upstream)?;
        }
        self.contract(project)?;
        self.limits(project)?;
        self.lines(project)?;
        self.release(project)?;
        self.shadow(project)?;
        self.evals(project)?;
        self.sentinel(project)?;
        self.money(project)?;
        self.records(project)?;
        self.cache_and_degrade(project)?;
        self.environments(project)?;
        self.risk(project)
    }

    fn error(&self, path: &str, message: impl AsRef<str>) -> ConfigError {
        self.source.at(self.places.value(path), &format!("{path}: {}", message.as_ref()))
    }

    pub(super) fn refuse(
        &self,
        path: &str,
        given: impl std::fmt::Display,
        allowed: &str,
    ) -> ConfigError {
        self.error(path, format!("given `{given}`, allowed {allowed}"))
    }

    pub(super) fn number(
        &self,
        path: &str,
        given: f64,
        range: (f64, f64),
        allowed: &str,
    ) -> Result<()> {
        let (least, most) = range;
        // NaN is in no range.
        if given >= least && given <= most {
            Ok(())
        } else {
            Err(self.refuse(path, given, allowed))
        }
    }

    fn sentinel(&self, project: &Project) -> Result<()> {
        let sentinel = &project.sentinel;
        if let Some(every) = &sentinel.every {
            let allowed = "a number and `s`, `m`, `h` or `d`, 1 s to 30 d, such as `6h`";
            let is_allowed = |ms: u64| (1_000..=30 * 86_400_000).contains(&ms);
            if !span(every).is_ok_and(is_allowed) {
                return Err(self.refuse("sentinel.every", every, allowed));
            }
        }
        let repeats = f64::from(sentinel.repeats);
        self.number("sentinel.repeats", repeats, (1.0, 20.0), "1 to 20")
    }

    fn environments(&self, project: &Project) -> Result<()> {
        for (name, environment) in &project.environments {
            let path = format!("environments.{name}.base_url");
            // A URL with a key in it is not repeated.
            endpoint_below(&environment.base_url, "/v1")
                .map_err(|problem| self.error(&path, problem.to_string()))?;
        }
        Ok(())
    }

    fn names(&self, project: &Project) -> Result<()> {
        self.service_name("service", &project.service)?;
        let mut seen = BTreeSet::from([project.service.as_str()]);
        for (i, alias) in project.aliases.iter().enumerate() {
            let path = format!("aliases[{i}]");
            self.service_name(&path, alias)?;
            if !seen.insert(alias) {
                return Err(self.error(&path, format!("`{alias}` is given twice")));
            }
        }
        Ok(())
    }

    fn service_name(&self, path: &str, name: &str) -> Result<()> {
        ServiceName::parse(name).map(drop).map_err(|error| self.error(path, error.to_string()))
    }

    fn listening(&self, project: &Project) -> Result<()> {
        let mut addresses = Vec::new();
        for (path, text) in [("listen", &project.listen), ("admin_listen", &project.admin_listen)] {
            let address = listen_addr(text).ok_or_else(|| {
                self.refuse(path, text, "an IP address and a port")
                    .hint("for example `127.0.0.1:8787`, or `0.0.0.0:8787` with `credentials`")
            })?;
            if is_open_to_all(address.ip(), project.asks()) {
                return Err(self
                    .error(path, format!("`{text}` {REACHABLE}"))
                    .hint(format!(
                        "listen on this machine only: `{path}: 127.0.0.1:{}`",
                        address.port()
                    ))
                    .hint("or take keys of `tidegate key create` only: `require_keys: true`")
                    .hint("or say who may call: `credentials: [{name: app, key_env: APP_KEY}]`"));
            }
            addresses.push(address);
        }
        match addresses.as_slice() {
            [data, admin] if data == admin && data.port() != 0 => Err(self
                .error("admin_listen", format!("`{admin}` is the address of `listen` too"))
                .hint("give the admin plane another address; port 0 takes a free port")),
            _ => Ok(()),
        }
    }

    fn cors(&self, project: &Project) -> Result<()> {
        let origins = &project.cors.allow_origins;
        for (i, origin) in origins.iter().enumerate() {
            let path = format!("cors.allow_origins[{i}]");
            check_origin(origin)
                .map_err(|problem| self.error(&path, format!("`{origin}` {problem}")))?;
            if origins[..i].contains(origin) {
                return Err(self.error(&path, format!("`{origin}` is given twice")));
            }
        }
        if project.cors.allows_any() && origins.len() > 1 {
            return Err(self
                .error("cors.allow_origins", "`*` allows every origin, and others are given too")
                .hint("leave out `*`, or all but `*`"));
        }
        if project.cors.allows_any() && !project.asks() {
            return Err(self
                .error(
                    "cors.allow_origins",
                    "`*` lets any page that somebody here opens use the service, and there are no \
                     credentials",
                )
                .hint("list the origins: `allow_origins: [https://app.example.com]`")
                .hint("or take keys of `tidegate key create` only: `require_keys: true`"));
        }
        Ok(())
    }

    fn credentials(&self, credentials: &[Credential]) -> Result<()> {
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for (i, credential) in credentials.iter().enumerate() {
            let path = |key: &str| format!("credentials[{i}].{key}");
            if credential.name.trim().is_empty() {
                return Err(self.error(&path("name"), "is empty; a name for logs is needed"));
            }
            if !names.insert(&credential.name) {
                return Err(
                    self.error(&path("name"), format!("`{}` is given twice", credential.name))
                );
            }
            self.env_name(&path("key_env"), &credential.key_env)?;
            if !keys.insert(&credential.key_env) {
                let text = format!("`{}` is another credential's key already", credential.key_env);
                return Err(self.error(&path("key_env"), text));
            }
            if credential.tenant.as_deref().is_some_and(|tenant| tenant.trim().is_empty()) {
                return Err(self.error(&path("tenant"), "is empty; leave the key out instead"));
            }
        }
        Ok(())
    }

    /// What is given is not repeated: people paste the secret itself here.
    fn env_name(&self, path: &str, name: &str) -> Result<()> {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if starts && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Ok(());
        }
        Err(self
            .error(path, "is not the name of an environment variable; allowed are `A-Za-z0-9_`")
            .hint("put the secret into the environment and its variable's name here"))
    }

    fn artifacts(&self, project: &Project) -> Result<()> {
        let artifacts = &project.artifacts;
        if artifacts.code.version.trim().is_empty() {
            return Err(self.error("artifacts.code.version", "is empty; a revision is needed"));
        }
        if artifacts.index.version.trim().is_empty() {
            return Err(self
                .error("artifacts.index.version", "is empty; a version is needed")
                .hint("a service without retrieval says `none`"));
        }
        let names: Vec<&str> = project.upstreams.keys().map(String::as_str).collect();
        match (&artifacts.model.upstream, names.as_slice()) {
            (_, []) => Err(self
                .error("upstreams", "is empty; one upstream at least is needed")
                .hint("`upstreams: {main: {kind: simulated}}` needs no network and no key")),
            (Some(name), names) if !names.contains(&name.as_str()) => {
                let allowed = any_of(names);
                Err(self.refuse("artifacts.model.upstream", name, &allowed))
            }
            (None, [_, _, ..]) => Err(self
                .error(
                    "artifacts.model",
                    "there is more than one upstream and `upstream` is not set",
                )
                .hint(format!("name one: `artifacts: {{model: {{upstream: {}}}}}`", names[0]))),
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn contract(&self, project: &Project) -> Result<()> {
        let Some(output) = &project.contract.output else { return Ok(()) };
        jsonschema::validator_for(output).map(drop).map_err(|error| {
            self.error("contract.output", format!("is not a JSON Schema: {error}"))
        })
    }

    fn limits(&self, project: &Project) -> Result<()> {
        let limits = &project.limits;
        let max_concurrent = limits.max_concurrent as u64;
        let bounds = [
            ("max_body_bytes", limits.max_body_bytes, 1, 1 << 30),
            ("max_concurrent", max_concurrent, 1, 100_000),
            // No waiting is a choice; no time at all is not.
            ("queue_ms", limits.queue_ms, 0, MAX_LIMIT_MS),
            ("first_byte_ms", limits.first_byte_ms, 1, MAX_LIMIT_MS),
            ("idle_ms", limits.idle_ms, 1, MAX_LIMIT_MS),
            ("total_ms", limits.total_ms, 1, MAX_LIMIT_MS),
            ("retries", u64::from(limits.retries), 0, 10),
            ("stop_notice_ms", limits.stop_notice_ms, 0, MAX_LIMIT_MS),
            ("drain_ms", limits.drain_ms, 0, MAX_LIMIT_MS),
        ];
        for (key, given, least, most) in bounds {
            if !(least..=most).contains(&given) {
                let path = format!("limits.{key}");
                return Err(self.refuse(&path, given, &format!("{least} to {most}")));
            }
        }
        Ok(())
    }

    fn lines(&self, project: &Project) -> Result<()> {
        for (name, config) in &project.lines {
            let place = self.places.key(&format!("lines.{name}"));
            let at = |error: ConfigError| error.at(self.source.file, place);
            metric(name).map_err(at)?;
            // Alone, so that the error points at this metric.
            let mut alone = project.clone();
            alone.lines.retain(|other, _| other == name);
            if !config.off {
                rules(&alone).map_err(at)?;
            }
        }
        rules(project)
            .map(drop)
            .map_err(|error| error.at(self.source.file, self.places.value("lines")))
    }

    fn release(&self, project: &Project) -> Result<()> {
        let release = &project.release;
        if let Some(rungs) = &release.rungs {
            self.rungs(rungs)?;
        }
        // Evidence grows with the logarithm of 1 / alpha: below a millionth nothing is proven.
        if !(release.alpha >= 1e-6 && release.alpha < 0.5) {
            let allowed = "0.000001 and more, below 0.5";
            // Written with its exponent: 1e-300 is not shown as 300 zeros.
            let given = format!("{:?}", release.alpha);
            return Err(self.refuse("release.alpha", given, allowed));
        }
        // NaN is refused where the file is read.
        if !(0.0..50.0).contains(&release.hold_back_pct) {
            let allowed = "0 and more, below 50";
            return Err(self.refuse("release.hold_back_pct", release.hold_back_pct, allowed));
        }
        if let [.., before, last] = super::plan::rungs(project).as_slice()
            && before.weight >= last.weight
        {
            let room = before.weight.rest().pct();
            let text = format!(
                "the last rung is {} with the hold-back of {} %: not above the rung before it, {}",
                last.weight, release.hold_back_pct, before.weight
            );
            return Err(self
                .error("release.hold_back_pct", text)
                .hint(format!("set `release.hold_back_pct` below {room}, or take that rung out")));
        }
        let bounds = [
            ("bad_budget", release.bad_budget, 1, 1_000_000_000),
            ("min_samples", release.min_samples, 1, 1_000_000_000),
            ("tick_ms", release.tick_ms, 10, 3_600_000),
            ("stale_after_s", release.stale_after_s, 1, 30 * 86_400),
            ("harm_budget", release.harm_budget, 0, 1_000_000_000),
            ("pause_max_s", release.pause_max_s, 0, 30 * 86_400),
        ];
        for (key, given, least, most) in bounds {
            if !(least..=most).contains(&given) {
                let path = format!("release.{key}");
                return Err(self.refuse(&path, given, &format!("{least} to {most}")));
            }
        }
        let listed = !release.allow_list.is_empty();
        match release.audience {
            AudienceKind::AllowList if !listed => Err(self
                .error("release.audience", "`allow_list` needs users")
                .hint("name them: `release: {audience: allow_list, allow_list: [ann, bo]}`")),
            AudienceKind::Users | AudienceKind::Tenants | AudienceKind::Keys if listed => Err(self
                .error("release.allow_list", "is read with `audience: allow_list` only")
                .hint("set `release.audience: allow_list`, or take the list out")),
            // Keys of `tidegate key create` have tenants as well, and are not written here.
            AudienceKind::Tenants
                if !project.require_keys
                    && project.credentials.iter().all(|credential| credential.tenant.is_none()) =>
            {
                Err(self
                    .error("release.audience", "`tenants` needs a credential with a `tenant`")
                    .hint("without tenants every request stays with the stable arm"))
            }
            AudienceKind::Keys if !project.asks() => Err(self
                .error("release.audience", "`keys` needs credentials, or `require_keys: true`")
                .hint("without keys every request stays with the stable arm")),
            AudienceKind::Users
            | AudienceKind::AllowList
            | AudienceKind::Tenants
            | AudienceKind::Keys => Ok(()),
        }
    }

    fn rungs(&self, rungs: &[RungConfig]) -> Result<()> {
        let mut before = Weight::ZERO;
        for (i, rung) in rungs.iter().enumerate() {
            let path = |key: &str| format!("release.rungs[{i}].{key}");
            let weight = Weight::from_pct(rung.weight_pct).filter(|weight| *weight > Weight::ZERO);
            let Some(weight) = weight else {
                let allowed = "0.01 to 100 (percent)";
                return Err(self.refuse(&path("weight_pct"), rung.weight_pct, allowed));
            };
            if weight <= before {
                let text = format!("rung {weight} is not above the rung before it, {before}");
                return Err(self.error(&path("weight_pct"), text));
            }
            self.number(&path("look_s"), rung.look_s, (0.0, MAX_LOOK_S), "0 to 31622400 (a year)")?;
            before = weight;
        }
        if rungs.is_empty() {
            return Err(self
                .error("release.rungs", "a ladder has at least one rung")
                .hint("take `rungs` out for the preset's ladder"));
        }
        if before != Weight::FULL {
            return Err(self
                .error(
                    "release.rungs",
                    format!("the last rung is {before}; a ladder ends at 100 %"),
                )
                .hint("add `- {weight_pct: 100, look_s: 300}`"));
        }
        Ok(())
    }

    fn records(&self, project: &Project) -> Result<()> {
        let days = project.records.retention_days;
        if !(1..=3_660).contains(&days) {
            return Err(self.refuse("records.retention_days", days, "1 to 3660"));
        }
        self.audited(project)
    }

    /// A tenant by a name that no credential has would not be audited, and nobody would notice.
    fn audited(&self, project: &Project) -> Result<()> {
        let tenants: BTreeSet<&str> =
            project.credentials.iter().filter_map(|c| c.tenant.as_deref()).collect();
        for (i, name) in project.records.audit_tenants.iter().enumerate() {
            if !tenants.contains(name.as_str()) {
                let text = format!("`{name}` is the tenant of no credential");
                let unknown = self.error(&format!("records.audit_tenants[{i}]"), text);
                return Err(match near::hint(name, tenants) {
                    Some(hint) => unknown.hint(hint),
                    None => unknown.hint("`credentials[].tenant` says the tenant of a key"),
                });
            }
        }
        Ok(())
    }

    fn cache_and_degrade(&self, project: &Project) -> Result<()> {
        let crate::config::CacheConfig { max_mb, ttl_s } = project.cache;
        let most = CACHE_MB_MAX as f64;
        self.number("cache.max_mb", max_mb as f64, (0.0, most), "0 to 65536")?;
        self.number("cache.ttl_s", ttl_s as f64, (1.0, 86_400.0), "1 to 86400")?;
        if !(1..=DEGRADED_TOKENS_MAX).contains(&project.degrade.max_tokens) {
            let given = project.degrade.max_tokens;
            return Err(self.refuse("degrade.max_tokens", given, "1 to 1000000"));
        }
        Ok(())
    }
}
