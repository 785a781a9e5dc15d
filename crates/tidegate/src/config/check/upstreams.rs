//! Checks of model servers.

use super::{Checker, MAX_LIMIT_MS};
use crate::config::address::{
    ANTHROPIC_MESSAGES, AZURE, BEDROCK_MODELS, BaseUrlProblem, CHAT_COMPLETIONS, GEMINI_MODELS,
    endpoint_below,
};
use crate::config::error::Result;
use crate::config::reserved::reserved_host;
use crate::config::upstream::{
    Anthropic, Azure, Bedrock, Gemini, Simulated, SimulatedFault, Upstream,
};
use crate::config::yaml::any_of;

/// Longest answer that can be asked for, tokens: several times what any model writes.
const MAX_TOKENS: u64 = 1_000_000;

/// Where the base URL of an endpoint is in the file; number 0 is the upstream's own.
fn place(path: &str, number: usize) -> String {
    match number.checked_sub(1) {
        None => format!("{path}.base_url"),
        Some(i) => format!("{path}.endpoints[{i}].base_url"),
    }
}

impl Checker<'_> {
    pub(super) fn upstream(&self, path: &str, upstream: &Upstream) -> Result<()> {
        self.addresses(path, upstream)?;
        match upstream {
            Upstream::Openai { base_url, api_key_env, reach, .. } => {
                self.server(path, base_url, CHAT_COMPLETIONS, api_key_env.as_deref())?;
                self.endpoints(path, (base_url, CHAT_COMPLETIONS), reach)
            }
            Upstream::Azure(azure) => self.azure(path, azure),
            Upstream::Anthropic(anthropic) => self.anthropic(path, anthropic),
            Upstream::Gemini(Gemini { base_url, api_key_env, reach, .. }) => {
                self.server(path, base_url, GEMINI_MODELS, api_key_env.as_deref())?;
                self.endpoints(path, (base_url, GEMINI_MODELS), reach)
            }
            Upstream::Bedrock(bedrock) => self.bedrock(path, bedrock),
            Upstream::Replay { path: _, latency_ms: _, ms_per_token } => {
                self.time(&format!("{path}.ms_per_token"), *ms_per_token)
            }
            Upstream::Simulated(simulated) => self.simulated(path, simulated),
        }
    }

    /// No address is one that no model server has.
    fn addresses(&self, path: &str, upstream: &Upstream) -> Result<()> {
        for (i, url) in upstream.base_urls().enumerate() {
            let Some(what) = reserved_host(url) else { continue };
            if !upstream.calls_any_address() {
                let text = format!("`{url}` is {what}, and is not called");
                return Err(self
                    .error(&place(path, i), text)
                    .hint("`any_address: true` beside it, where a model server really is there"));
            }
        }
        Ok(())
    }

    fn azure(&self, path: &str, azure: &Azure) -> Result<()> {
        let Azure { base_url, api_key_env, api_version, deployment, reach, .. } = azure;
        self.server(path, base_url, AZURE, api_key_env.as_deref())?;
        self.endpoints(path, (base_url, AZURE), reach)?;
        if let Some(version) = api_version {
            self.version(&format!("{path}.api_version"), version, "2024-10-21")?;
        }
        match deployment {
            Some(name) if name.trim().is_empty() => {
                let path = format!("{path}.deployment");
                Err(self.error(&path, "is empty; leave it out where it has the model's name"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A version of an API, which is sent in a header or an address.
    fn version(&self, path: &str, version: &str, example: &str) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !version.is_empty() && version.chars().all(plain) {
            return Ok(());
        }
        Err(self
            .refuse(path, version, "letters, digits and `-`")
            .hint(format!("a version of the API, for example `{example}`")))
    }

    fn anthropic(&self, path: &str, anthropic: &Anthropic) -> Result<()> {
        let Anthropic { base_url, api_key_env, version, max_tokens, reach, .. } = anthropic;
        self.server(path, base_url, ANTHROPIC_MESSAGES, api_key_env.as_deref())?;
        self.endpoints(path, (base_url, ANTHROPIC_MESSAGES), reach)?;
        let more = reach.endpoints.iter().map(|endpoint| &endpoint.base_url);
        for (i, url) in std::iter::once(base_url).chain(more).enumerate() {
            let base = url.trim_end_matches('/');
            if !base.ends_with("/v1") {
                return Err(self
                    .refuse(&place(path, i), url, "a URL that ends with `/v1`")
                    .hint(format!("Anthropic's SDKs are given it without; write `{base}/v1`")));
            }
        }
        self.version(&format!("{path}.version"), version, "2023-06-01")?;
        if !(1..=MAX_TOKENS).contains(max_tokens) {
            return Err(self.refuse(&format!("{path}.max_tokens"), max_tokens, "1 to 1000000"));
        }
        Ok(())
    }

    fn bedrock(&self, path: &str, bedrock: &Bedrock) -> Result<()> {
        let Bedrock { region, base_url, access_key_env, secret_key_env, .. } = bedrock;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || !region.chars().all(plain) {
            return Err(self
                .refuse(&format!("{path}.region"), region, "lowercase letters, digits and `-`")
                .hint("a region of AWS, for example `us-east-1`"));
        }
        self.server(path, base_url, BEDROCK_MODELS, None)?;
        let token = bedrock.session_token_env.as_ref().map(|name| ("session_token_env", name));
        let keys = [("access_key_env", access_key_env), ("secret_key_env", secret_key_env)];
        for (key, name) in keys.into_iter().chain(token) {
            self.env_name(&format!("{path}.{key}"), name)?;
        }
        Ok(())
    }

    /// The address of a server, and where its key is.
    fn server(
        &self,
        path: &str,
        base_url: &str,
        below: &'static str,
        api_key_env: Option<&str>,
    ) -> Result<()> {
        self.base_url(&format!("{path}.base_url"), base_url, below)?;
        match api_key_env {
            Some(name) => self.env_name(&format!("{path}.api_key_env"), name),
            None => Ok(()),
        }
    }

    pub(super) fn base_url(&self, path: &str, url: &str, below: &'static str) -> Result<()> {
        let Err(problem) = endpoint_below(url, below) else { return Ok(()) };
        Err(match problem {
            // What is given may hold a key and is not repeated.
            BaseUrlProblem::Credentials | BaseUrlProblem::Query => self
                .error(path, "a URL with a user, a query or a fragment is not allowed")
                .hint("put a key into the environment and its variable's name into `api_key_env`"),
            BaseUrlProblem::Endpoint { base, path: below } => self
                .refuse(path, url, &format!("the URL before `{below}`"))
                .hint(format!("write `{base}`")),
            BaseUrlProblem::Port => self.refuse(path, url, "a port from 0 to 65535"),
            BaseUrlProblem::Scheme | BaseUrlProblem::NoHost | BaseUrlProblem::NotUrl(_) => self
                .refuse(path, url, "an `http` or `https` URL")
                .hint("up to and with `/v1`, for example `https://api.example.com/v1`"),
        })
    }

    fn time(&self, path: &str, given: f64) -> Result<()> {
        self.number(path, given, (0.0, MAX_LIMIT_MS as f64), "0 to 86400000 (a day, in ms)")
    }

    pub(super) fn share(&self, path: &str, given: f64) -> Result<()> {
        self.number(path, given, (0.0, 1.0), "0 to 1")
    }

    fn simulated(&self, path: &str, simulated: &Simulated) -> Result<()> {
        self.time(&format!("{path}.first_token_ms"), simulated.first_token_ms)?;
        self.time(&format!("{path}.ms_per_token"), simulated.ms_per_token)?;
        self.number(&format!("{path}.sigma"), simulated.sigma, (0.0, 3.0), "0 to 3")?;
        self.share(&format!("{path}.error_rate"), simulated.error_rate)?;
        for (i, fault) in simulated.faults.iter().enumerate() {
            self.fault(&format!("{path}.faults[{i}]"), fault)?;
        }
        Ok(())
    }

    fn fault(&self, path: &str, fault: &SimulatedFault) -> Result<()> {
        if let Some(rate) = fault.rate {
            self.share(&format!("{path}.rate"), rate)?;
        }
        if let Some(language) = &fault.language {
            let known = ["en", "zh", "ja"];
            if !known.contains(&language.as_str()) {
                return Err(self.refuse(&format!("{path}.language"), language, &any_of(&known)));
            }
        }
        if let Some(status) = fault.status
            && !(400..=599).contains(&status)
        {
            return Err(self.refuse(&format!("{path}.status"), status, "400 to 599"));
        }
        if let Some(slower) = fault.slower {
            self.number(&format!("{path}.slower"), slower, (0.01, 1e6), "0.01 to 1000000")?;
        }
        if let (Some(from), Some(until)) = (fault.from_s, fault.until_s)
            && until <= from
        {
            return Err(self.refuse(&format!("{path}.until_s"), until, "more than `from_s`"));
        }
        let nothing = fault.status.is_none()
            && fault.slower.is_none()
            && fault.answer.is_none()
            && !fault.cut;
        if nothing {
            return Err(self
                .error(path, "this fault changes nothing")
                .hint("give one of `status`, `slower`, `answer`, `cut: true`"));
        }
        Ok(())
    }
}
