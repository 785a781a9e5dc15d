use super::*;
use proptest::prelude::*;

fn check_xml(text: &str, problem: &str) {
    match xml_problem(text) {
        None => assert_eq!(problem, "", "{text} is taken"),
        Some(got) => assert!(!problem.is_empty() && got.contains(problem), "{text}: {got}"),
    }
}

#[test]
fn xml_is_well_formed_or_not() {
    check_xml("<a/>", "");
    check_xml(
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- 注 -->\n<订单 编号='7'>已付</订单>\n",
        "",
    );
    check_xml("<!DOCTYPE a [<!ENTITY b \"c>\">]><a>&b;&#x4e2d;&#20013;</a>", "");
    check_xml("<a:b c.d=\"&lt;&amp;>\"><![CDATA[<x> & y]]><?pi x?></a:b><!-- end -->", "");
    check_xml("<注文 />", "");
    check_xml("", "no element");
    check_xml("plain", "before it");
    check_xml("Here: <a/>", "before it");
    check_xml("<a/> done", "follows the root");
    check_xml("<a/><b/>", "follows the root");
    check_xml("<a>", "`<a>` is not closed");
    check_xml("<a", "is not closed");
    check_xml("<a></b>", "`<a>` is closed by `</b>`");
    check_xml("<A></a>", "is closed by");
    check_xml("</a>", "closes nothing");
    check_xml("<a>x & y</a>", "is no reference");
    check_xml("<a>&nbsp;</a>", "is no reference");
    check_xml("<a>&#0;</a>", "is no reference");
    check_xml("<a>&#xD800;</a>", "is no reference");
    check_xml("<a b=c/>", "is no attribute");
    check_xml("<a b/>", "is no attribute");
    check_xml("<a b='1'c='2'/>", "is no attribute");
    check_xml("<a b='1' b='2'/>", "given twice");
    check_xml("<a b='<'/>", "in the value");
    check_xml("<1a/>", "no name");
    check_xml("< a/>", "no name");
    check_xml("<a><!-- -- --></a>", "`--`");
    check_xml("<a><!-- </a>", "a comment is not closed");
    check_xml("<a><![CDATA[ </a>", "CDATA is not closed");
    check_xml("<a>]]></a>", "`]]>`");
    check_xml("<a>\u{1}</a>", "U+0001");
    check_xml("<a/><?xml version='1.0'?>", "no place");
    check_xml("```xml\n<a/>\n```", "before it");
}

fn check_html(text: &str, problem: &str) {
    match html_problem(text) {
        None => assert_eq!(problem, "", "{text} is taken"),
        Some(got) => assert!(!problem.is_empty() && got.contains(problem), "{text}: {got}"),
    }
}

#[test]
fn html_is_closed_where_it_must_be() {
    check_html("<p>你好", "text is around");
    check_html("<p>你好<p>再见</p>", "");
    check_html("<ul><li>一<li>二</ul>", "");
    check_html("<!DOCTYPE html><html><head><title>a < b</title></head><body>返金<br></html>", "");
    check_html("<table><tr><td>1<td>2</table>", "`<tr>` is closed by");
    check_html("<script>if (a<b) { x('</p>') }</script>", "");
    check_html("<INPUT disabled value=x>", "");
    check_html("<svg><linearGradient/></svg><my-tag></my-tag>", "");
    check_html("<div><span></div>", "`<span>` is closed by `</div>`");
    check_html("<div>", "`<div>` is not closed");
    check_html("</div>", "closes nothing");
    check_html("<b>1</b> and <i>2</i>", "outside of an element");
    check_html("<order>7</order>", "`<order>` is no element of HTML");
    check_html("<script>x", "text is around");
    check_html("<!-- nothing -->", "no element");
    check_html("", "text is around");
    check_html("plain 文本", "text is around");
}

#[test]
fn markup_is_found_in_prose() {
    for (text, is_xml, is_html) in [
        ("Here: <b>粗体</b>.", true, true),
        ("见 <订单>7</订单>", true, false),
        ("line<br>break", false, true),
        ("a < b and c > d", false, false),
        ("if x <y and z> 1", false, false),
        ("<b>never closed", false, false),
        ("言う<p>こと</P>", false, true),
        ("", false, false),
    ] {
        assert_eq!((has_xml(text), has_html(text)), (is_xml, is_html), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_is_read(text in "[<>/a-c!?=\"' &;#\\[\\]订-]{0,60}") {
        // It ends, and a document that is well formed is found as one.
        if xml_problem(&text).is_none() {
            prop_assert!(has_xml(&text));
        }
        html_problem(&text);
        has_html(&text);
    }
}
