//! Searching: the chunks that fit best, within a time.

use super::Snapshot;
use super::vectors::{nearest, unit};
use crate::error::Result;
use rusqlite::Connection;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tidegate_core::retrieval::{ChunkId, Short, Terms, fused};

/// Steps of SQLite between two looks at the clock: a few microseconds.
const STEPS: i32 = 1_000;
/// Chunks of each table whose ranks are added up, for each one that is wanted; a chunk that is good
/// in one of the tables only is among its first.
const CANDIDATES: usize = 4;

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its name.
    pub id: ChunkId,
    /// Its document.
    pub document: String,
    /// Its text.
    pub text: String,
    /// How well it fits, higher is better: BM25, or with vectors what its ranks add up to.
    /// Comparable within one answer only.
    pub score: f64,
}

impl Snapshot {
    /// The `top_k` chunks that fit best, the best first: the same question always finds the same
    /// ones. It ends after `within` at the latest.
    ///
    /// # Errors
    /// The time was not enough ([`Busy`](crate::StoreErrorKind::Busy)), or the file cannot be read.
    pub fn search(&self, terms: &Terms, top_k: usize, within: Duration) -> Result<Vec<Found>> {
        self.search_near(terms, None, top_k, within)
    }

    /// The same with the vector of the question, where the snapshot has vectors of as many numbers:
    /// what is found by words and what is near in meaning are joined by their ranks.
    ///
    /// # Errors
    /// As of [`Self::search`].
    pub fn search_near(
        &self,
        terms: &Terms,
        question: Option<&[f32]>,
        top_k: usize,
        within: Duration,
    ) -> Result<Vec<Found>> {
        let (long, short) = (long_query(terms), short_query(terms));
        let dimensions = self.about.embedded.as_ref().map(|embedded| embedded.dimensions);
        let question = question.filter(|it| Some(it.len() as u64) == dimensions).map(unit);
        if long.is_none() && short.is_none() && question.is_none() || top_k == 0 {
            return Ok(Vec::new());
        }
        let until = Instant::now() + within;
        self.with(|connection| {
            connection.progress_handler(STEPS, Some(move || Instant::now() >= until))?;
            let queries = [("long", long), ("short", short)];
            let found = search(connection, queries, question.as_deref(), top_k);
            connection.progress_handler(0, None::<fn() -> bool>)?;
            found
        })
    }
}

fn search(
    connection: &Connection,
    queries: [(&str, Option<String>); 2],
    question: Option<&[f32]>,
    top_k: usize,
) -> rusqlite::Result<Vec<Found>> {
    let mut scores: HashMap<i64, f64> = HashMap::new();
    for (table, query) in queries {
        let Some(query) = query else { continue };
        let sql = format!(
            "SELECT rowid, rank FROM {table} WHERE {table} MATCH ?1 ORDER BY rank LIMIT ?2"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let most = i64::try_from(top_k * CANDIDATES).unwrap_or(i64::MAX);
        let rows = statement.query_map((query, most), |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            let (chunk, rank): (i64, f64) = row?;
            // FTS5's rank is lower for what fits better.
            *scores.entry(chunk).or_default() -= rank;
        }
    }
    let mut best: Vec<(i64, f64)> = scores.into_iter().collect();
    best.sort_by(|(a, of_a), (b, of_b)| of_b.total_cmp(of_a).then(a.cmp(b)));
    if let Some(question) = question {
        let by_words = best.iter().take(top_k * CANDIDATES).map(|(chunk, _)| *chunk).collect();
        best = fused(&[by_words, nearest(connection, question, top_k * CANDIDATES)?]);
    }
    best.truncate(top_k);
    let sql = "SELECT path, chunks.number, text FROM chunks \
               JOIN documents ON document = documents.number WHERE chunks.id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = best.into_iter().map(|(chunk, score)| {
        statement.query_row([chunk], |row| {
            let (document, number): (String, i64) = (row.get(0)?, row.get(1)?);
            let id = ChunkId::new(&document, number.unsigned_abs());
            Ok(Found { id, document, text: row.get(2)?, score })
        })
    });
    found.collect()
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('"', "\"\""))
}

fn long_query(terms: &Terms) -> Option<String> {
    let words: Vec<String> = terms.long.iter().map(|word| quoted(word)).collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}

fn short_query(terms: &Terms) -> Option<String> {
    let word = |short: &Short| match short {
        Short::Whole(word) => quoted(word),
        Short::Begins(word) => format!("{} *", quoted(word)),
    };
    let words: Vec<String> = terms.short.iter().map(word).collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}
