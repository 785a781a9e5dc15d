use super::*;
use proptest::prelude::*;

const NEEDED: [&[&str]; 2] = [&["case_id", "id"], &["prompt"]];

fn table(text: &str) -> Table {
    Table::read(text.as_bytes().to_vec(), "a.csv", &NEEDED).unwrap()
}

/// The values of the rows.
fn values(table: &Table) -> Vec<Vec<String>> {
    let cells = |row: &Row| (0..row.len()).map(|i| table.cell(row, i).into_owned()).collect();
    table.rows.iter().map(cells).collect()
}

fn check(text: &str, expected: &[&[&str]], lines: &[usize]) {
    let table = table(text);
    assert_eq!(values(&table), expected, "{text:?}");
    assert_eq!(table.rows.iter().map(|row| row.line).collect::<Vec<_>>(), lines, "{text:?}");
    assert_eq!(String::from_utf8(table.bytes()).unwrap(), text, "unchanged");
}

#[test]
fn tables_as_programs_write_them() {
    check("case_id,prompt\na,b\n", &[&["a", "b"]], &[2]);
    check("case_id,prompt\r\na,b", &[&["a", "b"]], &[2]);
    check("case_id,prompt\ra,b\r", &[&["a", "b"]], &[2]);
    check(
        "\r\n\r\ncase_id,prompt\r\n\r\n,,,\r\na,b\r\n;,\r\n",
        &[&["a", "b"], &[";", ""]],
        &[6, 7],
    );
    check("Case ID;Prompt\na;\"b;\"\"c\"\n", &[&["a", "b;\"c"]], &[2]);
    check("id\tprompt\ta\n1\tx,y\t\n", &[&["1", "x,y", ""]], &[2]);
    check("sep=;\r\nid;prompt\r\n1;2\r\n", &[&["1", "2"]], &[3]);
    check("id,prompt\n1,\"two\r\nlines\"\n2,x\n", &[&["1", "two\r\nlines"], &["2", "x"]], &[2, 4]);
    check("id,prompt\n1,\"a\"b\n", &[&["1", "ab"]], &[2]);
    check("id,prompt\n1,a\"b\"\n", &[&["1", "a\"b\""]], &[2]);
    check("id,prompt\n1,", &[&["1", ""]], &[2]);
}

fn check_error(text: &str, message: &str) {
    let error = Table::read(text.as_bytes().to_vec(), "a.csv", &NEEDED).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn what_is_no_table_is_named() {
    let must = "it must be `case_id,prompt,expected_behavior,risk,pass,notes`";
    check_error("", &format!("a.csv:1: the header is ``; {must}"));
    check_error("id,question\n", &format!("a.csv:1: the header is `id,question`; {must}"));
    check_error("\n编号，提示\n", &format!("a.csv:2: the header is `编号，提示`; {must}"));
    check_error(
        "id,prompt\n1,\"open\n2,b\n",
        "a.csv:2: a quote `\"` opens here and is never closed",
    );
}

#[test]
fn a_filled_cell_changes_nothing_else() {
    let text = "\u{feff}id;\"prompt\";mine;pass;\"notes\"\r\n1;\"a;b\"; x ;;\"\"\r\n2;c\r\n;;\r\n";
    let mut table = table(text);
    for row in table.rows.clone() {
        table.fill(&row, 3, "pass");
        table.fill(&row, 4, "a; \"b\"");
    }
    table.push(&[("id", "3"), ("notes", "n\n")]);
    assert_eq!(
        String::from_utf8(table.bytes()).unwrap(),
        "\u{feff}id;\"prompt\";mine;pass;\"notes\"\r\n1;\"a;b\"; x ;pass;\"a; \"\"b\"\"\"\r\n\
         2;c;;pass;\"a; \"\"b\"\"\"\r\n;;\r\n3;;;;\"n\n\"\r\n"
    );
}

#[test]
fn columns_are_added_at_the_right() {
    let mut table = table("id,prompt,notes\n1,a,\n2,b,c");
    let column = table.ensure_column("pass");
    assert_eq!((column, table.ensure_column("notes")), (3, 2));
    for row in table.rows.clone() {
        table.fill(&row, column, "fail");
        table.fill(&row, 2, "n");
    }
    let filled = String::from_utf8(table.bytes()).unwrap();
    assert_eq!(filled, "id,prompt,notes,pass\n1,a,n,fail\n2,b,n,fail");
}

/// Cells with everything that a dialect must quote.
fn cells() -> impl Strategy<Value = Vec<Vec<String>>> {
    let cell = prop::collection::vec(
        prop::sample::select(vec!["a", "问", ",", ";", "\t", "\"", "\r\n", "\n", "\r", " ", "'"]),
        0..6,
    );
    let row = prop::collection::vec(cell.prop_map(|parts| parts.concat()), 1..5);
    prop::collection::vec(row, 0..5)
}

/// Text as Python's `csv` module writes it: `excel`, `excel-tab` and `unix`, and with `;`.
fn python(rows: &[Vec<String>], separator: u8, style: csv::QuoteStyle, end: &str) -> String {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(separator)
        .quote_style(style)
        .terminator(if end == "\r\n" { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
        .flexible(true)
        .from_writer(Vec::new());
    writer.write_record(["case_id", "prompt"]).unwrap();
    for row in rows {
        writer.write_record(row).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

proptest! {
    /// Whatever dialect writes a table, its values are read, and writing it back changes no byte.
    #[test]
    fn every_dialect_round_trips(rows in cells(), dialect in 0..5_usize, mark in any::<bool>()) {
        let (separator, style, end) = [
            (b',', csv::QuoteStyle::Necessary, "\r\n"),
            (b'\t', csv::QuoteStyle::Necessary, "\r\n"),
            (b',', csv::QuoteStyle::Always, "\n"),
            (b';', csv::QuoteStyle::Necessary, "\n"),
            (b',', csv::QuoteStyle::NonNumeric, "\r\n"),
        ][dialect];
        let text = python(&rows, separator, style, end);
        let text = if mark { format!("\u{feff}{text}") } else { text };
        let mut table = table(&text);
        let some = |row: &&Vec<String>| row.iter().any(|cell| !cell.trim().is_empty());
        let expected: Vec<Vec<String>> = rows.iter().filter(some).cloned().collect();
        prop_assert_eq!(values(&table), expected);
        prop_assert_eq!(String::from_utf8(table.bytes()).unwrap(), text);
        // Filled with what is there already, it has the same values.
        let before = values(&table);
        for row in table.rows.clone() {
            let value = table.cell(&row, 0).into_owned();
            table.fill(&row, 0, &value);
        }
        let again = Table::read(table.bytes(), "a.csv", &NEEDED).unwrap();
        prop_assert_eq!(values(&again), before);
    }

    /// Any bytes are a table or an error.
    #[test]
    fn any_text_is_read_or_refused(text in "(id,prompt\n)?[\"a,;\n\r\t问]{0,40}") {
        if let Ok(table) = Table::read(text.as_bytes().to_vec(), "a.csv", &NEEDED) {
            prop_assert_eq!(String::from_utf8(table.bytes()).unwrap(), text);
        }
    }
}
