use super::*;

fn manifest() -> Manifest {
    let file = |path: &str| (path.to_owned(), FileDigest::of(path.as_bytes()));
    Manifest {
        meta: Meta {
            timestamp: "2026-11-21T00:00:00Z".to_owned(),
            timestamp_ms: UnixMs(1_795_219_200_000),
            change_id: "prompt-v3-a1b2c".to_owned(),
            builder: "tidegate 0.1.0".to_owned(),
            operator: "李雷".to_owned(),
        },
        version_set: BTreeMap::from([("id".to_owned(), "vs-0f3a9c21d4e7".to_owned())]),
        gates: BTreeMap::from([(
            "eval".to_owned(),
            GateEntry {
                level: GateLevel::L0,
                status: GateStatus::Pass,
                evidence: "gates/summary.md".to_owned(),
            },
        )]),
        verdict: PackVerdict {
            decision: VerdictDecision::Ship,
            reason: "all lines pass".to_owned(),
            reviewer: "tidegate".to_owned(),
        },
        rollback: None,
        env_info: EnvInfo {
            os: "linux".to_owned(),
            runtime: "tidegate".to_owned(),
            hardware: "x86_64, 2".to_owned(),
        },
        random_control: RandomControl { seed: "salt".to_owned(), temperature: Some(0.2) },
        files: REQUIRED_FILES.into_iter().map(file).collect(),
        journal_head: (7, Digest::of(b"head")),
        seal: Manifest::unsealed(),
    }
}

#[test]
fn a_sealed_manifest_reads_back() {
    let text = manifest().to_sealed_json().unwrap();
    let mut read = Manifest::read_sealed(&text).unwrap();
    read.seal = Manifest::unsealed();
    assert_eq!(read, manifest());
    assert!(text.contains("\"status\": \"PASS\"") && text.contains("\"level\": \"L0\""));
    assert!(text.contains("李雷"));
}

#[test]
fn every_changed_byte_breaks_the_seal() {
    let text = manifest().to_sealed_json().unwrap();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        assert!(Manifest::read_sealed(&changed).is_err(), "byte {at} of {text}");
    }
}

#[test]
fn unknown_and_double_keys_are_refused() {
    let text = manifest().to_sealed_json().unwrap();
    let refused = |from: &str, to: &str, why: &str| {
        let error = Manifest::read_sealed(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused("\"meta\":", "\"extra\": 1, \"meta\":", "unknown field `extra`");
    refused("\"id\":", "\"id\": \"x\", \"id\":", "occurs twice");
    refused("\"PASS\"", "\"GOOD\"", "unknown variant `GOOD`");
}

#[test]
fn only_plain_paths_are_paths() {
    fn check(path: &str, plain: bool) {
        assert_eq!(is_plain_path(path), plain, "{path:?}");
    }
    check("diffs/prompt/system.md.diff", true);
    check("diffs/提示词/系统.md.diff", true);
    check("...", true);
    check("", false);
    check("/etc/passwd", false);
    check("../x", false);
    check("a/../x", false);
    check("a//b", false);
    check("./a", false);
    check("a/", false);
    check("C:x", false);
    check("a\\b", false);
    check("a\nb", false);
}

#[test]
fn what_a_manifest_must_list() {
    assert_eq!(verify_contents(&manifest()), vec![]);
    let mut wrong = manifest();
    wrong.files.remove("decisions.jsonl");
    wrong.files.insert("../out".to_owned(), FileDigest::of(b""));
    wrong.verdict.decision = VerdictDecision::Rollback;
    let texts: Vec<String> = verify_contents(&wrong).iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert!(texts[0].contains("`../out`"));
    assert!(texts[1].contains("`decisions.jsonl`") && texts[2].contains("`rollback.md`"));
    assert!(texts[3].contains("contradict"));
}

#[test]
fn a_gate_must_point_into_the_pack() {
    let mut wrong = manifest();
    wrong.gates.entry("eval".to_owned()).and_modify(|g| g.evidence = "nowhere".to_owned());
    let problem = VerifyProblem::Evidence { gate: "eval".into(), path: "nowhere".into() };
    assert_eq!(verify_contents(&wrong), vec![problem]);
}
