//! Checks that ask nobody, and the formulas of scores.

use super::{check_inconclusive, echo, embedder, embeddings, project, question, result, run};
use crate::upstream::{CASES, Upstream, completion};
use serde_json::{Value, json};

#[test]
fn claims_are_held_against_what_was_retrieved() {
    let chunks = json!({"chunks": [{"id": "kb-1", "text": "未骑过的自行车可在三十天内退货。"},
        {"id": "kb-2", "text": "Delivery takes five days within the country."}]});
    let retriever = Upstream::saying("200 OK", "application/json", &chunks.to_string());
    let upstream = Upstream::by_rule(|body| {
        let answer = match question(body) {
            text if text.contains("good") => "未骑过的自行车可在三十天内退货 [1]。",
            text if text.contains("cited") => "Our bicycles are painted by famous artists [1].",
            text if text.contains("half") => {
                "Delivery takes five days within the country. 送货员会免费组装自行车。"
            }
            _ => "好的。",
        };
        ("200 OK", completion(answer))
    });
    let url = format!("http://{}/search", retriever.address);
    let index = format!("  index: {{version: v1, search: {{http: {{url: \"{url}\"}}}}}}\n");
    let project = crate::retrieval::with_prompt(upstream.project(&index, ""));
    project.write("evals/eval_cases.csv", CASES);
    let listed = |threshold: f64| json!([{"check": "grounded", "threshold": threshold}]);
    let cases = [
        json!({"case_id": "good", "input": "good", "grounded": true}),
        json!({"case_id": "cited", "input": "cited", "grounded": true, "citation": true}),
        json!({"case_id": "half", "input": "half", "assert": listed(0.5)}),
        json!({"case_id": "none", "input": "ok", "grounded": true}),
    ];
    let lines: Vec<String> = cases.iter().map(|case| case.to_string() + "\n").collect();
    project.write("evals/dataset.jsonl", lines.concat());
    let report = project.run(&["eval", "--json"]).exits(0).json();
    let measured = |id: &str| {
        let checks = result(&report, id)["checks"].as_array().unwrap().clone();
        let check = checks.iter().find(|check| check["check"] == "grounded").unwrap().clone();
        (check["measured"].clone(), check["score"].clone())
    };
    let of = |measured: f64, score: f64| (json!(measured), json!(score));
    assert_eq!(measured("good"), of(1.0, 1.0), "{report}");
    assert_eq!(measured("cited"), of(0.0, 0.0), "a citation alone is no support");
    assert_eq!(measured("half"), of(0.5, 1.0));
    assert_eq!(measured("none"), of(1.0, 1.0), "nothing is claimed");
    assert!(report.to_string().contains("1 of 1 claims have no support in it: `Our bicycles"));
    let case = json!({"case_id": "c", "input": "Bicycles come back in 30 days.", "grounded": true});
    check_inconclusive("", &case, "the version set retrieves nothing");
}

#[test]
fn an_answer_may_cost_so_much() {
    let costs = |more: &str, usage: Value, max_usd: f64| {
        let mut body: Value = serde_json::from_str(&completion("好")).unwrap();
        body["usage"] = usage;
        let upstream = Upstream::saying("200 OK", "application/json", &body.to_string());
        let case = json!({"case_id": "c", "input": "问", "max_cost_usd": max_usd});
        let report = run(&project(&upstream, more, &[case])).json();
        result(&report, "c")
    };
    let prices = "prices: {m1: {input_per_million: 2.0, output_per_million: 10.0}}\n";
    let used = || json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
    assert_eq!(costs(prices, used(), 0.003)["score"], 1.0);
    let dear = costs(prices, used(), 0.0029);
    assert_eq!(dear["score"], 0.0);
    let detail = "costs 0.003 USD; at most 0.0029 are allowed";
    assert_eq!(dear["checks"][0]["detail"], detail);
    for unknown in [costs("", used(), 1.0), costs(prices, Value::Null, 1.0)] {
        assert!(unknown["error"].as_str().unwrap().contains("cost is not known"), "{unknown}");
    }
}

#[test]
fn the_formula_is_literal_or_renormalised_and_takes_its_likeness_from_embeddings() {
    let (upstream, service) = (echo(), embedder());
    let cases = [
        json!({"case_id": "words", "input": "学习 数据", "expected_keywords": ["学习", "数据"]}),
        json!({"case_id": "all", "input": "ab 学习", "expected": "ab zz",
               "expected_keywords": ["学习"], "expected_contains": "学"}),
        json!({"case_id": "far", "input": "ba 学习", "expected": "ab zz",
               "expected_keywords": ["学习"]}),
    ];
    let scores = |scoring: &str, address: &dyn std::fmt::Display| {
        let keys =
            embeddings(address).replacen("evals: {", &format!("evals: {{scoring: {scoring}, "), 1);
        run(&project(&upstream, &keys, &cases)).json()
    };
    let of = |report: &Value, id: &str| result(report, id)["score"].as_f64().unwrap();
    let legacy = scores("legacy", &service.address);
    assert_eq!((of(&legacy, "words"), of(&legacy, "all"), of(&legacy, "far")), (0.5, 1.0, 0.5));
    let renormalised = scores("renormalised", &service.address);
    assert_eq!((of(&renormalised, "words"), of(&renormalised, "all")), (1.0, 1.0));
    assert_eq!(of(&renormalised, "far"), 0.5 / 0.8);
    // Without the service a case is wrong where it would be wrong whatever the likeness.
    let refusing = Upstream::saying("400 Bad Request", "application/json", "{}");
    let report = scores("legacy", &refusing.address);
    assert!(result(&report, "all")["error"].as_str().unwrap().contains("could not be judged"));
    assert_eq!(result(&report, "words")["error"], Value::Null);
    let report = scores("renormalised", &refusing.address);
    assert!(result(&report, "far")["error"].is_string(), "{report}");
}

#[test]
fn markup_and_sql_are_read_in_any_script() {
    let upstream = echo();
    let cases = [
        json!({"case_id": "xml", "input": "<订单 编号=\"7\">已付</订单>", "is_xml": true,
               "not_is_html": true}),
        json!({"case_id": "html", "input": "<p>返金は<b>14日</b>です</p>", "is_html": true,
               "contains_xml": true}),
        json!({"case_id": "sql", "input": "SELECT 姓名 FROM 用户 WHERE 年龄 > 18", "is-sql": true,
               "contains-sql": true, "word-count": 11}),
        json!({"case_id": "prose", "input": "查询：`SELECT 1 FROM t`", "contains_sql": true,
               "not_is_sql": true}),
    ];
    let report = run(&project(&upstream, "", &cases)).exits(0).json();
    for id in ["xml", "html", "sql", "prose"] {
        assert_eq!(result(&report, id)["score"], 1.0, "{}", result(&report, id));
    }
}
