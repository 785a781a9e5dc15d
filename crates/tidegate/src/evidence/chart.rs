//! One chart as SVG: no script, no outside resource, readable without colour.
//!
//! Every series has its own dash and is named at its right end; the arms have markers besides.
//! Axes start at zero and carry their unit.

use super::html::{esc, number};
use crate::lang::Lang;
use std::fmt::Write as _;
use tidegate_core::decide::MetricUnit;
use tidegate_core::evidence::page::{FONT, nice_step, time_step};

const WIDTH: f64 = 780.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 556.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 268.0;
/// Least distance of two labels at the right end, px.
const LABEL_STEP: f64 = 15.0;
/// Most points that get a marker each; beyond that markers run into a band.
const MARKERS_MAX: usize = 60;
/// Width of one character of a mark's label, px; only to keep labels apart.
const MARK_CHAR: f64 = 6.2;
/// What an axis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A metric's values; shares in percent.
    Of(MetricUnit),
    /// Whole things.
    Count,
}

impl Unit {
    /// The unit on an axis.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Unit::Of(MetricUnit::Share) => "%",
            Unit::Of(MetricUnit::Ms) => "ms",
            Unit::Of(MetricUnit::Tokens) => "tokens",
            Unit::Of(MetricUnit::Usd) => "US$",
            Unit::Count => "count",
        }
    }

    /// A value with its unit.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Unit::Of(MetricUnit::Share) => format!("{} %", number(value * 100.0)),
            Unit::Of(MetricUnit::Ms) => format!("{} ms", number(value)),
            Unit::Of(MetricUnit::Tokens) => format!("{} tokens", number(value)),
            Unit::Of(MetricUnit::Usd) => format!("US$ {}", precise(value)),
            Unit::Count => number(value),
        }
    }

    fn tick(self, value: f64) -> String {
        match self {
            Unit::Of(MetricUnit::Share) => number(value * 100.0),
            Unit::Of(MetricUnit::Usd) => precise(value),
            Unit::Of(MetricUnit::Ms) | Unit::Of(MetricUnit::Tokens) | Unit::Count => number(value),
        }
    }
}

/// Dollars per request are small; three significant digits of them.
fn precise(value: f64) -> String {
    if value == 0.0 || value >= 0.01 {
        return number(value);
    }
    let digits = (2.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.digits$}").trim_end_matches('0').to_owned()
}

/// What a series is, which decides how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The stable arm: solid with dots.
    Stable,
    /// The candidate: dashed with open squares.
    Candidate,
    /// The pause threshold: dotted.
    Pause,
    /// The rollback threshold: dash and dot.
    Rollback,
}

impl Style {
    /// Colour, width and dash.
    fn stroke(self) -> (&'static str, f64, &'static str) {
        match self {
            Style::Stable => ("#1f4e79", 2.0, "none"),
            Style::Candidate => ("#a63c06", 2.4, "8 4"),
            Style::Pause => ("#595959", 1.4, "1.5 3.5"),
            Style::Rollback => ("#1a1a1a", 1.6, "12 3 2 3"),
        }
    }
}

/// One curve.
#[derive(Debug)]
pub(super) struct Series {
    name: &'static str,
    style: Style,
    values: Vec<Option<f64>>,
}

impl Series {
    /// A curve with a value, or a hole, for every x of its chart.
    pub(super) fn new(name: &'static str, style: Style, values: Vec<Option<f64>>) -> Series {
        Series { name, style, values }
    }
}

/// Something that happened.
#[derive(Debug)]
pub(super) struct Mark {
    /// When, seconds since the release started.
    pub(super) x: f64,
    /// What.
    pub(super) label: String,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    /// Part of the element ids; different for charts of one page.
    pub(super) id: &'static str,
    /// What it shows.
    pub(super) title: String,
    /// Label of the vertical axis, with the unit.
    pub(super) y_label: String,
    /// What the vertical axis counts.
    pub(super) unit: Unit,
    /// Seconds since the release started, rising.
    pub(super) x: Vec<f64>,
    /// The curves.
    pub(super) series: Vec<Series>,
    /// What happened when.
    pub(super) marks: Vec<Mark>,
}

