//! What is in a batch's body, and how one is made.
//!
//! A body is one zstd frame with a checksum. In it are the records as JSON, a line each, without
//! input and output; then these texts, one after the other; then a head of 24 bytes for each
//! record. What is alike lies together, which saves a tenth of the bytes, and a text is copied as
//! it is. The heads come last so that `zstd -d` shows people the lines first.

use super::hash::{Name, Names};
use std::collections::BTreeSet;
use tidegate_core::ids::UnixMs;

/// Most records of a batch.
pub(super) const RECORDS_MAX: usize = 512;
/// Bytes of lines and texts after which a batch takes no more: a lookup reads one batch, and
/// beyond this size the compression gains nothing.
pub(super) const LINES_MAX: usize = 512 << 10;
/// Most bytes of the texts of one record; one beyond it is kept without them.
pub(super) const TEXTS_MAX: usize = 64 << 20;
/// Most bytes that a body is read to, whatever is stored about it.
const BODY_MAX: usize = TEXTS_MAX + 2 * LINES_MAX + RECORDS_MAX * Head::BYTES;
/// Level of zstd when records are written.
pub(super) const LEVEL: i32 = 1;
/// Bits of zstd's hash table at that level, one less than it has by itself: the table fits the
/// first cache of a core, which saves 10 % of the time for 3 % more bytes.
const HASH_BITS: u32 = 13;

/// What is known of a record without reading it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) trace: &'a str,
    pub(super) tenant: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) change_id: Option<&'a str>,
    pub(super) arm: &'a str,
    pub(super) at: UnixMs,
    pub(super) failing: bool,
}

/// What is kept of each record beside its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// When the request came in, ms.
    pub(super) at: u64,
    /// Length of its line, with the line's end.
    pub(super) line: u32,
    /// Length of its input and output; `None` where it has none beside its line.
    pub(super) texts: [Option<u32>; 2],
    /// Which of the batch's marks it belongs to.
    pub(super) mark: u16,
    /// Whether it is worth a regression case.
    pub(super) failing: bool,
}

impl Head {
    const BYTES: usize = 24;

    fn write(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.at.to_le_bytes());
        to.extend_from_slice(&self.line.to_le_bytes());
        for text in self.texts {
            // 0 is for no text, so that an empty one is another.
            let length = text.map_or(0, |bytes| bytes.saturating_add(1));
            to.extend_from_slice(&length.to_le_bytes());
        }
        to.extend_from_slice(&self.mark.to_le_bytes());
        to.extend_from_slice(&u16::from(self.failing).to_le_bytes());
    }

    fn read(from: &[u8; Head::BYTES]) -> Head {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *from;
        let [i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x] = rest;
        let texts = [[m, n, o, p], [q, r, s, t]];
        Head {
            at: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            line: u32::from_le_bytes([i, j, k, l]),
            texts: texts.map(|bytes| u32::from_le_bytes(bytes).checked_sub(1)),
            mark: u16::from_le_bytes([u, v]),
            failing: [w, x] != [0, 0],
        }
    }
}

/// What a batch has of one release and arm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The release; `None` where none was running.
    pub(super) change_id: Option<String>,
    /// The arm.
    pub(super) arm: String,
    /// The earliest of its records, ms.
    pub(super) first_at: u64,
    /// The latest, ms.
    pub(super) last_at: u64,
    /// How many they are.
    pub(super) count: u64,
    /// How many of them are failing.
    pub(super) failing: u64,
    /// Whose they are; counted for releases only.
    pub(super) subjects: BTreeSet<u64>,
}

impl Mark {
    fn add(&mut self, at: u64, failing: bool) {
        self.first_at = if self.count == 0 { at } else { self.first_at.min(at) };
        self.last_at = self.last_at.max(at);
        self.count += 1;
        self.failing += u64::from(failing);
    }
}

/// What is kept of a record: its line, without the line's end, and the texts beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) line: &'a [u8],
    pub(super) texts: [Option<&'a [u8]>; 2],
}

