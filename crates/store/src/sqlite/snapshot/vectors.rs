//! The meanings of chunks as vectors: of unit length, and each number in 16 bits (bfloat16), which
//! changes no order that matters. All of them are compared with a question's, so that nothing near
//! is missed; [`EMBEDDED_CHUNKS_MAX`] bounds how long that takes.

use rusqlite::Connection;

/// Most chunks of a snapshot with vectors.
pub const EMBEDDED_CHUNKS_MAX: u64 = 50_000;

/// The vector of a chunk, as it is kept.
pub(super) fn kept(vector: &[f32]) -> Vec<u8> {
    unit(vector).iter().flat_map(|number| half(*number).to_le_bytes()).collect()
}

/// The same direction, with length 1; zero has none and stays.
pub(super) fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    let scaled = |number: &f32| (f64::from(*number) / length) as f32;
    if length > 0.0 { vector.iter().map(scaled).collect() } else { vector.to_vec() }
}

/// The upper half of a number's bits, rounded.
fn half(number: f32) -> u16 {
    (number.to_bits().saturating_add(0x8000) >> 16) as u16
}

fn whole(bytes: &[u8]) -> f32 {
    let half = u16::from_le_bytes(bytes.try_into().unwrap_or_default());
    f32::from_bits(u32::from(half) << 16)
}

/// The chunks whose vectors are nearest to one of unit length, the nearest first.
pub(super) fn nearest(
    connection: &Connection,
    question: &[f32],
    most: usize,
) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT id, vector FROM vectors")?;
    let mut rows = statement.query([])?;
    let mut scores: Vec<(f32, i64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let vector = row.get_ref(1)?.as_blob().unwrap_or_default();
        let pairs = vector.chunks_exact(2).zip(question);
        let score = pairs.map(|(bytes, number)| whole(bytes) * number).sum();
        scores.push((score, row.get(0)?));
    }
    scores.sort_by(|(a, of_a), (b, of_b)| b.total_cmp(a).then(of_a.cmp(of_b)));
    Ok(scores.into_iter().take(most).map(|(_, chunk)| chunk).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_is_near_what_was_given(
            vector in prop::collection::vec(-1e6_f32..1e6, 1..50),
        ) {
            let read: Vec<f32> = kept(&vector).chunks_exact(2).map(whole).collect();
            for (read, given) in read.iter().zip(unit(&vector)) {
                prop_assert!((read - given).abs() <= given.abs() / 128.0 + 1e-6);
            }
        }
    }
}
