use super::*;
use crate::store::{Lost, LostRecords};
use tidegate_core::version_set::VersionKeys;

fn view() -> TableView {
    TableView {
        generation: 7,
        weight_pct: 5.0,
        arms: vec![ArmView {
            arm: Arm::Stable,
            version_set: "vs-0f3a9c21d4e7".to_owned(),
            keys: VersionKeys::default(),
            upstream: "local".to_owned(),
            outage: None,
            endpoints: Vec::new(),
        }],
        release: ReleaseView::default(),
        records_dropped: 3,
        records_lost: LostRecords {
            total: Lost { at_least: 7, at_most: 70 },
            admitted: 6,
            ..LostRecords::default()
        },
        not_admitted: 5,
        shed_and_waiting: [(0, 0), (0, 1), (9, 2)],
        log_lines_dropped: 4,
        certificate_ends_in_s: Some(-1.5),
        degraded: None,
        entrance_open: true,
        switch_times: (Some(Duration::from_millis(2)), None),
    }
}

fn sample(model_version: &str, status: StatusClass) -> AnswerSample<'_> {
    static TRACE: std::sync::OnceLock<TraceId> = std::sync::OnceLock::new();
    let trace_id = TRACE.get_or_init(|| TraceId::parse("t-1").unwrap());
    AnswerSample {
        model_version,
        arm: Arm::Candidate,
        status,
        latency: Duration::from_millis(300),
        trace_id,
        at: Duration::from_secs(1_700_000_000),
        tokens_in: 10,
        tokens_out: 5,
        charge: None,
        failure: (status == StatusClass::Error).then_some(Failure::ServerError),
        contract_ok: Some(true),
        refused: Some(false),
    }
}

/// Checks that the page has this line.
fn check(page: &str, line: &str) {
    assert!(page.lines().any(|l| l == line), "no line `{line}` in\n{page}");
}

#[test]
fn the_names_of_the_requirements_are_there() {
    let metrics = Metrics::default();
    metrics.request(StatusClass::Ok, Duration::from_millis(20));
    metrics.answer(&sample("gpt-4o-mini", StatusClass::Ok));
    metrics.answer(&sample("gpt-4o-mini", StatusClass::Error));
    let page = metrics.render(&view(), Format::Text);
    check(&page, "# HELP llm_requests_total Total LLM requests");
    check(&page, "# TYPE llm_requests_total counter");
    check(&page, r#"llm_requests_total{model_version="gpt-4o-mini",status="ok"} 1"#);
    check(&page, r#"llm_requests_total{model_version="gpt-4o-mini",status="error"} 1"#);
    check(&page, "# HELP llm_latency_seconds LLM inference latency");
    check(&page, r#"llm_latency_seconds_bucket{model_version="gpt-4o-mini",le="0.25"} 0"#);
    check(&page, r#"llm_latency_seconds_bucket{model_version="gpt-4o-mini",le="0.5"} 1"#);
    check(&page, r#"llm_latency_seconds_bucket{model_version="gpt-4o-mini",le="+Inf"} 1"#);
    check(&page, r#"llm_latency_seconds_count{model_version="gpt-4o-mini"} 1"#);
    check(&page, "# HELP llm_output_quality LLM output quality score");
    check(&page, r#"llm_output_quality{model_version="gpt-4o-mini",metric="contract"} 1"#);
    check(&page, r#"gateway_requests_total{status="ok"} 1"#);
    check(&page, r#"gateway_requests_latency_seconds_bucket{le="0.025"} 1"#);
    check(&page, "tidegate_release_weight_pct 5");
    check(&page, "tidegate_table_generation 7");
    check(&page, "tidegate_records_dropped_total 3");
    check(&page, "tidegate_records_lost_total{bound=\"at_least\"} 7");
    check(&page, "tidegate_records_lost_total{bound=\"at_most\"} 70");
    check(&page, "tidegate_admissions_without_record 6");
    check(&page, "tidegate_requests_not_admitted_total 5");
    check(&page, "tidegate_log_lines_dropped_total 4");
    check(&page, "tidegate_tls_certificate_expires_in_seconds -1.5");
    check(&page, r#"tidegate_arm_requests_total{arm="candidate",status="error"} 1"#);
    check(&page, r#"tidegate_tokens_total{arm="candidate",direction="in"} 20"#);
    check(&page, r#"tidegate_arm_failures_total{arm="candidate",failure="server_error"} 1"#);
    check(&page, r#"tidegate_contract_checks_total{arm="candidate",result="kept"} 2"#);
    check(&page, r#"tidegate_arm_failing{arm="stable",upstream="local"} 0"#);
    check(&page, r#"tidegate_release_phase{phase="none"} 1"#);
    check(&page, r#"tidegate_signal{signal="green"} 0"#);
    check(&page, "tidegate_incidents_open 0");
}

#[test]
fn label_values_are_escaped_and_bounded() {
    let metrics = Metrics::default();
    metrics.answer(&sample("a\"b\\c\nd", StatusClass::Ok));
    for n in 0..100 {
        metrics.answer(&sample(&format!("model-{n}"), StatusClass::Ok));
    }
    let page = metrics.render(&view(), Format::Text);
    check(&page, r#"llm_requests_total{model_version="a\"b\\c\nd",status="ok"} 1"#);
    check(&page, r#"llm_requests_total{model_version="other",status="ok"} 69"#);
    let versions = page.lines().filter(|l| l.starts_with("llm_latency_seconds_count")).count();
    assert_eq!(versions, MODEL_VERSIONS_MAX + 1);
}

#[test]
fn quality_follows_about_the_last_hundred_answers() {
    let metrics = Metrics::default();
    metrics.quality("m", "like", 1.0);
    for _ in 0..300 {
        metrics.quality("m", "like", 0.0);
    }
    let average = metrics.counts().models["m"].quality["like"];
    assert!(average > 0.0 && average < 0.06, "{average}");
}
