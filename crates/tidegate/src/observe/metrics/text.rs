//! The text format 0.0.4: families, samples, escaping.

use std::fmt::Write as _;

/// Upper edges of a histogram's buckets, seconds, rising.
pub(super) struct Scale<const N: usize>(pub(super) [f64; N]);

/// A page of metrics; each family is begun once and followed by its samples.
#[derive(Default)]
pub(super) struct Page {
    out: String,
}

type Labels<'a> = [(&'a str, &'a str)];

impl Page {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample with a whole number.
    pub(super) fn count(&mut self, name: &str, labels: &Labels<'_>, count: u64) {
        self.name(name, labels, None);
        let _ = writeln!(self.out, " {count}");
    }

    /// A sample with any number.
    pub(super) fn value(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
        self.name(name, labels, None);
        let _ = writeln!(self.out, " {value}");
    }

    /// The samples of a histogram from the counts of its buckets (not cumulative).
    pub(super) fn histogram<const N: usize>(
        &mut self,
        name: &str,
        labels: &Labels<'_>,
        scale: &Scale<N>,
        buckets: &[u64; N],
        beyond: u64,
        sum: f64,
    ) {
        let bucket = format!("{name}_bucket");
        let mut seen = 0;
        for (edge, count) in scale.0.iter().zip(buckets) {
            seen += count;
            self.name(&bucket, labels, Some(&edge.to_string()));
            let _ = writeln!(self.out, " {seen}");
        }
        seen += beyond;
        self.name(&bucket, labels, Some("+Inf"));
        let _ = writeln!(self.out, " {seen}");
        self.value(&format!("{name}_sum"), labels, sum);
        self.count(&format!("{name}_count"), labels, seen);
    }

    /// The whole page.
    pub(super) fn finish(self) -> String {
        self.out
    }

    fn name(&mut self, name: &str, labels: &Labels<'_>, le: Option<&str>) {
        self.out.push_str(name);
        let all = labels.iter().copied().chain(le.map(|edge| ("le", edge)));
        let mut open = '{';
        for (label, value) in all {
            let _ = write!(self.out, "{open}{label}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
            open = ',';
        }
        if open == ',' {
            self.out.push('}');
        }
    }
}

/// The pages of several services as one: each family once, each sample with the label `service`.
pub(crate) fn joined_pages<'a>(pages: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut families: Vec<(String, String)> = Vec::new();
    for (service, page) in pages {
        let mut at = None;
        for line in page.lines() {
            if line.starts_with("# TYPE ") {
                continue;
            }
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let name = rest.split(' ').next().unwrap_or_default();
                let found = families.iter().position(|(known, _)| known == name);
                at = Some(found.unwrap_or_else(|| {
                    let kind = page.lines().find(|l| l.starts_with(&format!("# TYPE {name} ")));
                    let head = format!("{line}\n{}\n", kind.unwrap_or_default());
                    families.push((name.to_owned(), head));
                    families.len() - 1
                }));
                continue;
            }
            if let Some(at) = at {
                let family = &mut families[at].1;
                family.push_str(&labelled(line, service));
                family.push('\n');
            }
        }
    }
    families.into_iter().map(|(_, text)| text).collect()
}

/// A sample with the label `service` before its others. A service's name needs no escaping.
fn labelled(sample: &str, service: &str) -> String {
    // A label's value may hold a brace or a blank; the first brace, or else the first blank, ends
    // the name.
    match sample.split_once('{') {
        Some((name, rest)) => format!("{name}{{service=\"{service}\",{rest}"),
        None => {
            let (name, value) = sample.split_once(' ').unwrap_or((sample, ""));
            format!("{name}{{service=\"{service}\"}} {value}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(requests: u64) -> String {
        let mut page = Page::default();
        page.family("requests_total", "counter", "Requests.");
        page.count("requests_total", &[("arm", "a b{c}\"d")], requests);
        page.family("weight", "gauge", "Share.");
        page.value("weight", &[], 2.5);
        page.finish()
    }

    #[test]
    fn pages_of_services_are_joined_by_family() {
        let pages = [("desk", page(1)), ("客服", page(2))];
        let joined = joined_pages(pages.into_iter());
        let expected = "\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{service=\"desk\",arm=\"a b{c}\\\"d\"} 1
requests_total{service=\"客服\",arm=\"a b{c}\\\"d\"} 2
# HELP weight Share.
# TYPE weight gauge
weight{service=\"desk\"} 2.5
weight{service=\"客服\"} 2.5
";
        assert_eq!(joined, expected);
    }
}
