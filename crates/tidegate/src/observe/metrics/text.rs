//! The text formats of Prometheus: families, samples, escaping.

use std::fmt::Write as _;
use std::time::Duration;
use tidegate_core::ids::TraceId;

/// Which of the two formats a page is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// The text format 0.0.4, which every scraper reads.
    #[default]
    Text,
    /// OpenMetrics 1.0.0, which has exemplars.
    OpenMetrics,
}

impl Format {
    /// The best that a scraper says it reads, by its `Accept`.
    pub(crate) fn accepted(accept: &str) -> Format {
        let is_wanted = accept.split(',').any(|media| {
            let mut parts = media.split(';').map(str::trim);
            let is_it = parts.next() == Some("application/openmetrics-text");
            is_it && !parts.any(|part| ["q=0", "q=0.0"].contains(&part))
        });
        if is_wanted { Format::OpenMetrics } else { Format::Text }
    }

    /// The page's content type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What ends a page.
    fn end(self) -> &'static str {
        match self {
            Format::Text => "",
            Format::OpenMetrics => "# EOF\n",
        }
    }
}

/// Longest trace id in an exemplar, characters: OpenMetrics allows 128 for names and values.
const EXEMPLAR_ID_MAX: usize = 128 - "trace_id".len();

/// A request that is an example of its bucket.
#[derive(Debug, Clone)]
pub(super) struct Exemplar {
    trace_id: TraceId,
    seconds: f64,
    /// Since 1970.
    at: Duration,
}

impl Exemplar {
    /// `None` where the id is too long to be one.
    pub(super) fn of(trace_id: &TraceId, seconds: f64, at: Duration) -> Option<Exemplar> {
        let fits = trace_id.as_str().len() <= EXEMPLAR_ID_MAX;
        fits.then(|| Exemplar { trace_id: trace_id.clone(), seconds, at })
    }

    /// Whether it is as new as `at`, to the second: a newer one would say no more.
    pub(super) fn is_fresh(&self, at: Duration) -> bool {
        self.at.as_secs() == at.as_secs()
    }
}

/// Upper edges of a histogram's buckets, seconds, rising.
pub(super) struct Scale<const N: usize>(pub(super) [f64; N]);

/// A page of metrics; each family is begun once and followed by its samples.
#[derive(Default)]
pub(super) struct Page {
    format: Format,
    out: String,
}

/// The counts of a histogram's buckets, not cumulative, each with an exemplar where it has one.
pub(super) struct Buckets<'a> {
    pub(super) counts: &'a [u64],
    /// Above the last edge.
    pub(super) beyond: u64,
    pub(super) sum: f64,
    /// One for each bucket, that above the last edge included; or none at all.
    pub(super) exemplars: &'a [Option<Exemplar>],
}

type Labels<'a> = [(&'a str, &'a str)];

impl Page {
    /// An empty page.
    pub(super) fn new(format: Format) -> Page {
        Page { format, out: String::new() }
    }

    /// Begins a family. In OpenMetrics a counter's family goes without the `_total` of its samples.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let name = match (self.format, kind) {
            (Format::OpenMetrics, "counter") => name.strip_suffix("_total").unwrap_or(name),
            (Format::OpenMetrics | Format::Text, _) => name,
        };
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
        buckets: &Buckets<'_>,
    ) {
        let Buckets { counts, beyond, sum, exemplars } = *buckets;
        let bucket = format!("{name}_bucket");
        let mut seen = 0;
        let edges = scale.0.iter().map(|edge| match self.format {
            Format::Text => edge.to_string(),
            // Whole numbers are written as numbers with a point.
            Format::OpenMetrics => format!("{edge:?}"),
        });
        let edges: Vec<String> = edges.chain(["+Inf".to_owned()]).collect();
        let all = counts.iter().chain([&beyond]);
        for (i, (edge, count)) in edges.iter().zip(all).enumerate() {
            seen += count;
            self.name(&bucket, labels, Some(edge));
            let _ = write!(self.out, " {seen}");
            self.exemplar(exemplars.get(i).and_then(Option::as_ref));
            self.out.push('\n');
        }
        self.value(&format!("{name}_sum"), labels, sum);
        self.count(&format!("{name}_count"), labels, seen);
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> String {
        self.out.push_str(self.format.end());
        self.out
    }

    /// A trace id has no character that needs escaping.
    fn exemplar(&mut self, exemplar: Option<&Exemplar>) {
        let (Format::OpenMetrics, Some(Exemplar { trace_id, seconds, at })) =
            (self.format, exemplar)
        else {
            return;
        };
        let at = at.as_secs_f64();
        let _ = write!(self.out, " # {{trace_id=\"{trace_id}\"}} {seconds} {at:.3}");
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
pub(crate) fn joined_pages<'a>(
    format: Format,
    pages: impl Iterator<Item = (&'a str, String)>,
) -> String {
    let mut families: Vec<(String, String)> = Vec::new();
    for (service, page) in pages {
        let mut at = None;
        for line in page.lines() {
            if line.starts_with("# TYPE ") || line == "# EOF" {
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
    let page: String = families.into_iter().map(|(_, text)| text).collect();
    page + format.end()
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
    fn a_scraper_that_reads_openmetrics_gets_it() {
        fn check(accept: &str, format: Format) {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        check(prometheus, Format::OpenMetrics);
        check("text/plain, application/openmetrics-text", Format::OpenMetrics);
        check("application/openmetrics-text; q=0, text/plain", Format::Text);
        for accept in ["", "*/*", "text/plain;version=0.0.4", "application/openmetrics-textual"] {
            check(accept, Format::Text);
        }
    }

    #[test]
    fn an_exemplar_names_a_request_of_its_bucket() {
        let at = Duration::from_millis(1_700_000_000_250);
        let exemplar = Exemplar::of(&TraceId::parse("t-1").unwrap(), 0.5, at);
        assert!(exemplar.as_ref().unwrap().is_fresh(at + Duration::from_millis(700)));
        let too_long = TraceId::parse(&"x".repeat(121)).unwrap();
        assert!(Exemplar::of(&too_long, 0.5, at).is_none());
        let buckets =
            Buckets { counts: &[0, 2], beyond: 1, sum: 3.5, exemplars: &[None, exemplar] };
        let mut page = Page::new(Format::OpenMetrics);
        page.family("x_seconds", "histogram", "Time.");
        page.histogram("x_seconds", &[], &Scale([0.25, 1.0]), &buckets);
        page.family("requests_total", "counter", "Requests.");
        page.count("requests_total", &[], 4);
        let expected = "\
# HELP x_seconds Time.
# TYPE x_seconds histogram
x_seconds_bucket{le=\"0.25\"} 0
x_seconds_bucket{le=\"1.0\"} 2 # {trace_id=\"t-1\"} 0.5 1700000000.250
x_seconds_bucket{le=\"+Inf\"} 3
x_seconds_sum 3.5
x_seconds_count 3
# HELP requests Requests.
# TYPE requests counter
requests_total 4
# EOF
";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn pages_of_services_are_joined_by_family() {
        let pages = [("desk", page(1)), ("客服", page(2))];
        let joined = joined_pages(Format::Text, pages.into_iter());
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
