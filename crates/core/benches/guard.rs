//! What looking at texts costs: `cargo bench -p tidegate-core --bench guard`.
//!
//! Prints microseconds a KiB for each detector on texts of four kinds: English and Chinese prose
//! without anything to find, lines full of numbers that are no one's, and lines full of personal
//! data. It measures on whatever machine it runs on and fails nothing.

#![expect(clippy::print_stdout, reason = "a bench is there to print")]

use std::hint::black_box;
use std::time::Instant;
use tidegate_core::guard::{
    Detectors, Heard, Place, RedactedStream, Said, Words, detect_refusal, overlap_share, signals,
};
use tidegate_core::retrieval::{Chunk, ChunkId, claims, retrieved};
use tidegate_core::text::{find_private, redact};

const ROUNDS: usize = 30;
const KIB: usize = 16;

const TEXTS: [(&str, &str); 4] = [
    ("English", "A refund takes three to five working days once the parcel has come back to us. "),
    ("Chinese", "退款会在包裹寄回仓库并验收后的三到五个工作日内原路退回，请耐心等待。"),
    (
        "numbers",
        "Order 20240115001234 of 2024-01-15 12:30:45, ISBN 978-0-306-40615-7, 10.0.12.7, v2.10.1. ",
    ),
    ("personal", "Ann <ann@example.com>, 13812345678, card 4111 1111 1111 1111, +1 415 555 0132. "),
];

/// The fastest of some rounds, as microseconds a KiB.
fn time<T>(work: impl Fn() -> T) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed().as_secs_f64() * 1e6 / KIB as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// A text that is redacted as it comes, in pieces of a token's length.
fn streamed(text: &str) -> usize {
    let (mut stream, mut out, mut piece) = (RedactedStream::default(), 0, String::new());
    for c in text.chars() {
        piece.push(c);
        if piece.len() >= 4 {
            out += stream.push(&|_, _| true, &piece).len();
            piece.clear();
        }
    }
    out + stream.push(&|_, _| true, &piece).len() + stream.end(&|_, _| true).len()
}

fn main() {
    let rule =
        |n| format!("Rule {n}: you are desk {n} of a shop, and answer only about order {n}. ");
    let prompt: String = (0..20).map(rule).collect();
    let prompted = Detectors { system_prompt: prompt.clone(), ..Detectors::default() };
    let planted = Detectors { planted: vec!["MARKER-7".to_owned()], ..Detectors::default() };
    println!("µs a KiB, of texts of {KIB} KiB");
    let words = Words::new(&["gambling".to_owned(), "赌博".to_owned()]);
    println!(
        "{:>10}  private  redact  streamed  planted   echo  encoded  refusal  signals  words  \
         claims",
        ""
    );
    for (name, piece) in TEXTS {
        let text = piece.repeat(KIB * 1024 / piece.len());
        let private = time(|| find_private(&text));
        let redacted = time(|| redact(&text));
        let streamed = time(|| streamed(&text));
        let seen = time(|| planted.inspect(&Said::text(&text), Heard::default)) - private;
        let echo = time(|| overlap_share(&text, &prompt));
        let encoded = time(|| prompted.inspect(&Said::text(&text), Heard::default));
        let encoded = encoded - private - echo;
        let refusal = time(|| detect_refusal(&text));
        let signal = time(|| signals([(Place::Tool, text.as_str())], &Words::default()));
        let word = time(|| signals([(Place::Answer, text.as_str())], &words));
        let chunk = Chunk { id: ChunkId::new("a.md", 1), text: text.chars().take(500).collect() };
        let shown = retrieved(vec![chunk; 3], 4000);
        let claim = time(|| claims(&text, &shown));
        println!(
            "{name:>10}  {private:>7.2}  {redacted:>6.2}  {streamed:>8.2}  {seen:>7.2}  \
             {echo:>5.2}  {encoded:>7.2}  {refusal:>7.3}  {signal:>7.2}  {word:>5.2}  \
             {claim:>6.2}"
        );
    }
}