/// Where values lie on the page.
struct Scale {
    x_max: f64,
    x_step: f64,
    y_max: f64,
    y_step: f64,
}

impl Scale {
    fn of(chart: &Chart) -> Scale {
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0_f64, f64::max);
        let x = most(&mut chart.x.iter().copied());
        let y = most(&mut chart.series.iter().flat_map(|s| s.values.iter().flatten().copied()));
        let x_step = time_step(if x > 0.0 { x } else { 1.0 });
        let whole = chart.unit == Unit::Count;
        let y = if y > 0.0 {
            y * 1.05
        } else if chart.unit == Unit::Of(MetricUnit::Share) {
            0.01
        } else {
            1.0
        };
        let y_step = nice_step(y, whole);
        let y_max = (y / y_step).ceil() * y_step;
        Scale { x_max: if x > 0.0 { x } else { 1.0 }, x_step, y_max, y_step }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds / self.x_max).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * (value / self.y_max).clamp(0.0, 1.0)
    }
}

/// The chart as a whole SVG document that can also be put into a page.
pub(super) fn svg(chart: &Chart) -> String {
    let scale = Scale::of(chart);
    let (id, title) = (chart.id, esc(&chart.title));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" lang=\"en\" \
         aria-labelledby=\"{id}-title {id}-desc\" font-family=\"{FONT}\" font-size=\"12\" \
         fill=\"#1a1a1a\">\n<title id=\"{id}-title\">{title}</title>\n\
         <desc id=\"{id}-desc\">{}</desc>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\" font-weight=\"600\">{title}</text>\n",
        esc(&described(chart)),
    );
    axes(&mut out, chart, &scale);
    marks(&mut out, chart, &scale);
    for series in &chart.series {
        curve(&mut out, chart, series, &scale);
    }
    labels(&mut out, chart, &scale);
    out.push_str("</svg>\n");
    out
}

/// The chart in words, for those who do not see it.
fn described(chart: &Chart) -> String {
    let ends: Vec<String> = chart
        .series
        .iter()
        .map(|s| match s.values.iter().rev().flatten().next() {
            Some(value) => format!("{} ends at {}", s.name, chart.unit.show(*value)),
            None => format!("{} has no data", s.name),
        })
        .collect();
    let span = Lang::En.span(chart.x.last().copied().unwrap_or_default());
    format!(
        "{} over {span}, counted since the release started: {}.",
        chart.y_label,
        ends.join("; ")
    )
}

fn axes(out: &mut String, chart: &Chart, scale: &Scale) {
    let ticks = (scale.y_max / scale.y_step).round() as usize;
    for i in 0..=ticks {
        let value = scale.y_step * i as f64;
        let y = scale.y(value);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#dcdcdc\" stroke-width=\"1\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 7.0,
            y + 4.0,
            chart.unit.tick(value),
        );
    }
    let ticks = (scale.x_max / scale.x_step).floor() as usize;
    for i in 0..=ticks {
        let seconds = scale.x_step * i as f64;
        let x = scale.x(seconds);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {BOTTOM}v5\" stroke=\"#1a1a1a\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 19.0,
            if i == 0 { "0".to_owned() } else { Lang::En.span(seconds) },
        );
    }
    let _ = writeln!(
        out,
        "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#1a1a1a\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">time since the release started\
         </text>\n\
         <text transform=\"translate(17 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 39.0,
        (TOP + BOTTOM) / 2.0,
        esc(&chart.y_label),
    );
}

/// Upright lines with labels above the plot, in two rows; a label that fits neither is left out,
/// its line stays.
fn marks(out: &mut String, chart: &Chart, scale: &Scale) {
    let mut free_from = [f64::MIN; 2];
    for mark in &chart.marks {
        let x = scale.x(mark.x);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"#8a8a8a\" stroke-width=\"0.8\"/>"
        );
        let half = mark.label.chars().count() as f64 * MARK_CHAR / 2.0;
        let Some(row) = free_from.iter().position(|free| x - half > *free) else { continue };
        free_from[row] = x + half + 4.0;
        let y = TOP - 5.0 - 14.0 * row as f64;
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"11\" text-anchor=\"middle\">{}</text>",
            esc(&mark.label)
        );
    }
}

