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
