use super::*;
use crate::gate::report::tests::mixed;

const CASES: &str = "case_id;prompt;expected_behavior;risk;owner;pass;notes\r\n\
    format_01;q;b;format;\"li; wang\";;\r\n格式二;q;b;format;;;reviewed by Li\r\n\
    safety_01;q;b;safety;;looks fine;max_length=9\r\nnot_asked;q;b;safety;;;\r\n\
    latency_01;q;b;performance;;fail;[tidegate: fail: slow] see ticket 7\r\n;;;;;;\r\n";

fn fill(text: &str, add: bool) -> String {
    let bytes = filled(&mixed(), text.as_bytes().to_vec(), Path::new("c.csv"), add).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn what_people_wrote_stays() {
    let first = fill(CASES, false);
    let expected = "case_id;prompt;expected_behavior;risk;owner;pass;notes\r\n\
        format_01;q;b;format;\"li; wang\";fail;[tidegate: fail: missing JSON key `citations`]\r\n\
        格式二;q;b;format;;fail;reviewed by Li [tidegate: fail: 缺少 (31m]\r\n\
        safety_01;q;b;safety;;looks fine;max_length=9 [tidegate: pass]\r\n\
        not_asked;q;b;safety;;;\r\n\
        latency_01;q;b;performance;;error;\
        [tidegate: error: unreachable: no connection] see ticket 7\r\n;;;;;;\r\n";
    assert_eq!(first, expected);
    assert_eq!(fill(&first, false), first, "the same run again changes nothing");
    // A person overrules the run; the next run leaves that as it is.
    let overruled = first.replace(";error;", ";pass;");
    assert_eq!(fill(&overruled, false), overruled);
}

#[test]
fn a_new_table_has_every_case() {
    let text = fill("case_id,prompt,expected_behavior,risk,pass,notes\n", true);
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(
        rows[1],
        "format_01,\"问, \"\"引号\"\"\",a < b,format,fail,[tidegate: fail: missing JSON key \
         `citations`]"
    );
    assert!(rows[4].contains(",performance,error,[tidegate: error: unreachable"), "{text}");
    assert_eq!(fill(&text, true), text);
}

#[test]
fn a_file_that_is_no_table_of_cases_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (letter, cases) = (dir.path().join("letter.txt"), dir.path().join("cases.csv"));
    std::fs::write(&letter, "dear all").unwrap();
    std::fs::write(&cases, CASES).unwrap();
    fill_csv(&mixed(), &letter, Some(&cases)).unwrap_err();
    assert_eq!(std::fs::read_to_string(&letter).unwrap(), "dear all");
    let copy = dir.path().join("copy.csv");
    fill_csv(&mixed(), &copy, Some(&cases)).unwrap();
    assert_eq!(std::fs::read_to_string(&cases).unwrap(), CASES, "the project's is as it was");
    assert!(std::fs::read_to_string(&copy).unwrap().contains("reviewed by Li [tidegate: fail"));
    fill_csv(&mixed(), &cases, Some(&cases)).unwrap();
    let filled = std::fs::read_to_string(&cases).unwrap();
    assert_eq!(filled.lines().count(), CASES.lines().count(), "no rows of other files");
}
