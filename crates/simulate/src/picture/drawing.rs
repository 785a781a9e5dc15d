//! Drawing: a release's history as a whole SVG document: no script, no outside resource, readable
//! without colour.

use super::{History, PictureLook, ReleaseEnd, ended};
use std::fmt::Write as _;
use tidegate_core::decide::DecisionKind;
use tidegate_core::evidence::page::{FONT, esc, time_step};
use tidegate_core::say::Lang;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 606.0;
/// The panel of odds.
const TOP: f64 = 84.0;
const BOTTOM: f64 = 304.0;
/// The panel of weights.
const WEIGHT_TOP: f64 = 330.0;
const WEIGHT_BOTTOM: f64 = 394.0;
/// Odds below 1 : 100 are drawn there; a common logarithm.
const LEAST: f64 = -2.0;
/// At least up to 10,000 : 1 is shown.
const MOST: f64 = 4.0;
/// Width of one character of a label, px; only to keep labels apart and lines within the page.
const CHAR: f64 = 7.0;
/// Distance of two lines of text, px.
const LEADING: f64 = 16.0;

const OVER: &str = "#a63c06";
const WITHIN: &str = "#1f4e79";
const OTHER: &str = "#595959";

/// Where values lie on the page.
struct Scale {
    most_s: f64,
    most: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds / self.most_s).clamp(0.0, 1.0)
    }

    fn y(&self, odds: f64) -> f64 {
        let share = (odds.clamp(LEAST, self.most) - LEAST) / (self.most - LEAST);
        BOTTOM - (BOTTOM - TOP) * share
    }
}

/// The whole document.
pub(super) fn svg(history: &History<'_>) -> String {
    let most_s = history.looks.last().map_or(1.0, |look| look.at_s).max(1.0);
    let most = MOST.max(history.over_enough.max(history.within_enough).ceil() + 1.0);
    let scale = Scale { most_s, most };
    let scenario = history.scenario;
    let title = esc(&format!("{}: {}", scenario.name, scenario.about));
    let end = wrapped(&sentence(history), ((WIDTH - 48.0) / CHAR) as usize);
    let height = WEIGHT_BOTTOM + 70.0 + LEADING * end.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" lang=\"en\" \
         aria-labelledby=\"title desc\" font-family=\"{FONT}\" font-size=\"12\" \
         fill=\"#1a1a1a\">\n<title id=\"title\">{title}</title>\n<desc id=\"desc\">{}</desc>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"24\" y=\"24\" font-size=\"14\" font-weight=\"600\">{title}</text>\n",
        esc(&sentence(history)),
    );
    odds_axis(&mut out, &scale);
    weight_axis(&mut out, &scale);
    pauses(&mut out, history, &scale);
    marks(&mut out, history, &scale);
    enough(&mut out, history, &scale);
    let curve = |look: &PictureLook, odds: f64| (scale.x(look.at_s), scale.y(odds));
    let start = (scale.x(0.0), scale.y(0.0));
    let of = |odds: fn(&PictureLook) -> f64| {
        std::iter::once(start).chain(history.looks.iter().map(move |look| curve(look, odds(look))))
    };
    if let Some((index, _)) = history.slowest() {
        let points =
            history.looks.iter().filter_map(|look| Some(curve(look, *look.others.get(index)?)));
        path(&mut out, std::iter::once(start).chain(points), (OTHER, 1.4, "3 3"));
    }
    path(&mut out, of(|look| look.within), (WITHIN, 2.0, "none"));
    path(&mut out, of(|look| look.over), (OVER, 2.4, "8 4"));
    weights(&mut out, history, &scale);
    for (i, text) in end.iter().enumerate() {
        let y = WEIGHT_BOTTOM + 68.0 + LEADING * i as f64;
        text_at(&mut out, (24.0, y), "start", "#1a1a1a", text);
    }
    out.push_str("</svg>\n");
    out
}

/// When it ended, how and why.
fn sentence(history: &History<'_>) -> String {
    let at = history.looks.last().map_or(0.0, |look| look.at_s);
    format!("After {} it is {}.", Lang::En.span(at), ended(history))
}

/// Writing to a String cannot fail, here and below.
fn text_at(out: &mut String, (x, y): (f64, f64), anchor: &str, fill: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{fill}\">{}</text>",
        esc(text)
    );
}