/// A batch that is being filled.
#[derive(Debug, Default)]
pub(super) struct Draft {
    lines: Vec<u8>,
    texts: Vec<u8>,
    heads: Vec<Head>,
    names: Vec<u8>,
    marks: Vec<Mark>,
}

/// A batch as it is stored.
#[derive(Debug)]
pub(in super::super) struct Sealed {
    pub(super) first_at: u64,
    pub(super) last_at: u64,
    pub(super) count: usize,
    /// Bytes of the body before compression.
    pub(super) raw: usize,
    pub(super) body: Vec<u8>,
    /// What its traces are found by, in the order of the records.
    pub(super) names: Vec<u8>,
    pub(super) marks: Vec<Mark>,
}

impl Draft {
    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.heads.len() >= RECORDS_MAX || self.lines.len() + self.texts.len() >= LINES_MAX
    }

    /// Adds a record, whose line `write` appends. Where that fails nothing is added.
    pub(super) fn add<E>(
        &mut self,
        names: &Names,
        facts: &Facts<'_>,
        texts: [Option<&[u8]>; 2],
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.lines.len();
        if let Err(error) = write(&mut self.lines) {
            self.lines.truncate(start);
            return Err(error);
        }
        self.lines.push(b'\n');
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let line = length(self.lines.len() - start);
        texts.into_iter().flatten().for_each(|text| self.texts.extend_from_slice(text));
        let texts = texts.map(|text| text.map(|text| length(text.len())));
        let mark = self.mark(facts.change_id, facts.arm);
        let Facts { trace, tenant, user, at, failing, .. } = *facts;
        if let Some(mark) = self.marks.get_mut(usize::from(mark)) {
            mark.add(at.0, failing);
            if facts.change_id.is_some() {
                mark.subjects.insert(names.subject(user, tenant, trace));
            }
        }
        self.names.extend_from_slice(&names.name(tenant, trace).to_bytes());
        self.heads.push(Head { at: at.0, line, texts, mark, failing });
        Ok(())
    }

    /// Adds all of another batch, in its order.
    pub(super) fn absorb(&mut self, body: &Body, names: &[u8], marks: &[Mark]) {
        let places: Vec<u16> = marks
            .iter()
            .map(|mark| {
                let place = self.mark(mark.change_id.as_deref(), &mark.arm);
                if let Some(ours) = self.marks.get_mut(usize::from(place)) {
                    let first = if ours.count == 0 { u64::MAX } else { ours.first_at };
                    ours.first_at = first.min(mark.first_at);
                    ours.last_at = ours.last_at.max(mark.last_at);
                    ours.count += mark.count;
                    ours.failing += mark.failing;
                    ours.subjects.extend(&mark.subjects);
                }
                place
            })
            .collect();
        let (lines, texts) = body.parts();
        self.lines.extend_from_slice(lines);
        self.texts.extend_from_slice(texts);
        self.heads.extend(body.heads.iter().map(|head| {
            let mark = places.get(usize::from(head.mark)).copied().unwrap_or_default();
            Head { mark, ..*head }
        }));
        self.names.extend_from_slice(names);
    }

    /// Which mark is the one of a release and arm. A batch has 512 records at most, so their
    /// number fits.
    fn mark(&mut self, change_id: Option<&str>, arm: &str) -> u16 {
        let is_it = |mark: &Mark| mark.change_id.as_deref() == change_id && mark.arm == arm;
        let place = self.marks.iter().position(is_it).unwrap_or_else(|| {
            let change_id = change_id.map(str::to_owned);
            self.marks.push(Mark { change_id, arm: arm.to_owned(), ..Mark::default() });
            self.marks.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// Compresses it and empties it; `None` when it is empty.
    pub(super) fn seal(
        &mut self,
        zstd: &mut zstd::bulk::Compressor<'_>,
    ) -> std::io::Result<Option<Sealed>> {
        let times = || self.heads.iter().map(|head| head.at);
        let (Some(first_at), Some(last_at)) = (times().min(), times().max()) else {
            return Ok(None);
        };
        self.lines.append(&mut self.texts);
        for head in &self.heads {
            head.write(&mut self.lines);
        }
        let body = zstd.compress(&self.lines);
        let raw = self.lines.len();
        let count = self.heads.len();
        self.lines.clear();
        self.heads.clear();
        let names = std::mem::take(&mut self.names);
        let marks = std::mem::take(&mut self.marks);
        // One answer of many megabytes must not be held for ever after.
        if self.lines.capacity() > 4 * LINES_MAX {
            (self.lines, self.texts) = (Vec::new(), Vec::new());
        }
        Ok(Some(Sealed { first_at, last_at, count, raw, body: body?, names, marks }))
    }
}

/// A compressor of bodies.
pub(super) fn compressor(level: i32) -> std::io::Result<zstd::bulk::Compressor<'static>> {
    let mut zstd = zstd::bulk::Compressor::new(level)?;
    zstd.include_checksum(true)?;
    if level == LEVEL {
        zstd.set_parameter(zstd::zstd_safe::CParameter::HashLog(HASH_BITS))?;
    }
    Ok(zstd)
}

/// A batch's body, read and found whole.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    heads: Vec<Head>,
    /// Where the line of each record begins, and where its texts.
    starts: Vec<(usize, usize)>,
    /// Where the first text begins.
    texts: usize,
}