fn curve(out: &mut String, chart: &Chart, series: &Series, scale: &Scale) {
    let (colour, width, dash) = series.style.stroke();
    let mut path = String::new();
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut pen_down = false;
    for (seconds, value) in chart.x.iter().zip(&series.values) {
        let Some(value) = value else {
            pen_down = false;
            continue;
        };
        let (x, y) = (scale.x(*seconds), scale.y(*value));
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen_down { 'L' } else { 'M' });
        points.push((x, y));
        pen_down = true;
    }
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
         stroke-dasharray=\"{dash}\" stroke-linejoin=\"round\"/>"
    );
    let shown = if points.len() > MARKERS_MAX { points.len() - 1 } else { 0 };
    for (x, y) in &points[shown.min(points.len())..] {
        match series.style {
            Style::Stable => {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>"
                );
            }
            Style::Candidate => {
                let _ = writeln!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"5.6\" height=\"5.6\" fill=\"#ffffff\" \
                     stroke=\"{colour}\" stroke-width=\"1.4\"/>",
                    x - 2.8,
                    y - 2.8
                );
            }
            Style::Pause | Style::Rollback => {}
        }
    }
}

/// Names at the right end, moved apart and led to their curve by a thin line.
fn labels(out: &mut String, chart: &Chart, scale: &Scale) {
    let mut ends: Vec<(f64, f64, &Series, f64)> = Vec::new();
    for series in &chart.series {
        let last = chart.x.iter().zip(&series.values).rev().find_map(|(x, v)| Some((*x, (*v)?)));
        if let Some((x, value)) = last {
            ends.push((scale.x(x), scale.y(value), series, value));
        }
    }
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut places: Vec<f64> = Vec::new();
    for (_, y, _, _) in &ends {
        let above = places.last().map_or(TOP, |last| last + LABEL_STEP);
        places.push(y.max(above));
    }
    let mut below = BOTTOM;
    for place in places.iter_mut().rev() {
        *place = place.min(below);
        below = *place - LABEL_STEP;
    }
    for ((x, y, series, value), place) in ends.iter().zip(places) {
        let (colour, width, dash) = series.style.stroke();
        let _ = writeln!(
            out,
            "<path d=\"M{:.1} {y:.1}L{:.1} {place:.1}\" stroke=\"#8a8a8a\" stroke-width=\"0.7\"/>\
             <path d=\"M{:.1} {place:.1}h26\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-dasharray=\"{dash}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"{colour}\">{} {}</text>",
            x + 4.0,
            RIGHT + 12.0,
            RIGHT + 12.0,
            RIGHT + 42.0,
            place + 4.0,
            series.name,
            esc(&chart.unit.show(*value)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        fn check(max: f64, whole: bool, step: f64) {
            assert!((nice_step(max, whole) - step).abs() < 1e-12, "{max}");
        }
        check(0.08, false, 0.02);
        check(1800.0, false, 500.0);
        check(1.05, true, 1.0);
        assert_eq!([20.0, 400.0, 90_000.0].map(time_step), [5.0, 60.0, 14_400.0]);
    }

    #[test]
    fn a_chart_without_data_is_still_a_chart() {
        let chart = Chart {
            id: "risk",
            title: "Risk <none>".to_owned(),
            y_label: "events (count)".to_owned(),
            unit: Unit::Count,
            x: vec![],
            series: vec![Series::new("stable", Style::Stable, vec![])],
            marks: vec![],
        };
        let text = svg(&chart);
        assert!(text.contains("Risk &lt;none&gt;") && text.contains("stable has no data"));
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn small_money_keeps_its_digits() {
        assert_eq!(Unit::Of(MetricUnit::Usd).show(0.000_123_4), "US$ 0.000123");
        assert_eq!(Unit::Of(MetricUnit::Share).show(0.0312), "3.12 %");
    }
}