fn path(
    out: &mut String,
    points: impl Iterator<Item = (f64, f64)>,
    (colour, width, dash): (&str, f64, &str),
) {
    let mut line = String::new();
    for (i, (x, y)) in points.enumerate() {
        let _ = write!(line, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    let _ = writeln!(
        out,
        "<path d=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
         stroke-dasharray=\"{dash}\" stroke-linejoin=\"round\"/>"
    );
}

/// Odds for people: `1 : 10`, `1,000 : 1`.
fn odds(logarithm: f64) -> String {
    let whole = 10_f64.powf(logarithm.abs()).round() as u64;
    let digits = whole.to_string();
    let cut = digits.len() % 3;
    let mut shown = digits[..cut].to_owned();
    for start in (cut..digits.len()).step_by(3) {
        let comma = if shown.is_empty() { "" } else { "," };
        shown += comma;
        shown += &digits[start..start + 3];
    }
    if logarithm < 0.0 { format!("1 : {shown}") } else { format!("{shown} : 1") }
}

fn odds_axis(out: &mut String, scale: &Scale) {
    let mut decade = LEAST;
    while decade <= scale.most {
        let y = scale.y(decade);
        let _ = writeln!(out, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#dcdcdc\"/>");
        text_at(out, (LEFT - 7.0, y + 4.0), "end", "#1a1a1a", &odds(decade));
        decade += 1.0;
    }
    let _ = writeln!(
        out,
        "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#1a1a1a\"/>\n\
         <text transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">\
         odds</text>",
        (TOP + BOTTOM) / 2.0
    );
}

fn weight_axis(out: &mut String, scale: &Scale) {
    for (share, label) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        let y = weight_y(share);
        let _ = writeln!(out, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#dcdcdc\"/>");
        text_at(out, (LEFT - 7.0, y + 4.0), "end", "#1a1a1a", label);
    }
    let _ = writeln!(
        out,
        "<path d=\"M{LEFT} {WEIGHT_TOP}V{WEIGHT_BOTTOM}H{RIGHT}\" fill=\"none\" \
         stroke=\"#1a1a1a\"/>\n<text transform=\"translate(20 {:.1}) rotate(-90)\" \
         text-anchor=\"middle\">weight</text>",
        (WEIGHT_TOP + WEIGHT_BOTTOM) / 2.0
    );
    let step = time_step(scale.most_s);
    for i in 0..=(scale.most_s / step) as usize {
        let seconds = step * i as f64;
        let x = scale.x(seconds);
        let label = if i == 0 { "0".to_owned() } else { Lang::En.span(seconds) };
        let _ = writeln!(out, "<path d=\"M{x:.1} {WEIGHT_BOTTOM}v5\" stroke=\"#1a1a1a\"/>");
        text_at(out, (x, WEIGHT_BOTTOM + 19.0), "middle", "#1a1a1a", &label);
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    let y = WEIGHT_BOTTOM + 38.0;
    text_at(out, (middle, y), "middle", "#1a1a1a", "time since the release started");
}

fn weight_y(share: f64) -> f64 {
    WEIGHT_BOTTOM - (WEIGHT_BOTTOM - WEIGHT_TOP) * share
}

/// The odds that are enough, and which curve they belong to.
fn enough(out: &mut String, history: &History<'_>, scale: &Scale) {
    let x = RIGHT + 12.0;
    for (level, colour, what) in [
        (history.over_enough, OVER, "enough to roll back"),
        (history.within_enough, WITHIN, "enough to pass"),
    ] {
        let y = scale.y(level);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"{colour}\" stroke-width=\"1.4\" \
             stroke-dasharray=\"1.5 3.5\"/>"
        );
        text_at(out, (x, y + 4.0), "start", colour, &format!("{what}, {}", odds(level)));
    }
    let metric = history.scenario.metric.as_str();
    let y = scale.y(history.over_enough.min(history.within_enough)) + 42.0;
    text_at(out, (x, y), "start", "#1a1a1a", &format!("the odds that {metric} is"));
    for (row, colour, width, dash, what) in [
        (1.0, OVER, 2.4, "8 4", "over its rollback line"),
        (2.0, WITHIN, 2.0, "none", "within its rollback line"),
    ] {
        let y = y + row * LEADING + 3.0;
        path(out, [(x, y - 4.0), (x + 30.0, y - 4.0)].into_iter(), (colour, width, dash));
        text_at(out, (x + 38.0, y), "start", colour, what);
    }
    if let Some((_, other)) = history.slowest() {
        let y = y + 3.6 * LEADING + 3.0;
        path(out, [(x, y - 4.0), (x + 30.0, y - 4.0)].into_iter(), (OTHER, 1.4, "3 3"));
        text_at(out, (x + 38.0, y), "start", OTHER, "within: the slowest of");
        text_at(
            out,
            (x + 38.0, y + LEADING),
            "start",
            OTHER,
            &format!("the others, {}", other.as_str()),
        );
    }
    text_at(out, (x, WEIGHT_TOP + 14.0), "start", "#1a1a1a", "the candidate's share of users");
    if history.looks.iter().any(|look| look.decided == DecisionKind::Pause) {
        let y = WEIGHT_TOP + 36.0;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{:.1}\" width=\"30\" height=\"11\" fill=\"#d9d9d9\"/>",
            y - 9.0
        );
        text_at(out, (x + 38.0, y), "start", "#1a1a1a", "paused");
    }
}

/// Stretches in which it was paused, in grey.
fn pauses(out: &mut String, history: &History<'_>, scale: &Scale) {
    let mut since = None;
    for look in &history.looks {
        let paused = look.decided == DecisionKind::Pause;
        let begins = since.unwrap_or(look.at_s);
        let is_last = history.looks.last() == Some(look);
        since = paused.then_some(begins);
        if begins < look.at_s && (!paused || is_last) {
            let (from, to) = (scale.x(begins), scale.x(look.at_s));
            let _ = writeln!(
                out,
                "<rect x=\"{from:.1}\" y=\"{WEIGHT_TOP}\" width=\"{:.1}\" height=\"{:.1}\" \
                 fill=\"#d9d9d9\"/>",
                to - from,
                WEIGHT_BOTTOM - WEIGHT_TOP
            );
        }
    }
}

/// What happened when: rises, the setting in of harm, the end. A label that fits neither of two
/// rows is left out, its line stays.
fn marks(out: &mut String, history: &History<'_>, scale: &Scale) {
    let mut marks: Vec<(f64, String)> = Vec::new();
    let from_s = history.scenario.from_s;
    if from_s > 0.0 && from_s < scale.most_s {
        marks.push((from_s, "it sets in".to_owned()));
    }
    let mut weight = history.looks.first().map_or(0.0, |look| look.weight);
    for look in &history.looks {
        if look.decided == DecisionKind::Advance && look.weight > weight {
            marks.push((look.at_s, format!("{} %", (look.weight * 1000.0).round() / 10.0)));
        }
        weight = look.weight;
    }
    let end = match history.end {
        ReleaseEnd::RolledBack => "rolled back",
        ReleaseEnd::Promoted => "promoted",
        ReleaseEnd::Paused => "still paused",
        ReleaseEnd::Undecided => "still looking",
    };
    marks.push((scale.most_s, end.to_owned()));
    marks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free_from = [f64::MIN; 2];
    for (at_s, label) in marks {
        let x = scale.x(at_s);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {TOP}V{WEIGHT_BOTTOM}\" stroke=\"#8a8a8a\" stroke-width=\"0.8\"/>"
        );
        let half = label.chars().count() as f64 * CHAR / 2.0;
        let Some(row) = free_from.iter().position(|free| x - half > *free) else { continue };
        free_from[row] = x + half + 10.0;
        let y = TOP - 8.0 - LEADING * row as f64;
        text_at(out, (x, y), "middle", "#1a1a1a", &label);
    }
}

fn weights(out: &mut String, history: &History<'_>, scale: &Scale) {
    // A decision's weight holds from then on; the first rung's from the start.
    let mut share = history.looks.first().map_or(0.0, |look| look.weight);
    let mut points = vec![(scale.x(0.0), weight_y(share))];
    for look in &history.looks {
        points.push((scale.x(look.at_s), weight_y(share)));
        share = look.weight;
        points.push((scale.x(look.at_s), weight_y(share)));
    }
    path(out, points.into_iter(), ("#1a1a1a", 2.0, "none"));
}

/// The text in lines of at most `width` characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_as_a_person_writes_them() {
        let texts = [-2.0, 0.0, 1.0, 3.0, 6.5].map(odds).join("; ");
        assert_eq!(texts, "1 : 100; 1 : 1; 10 : 1; 1,000 : 1; 3,162,278 : 1");
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrapped("a bb ccc d", 4), ["a bb", "ccc", "d"]);
        assert_eq!(wrapped("longword", 3), ["longword"]);
    }
}