impl Body {
    /// Reads one of so many records and so many bytes. The error says what is wrong.
    pub(super) fn open(body: &[u8], count: usize, raw: usize) -> Result<Body, &'static str> {
        if raw > BODY_MAX || count > RECORDS_MAX {
            return Err("it is larger than any batch");
        }
        let bytes = zstd::bulk::decompress(body, raw).map_err(|_| "its body was altered")?;
        let heads = bytes.len().checked_sub(count * Head::BYTES).filter(|_| bytes.len() == raw);
        let (parts, heads) = heads.map_or((&[][..], &[][..]), |at| bytes.split_at(at));
        let (chunks, _) = heads.as_chunks::<{ Head::BYTES }>();
        let heads: Vec<Head> = chunks.iter().map(Head::read).collect();
        let texts: usize = heads.iter().map(|head| head.line as usize).sum();
        let mut starts = Vec::with_capacity(count);
        let mut end = (0, texts);
        for head in &heads {
            starts.push(end);
            let both: usize = head.texts.into_iter().flatten().map(|bytes| bytes as usize).sum();
            end = (end.0 + head.line as usize, end.1 + both);
        }
        if heads.len() != count || end != (texts, parts.len()) {
            return Err("its body does not have the records that it should");
        }
        Ok(Body { bytes, heads, starts, texts })
    }

    /// What is known of each record, in their order.
    pub(super) fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// A record.
    pub(super) fn piece(&self, place: usize) -> Piece<'_> {
        let (Some((line, texts)), Some(head)) = (self.starts.get(place), self.heads.get(place))
        else {
            return Piece::default();
        };
        let bytes = |start: usize, bytes: usize| self.bytes.get(start..start + bytes);
        let mut next = *texts;
        let texts = head.texts.map(|length| {
            let start = next;
            next += length.unwrap_or_default() as usize;
            bytes(start, length? as usize)
        });
        let line = bytes(*line, (head.line as usize).saturating_sub(1)).unwrap_or_default();
        Piece { line, texts }
    }

    /// All lines, and all texts.
    fn parts(&self) -> (&[u8], &[u8]) {
        let end = self.bytes.len().saturating_sub(self.heads.len() * Head::BYTES);
        let part = |range: std::ops::Range<usize>| self.bytes.get(range).unwrap_or_default();
        (part(0..self.texts), part(self.texts..end))
    }
}

/// The places of a batch whose names fit.
pub(super) fn places<'a>(
    names: &'a [u8],
    fits: impl Fn(Name) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let (chunks, _) = names.as_chunks::<{ Name::BYTES }>();
    let places = chunks.iter().enumerate();
    places.filter(move |(_, bytes)| fits(Name::of_bytes(**bytes))).map(|(place, _)| place)
}
