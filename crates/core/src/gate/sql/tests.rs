use super::*;
use proptest::prelude::*;

fn check(text: &str, problem: &str) {
    match sql_problem(text) {
        None => assert_eq!(problem, "", "{text} is taken"),
        Some(got) => assert!(!problem.is_empty() && got.contains(problem), "{text}: {got}"),
    }
}

#[test]
fn queries() {
    check("SELECT 1", "");
    check("select * from orders;", "");
    check(
        "SELECT a.id, b.\"名前\" AS n, count(*) total FROM orders a, [dbo].[t] b WHERE a.x = 'it''s'",
        "",
    );
    check(
        "SELECT 姓名 FROM 用户 WHERE 年龄 >= 18 AND 城市 IN ('北京', '上海') ORDER BY 年龄 DESC LIMIT 10",
        "",
    );
    check("SELECT DISTINCT x FROM t GROUP BY x HAVING count(DISTINCT y) > 1 -- 注释", "");
    check("SELECT * FROM a LEFT JOIN b ON a.id = b.id NATURAL JOIN c JOIN d USING (id)", "");
    check("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", "");
    check(
        "SELECT CASE WHEN a IS NOT NULL THEN 1 ELSE -a END FROM t WHERE b NOT BETWEEN 1 AND 2+3",
        "",
    );
    check("SELECT sum(x) OVER (PARTITION BY y ORDER BY z ROWS UNBOUNDED PRECEDING) FROM t", "");
    check("SELECT CAST(a AS decimal(10, 2)), EXTRACT(year FROM b), a::int, j->>'k' FROM t", "");
    check(
        "SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id) AND x NOT LIKE 'a%'",
        "",
    );
    check("SELECT a FROM t WHERE b = ? AND c = :name AND d = $1 OR e = %s /* 終 */", "");
    check("(SELECT 1) UNION (SELECT 2) ORDER BY 1", "");
    check("SELECT date, time FROM t WHERE day > DATE '2026-01-01' - INTERVAL '1' day", "");
    check("SELECT left(name, 1), count(*) FILTER (WHERE x) FROM t", "");
    check("SELECT FROM t", "`FROM` is there");
    check("SELECT * FORM t", "`FORM` is there");
    check("SELECT a b c FROM t", "`c` is there");
    check("SELECT a, FROM t", "`FROM` is there");
    check("SELECT a FROM", "the statement ends");
    check("SELECT a FROM t WHERE", "the statement ends");
    check("SELECT a FROM t WHERE a =", "the statement ends");
    check("SELECT a FROM t GROUP a", "`by` is needed");
    check("SELECT a FROM t WHERE (a = 1", "the statement ends");
    check("SELECT a FROM t WHERE a = 1)", "`)` is there");
    check("SELECT a FROM t ORDER BY", "the statement ends");
    check("SELECT 'a FROM t", "not closed");
    check("SELECT a FROM t /* x", "comment is not closed");
    check("SELECT a FROM t JOIN", "the statement ends");
    check("SELECT a FROM t WHERE a IN 1", "needed");
    check("SELECT a FROM t WHERE a IS 1", "null");
    check("SELECT a！ FROM t", "no part of SQL");
}

#[test]
fn other_statements() {
    check("INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL)", "");
    check("INSERT INTO t SELECT * FROM u", "");
    check("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING a", "");
    check("UPDATE t SET a = a + 1, b = 'x' WHERE id = 7", "");
    check("DELETE FROM 订单 WHERE id = 7; SELECT 1;", "");
    check("CREATE TABLE t (id int PRIMARY KEY, name varchar(20))", "");
    check("DROP TABLE t", "");
    check("BEGIN; COMMIT", "");
    check("INSERT t VALUES (1)", "into");
    check("INSERT INTO t (a) VALUES", "`(` is needed");
    check("UPDATE t a = 1", "set");
    check("UPDATE t SET a", "`=` is needed");
    check("DELETE t WHERE a = 1", "from");
    check("CREATE", "nothing follows");
    check("CREATE TABLE t (a int", "not closed");
    check("", "no statement");
    check(";", "no statement");
    check("你好", "where `SELECT` is needed");
    check("Here is the query: SELECT 1", "where `SELECT` is needed");
    check("```sql\nSELECT 1\n```", "where `SELECT` is needed");
}

#[test]
fn it_is_found_in_prose() {
    for (text, is_there) in [
        ("查询如下：\n```sql\nSELECT id FROM 订单;\n```\n请运行。", true),
        ("Use `SELECT 1 FROM t` for that.", true),
        ("次を実行：SELECT * FROM t WHERE a = 1;", true),
        ("Please select an item from the list", false),
        ("Please SELECT an option from the menu, then go on.", false),
        ("```sql\nSELEC id FROM t\n```", false),
        ("no query", false),
        ("", false),
    ] {
        assert_eq!(has_sql(text), is_there, "{text}");
    }
}

#[test]
fn hostile_queries_end() {
    for text in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1", "- ".repeat(100_000)),
        format!("SELECT a{} FROM t", ".a".repeat(100_000)),
        format!("SELECT {}", "CASE ".repeat(100_000)),
        format!("SELECT * FROM {}", "(SELECT * FROM ".repeat(100_000)),
        format!("SELECT {}", "NOT ".repeat(100_000)),
        "'".repeat(100_001),
    ] {
        // The first and those like it are too deep, the others are fine; none ends the process.
        sql_problem(&text);
        has_sql(&text);
    }
    let deep = format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200));
    assert!(sql_problem(&deep).unwrap().contains("deeper"));
}

proptest! {
    #[test]
    fn whatever_is_read_is_read(text in "(SELECT|FROM|a|[,()*'\"=1 ;.-]|WHERE|订){0,30}") {
        sql_problem(&text);
        has_sql(&text);
    }
}
