//! The endpoints of an upstream as people see them.

use crate::lang::Lang;
use crate::output::{Tone, padded, paint};
use serde::{Deserialize, Serialize};
use tidegate_core::route::Arm;
use tidegate_core::upstream::{Standing, View};
use unicode_width::UnicodeWidthStr as _;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndpointAnswer {
    arm: Arm,
    upstream: String,
    url: String,
    /// `closed`, `open`, `probation`, or `down` while its health checks fail.
    state: String,
    /// For how long it gets no calls, ms.
    open_ms: u64,
    in_flight: u32,
    /// Time to its first byte as it counts now, ms; absent before its first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    answered: u64,
    failed: u64,
}

impl EndpointAnswer {
    /// The endpoint at `url` of an arm's upstream.
    pub(crate) fn of(arm: Arm, upstream: &str, url: String, view: View) -> EndpointAnswer {
        let View { standing, open_us, is_down, in_flight, latency_us, answered, failed, .. } = view;
        EndpointAnswer {
            arm,
            upstream: upstream.to_owned(),
            url,
            state: if is_down { "down" } else { standing.as_str() }.to_owned(),
            open_ms: open_us.div_ceil(1000),
            in_flight,
            latency_ms: latency_us.map(|us| (us / 100.0).round() / 10.0),
            answered,
            failed,
        }
    }

    fn is_well(&self) -> bool {
        self.state == Standing::Closed.as_str()
    }
}

/// A line for each endpoint; nothing where no upstream has several.
pub(crate) fn endpoints(lang: Lang, all: &[EndpointAnswer]) -> Vec<String> {
    let width = all.iter().map(|endpoint| endpoint.url.width()).max().unwrap_or(0);
    let line = |endpoint: &EndpointAnswer| {
        let EndpointAnswer { arm, upstream, url, in_flight, answered, failed, .. } = endpoint;
        let (arm, state) = (arm.as_str(), state(lang, endpoint));
        let counts = match lang {
            Lang::En => format!("{in_flight} in flight, {answered} answered, {failed} failed"),
            Lang::Zh => format!("进行中 {in_flight}，已回答 {answered}，失败 {failed}"),
            Lang::Ja => format!("処理中 {in_flight}、回答 {answered}、失敗 {failed}"),
        };
        let tone = if endpoint.is_well() { Tone::Dim } else { Tone::Red };
        paint(tone, &format!("{arm} {upstream}  {}  {state}; {counts}", padded(url, width)))
    };
    all.iter().map(line).collect()
}

fn state(lang: Lang, endpoint: &EndpointAnswer) -> String {
    let seconds = endpoint.open_ms.div_ceil(1000);
    match (endpoint.state.as_str(), lang) {
        ("closed", Lang::En) => "gets calls".to_owned(),
        ("closed", Lang::Zh) => "接收调用".to_owned(),
        ("closed", Lang::Ja) => "呼び出しを受ける".to_owned(),
        ("open", Lang::En) => format!("left out for {seconds} s: its calls failed"),
        ("open", Lang::Zh) => format!("因调用失败停用 {seconds} 秒"),
        ("open", Lang::Ja) => format!("呼び出しの失敗により {seconds} 秒間除外"),
        ("probation", Lang::En) => "on probation: gets a few calls".to_owned(),
        ("probation", Lang::Zh) => "试用中：只接收少量调用".to_owned(),
        ("probation", Lang::Ja) => "試行中：少数の呼び出しだけ受ける".to_owned(),
        (_, Lang::En) => "left out: its health checks fail".to_owned(),
        (_, Lang::Zh) => "因健康检查失败停用".to_owned(),
        (_, Lang::Ja) => "ヘルスチェックの失敗により除外".to_owned(),
    }
}
