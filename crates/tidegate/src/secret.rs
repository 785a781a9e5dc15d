//! Secrets of a state: 256 random bits, each in a file of the state's folder that only its owner
//! reads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Bytes of a secret.
pub(crate) const BYTES: usize = 32;

/// The secret in a file of the project, made where there is none; it is on disk when this returns.
///
/// # Errors
/// When there is no randomness, or the file cannot be written or holds no secret.
pub(crate) fn kept(root: &Path, file: &str) -> io::Result<[u8; BYTES]> {
    match read(root, file)? {
        Some(secret) => Ok(secret),
        None => make(root, file),
    }
}

/// The secret in a file of the project, where there is one.
///
/// # Errors
/// When the file cannot be read, or holds no secret.
pub(crate) fn read(root: &Path, file: &str) -> io::Result<Option<[u8; BYTES]>> {
    match std::fs::read(root.join(file)) {
        Ok(bytes) => {
            let secret = <[u8; BYTES]>::try_from(bytes);
            secret.map(Some).map_err(|_| io::Error::other(format!("{file} holds no secret")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn make(root: &Path, file: &str) -> io::Result<[u8; BYTES]> {
    let path = root.join(file);
    let secret = random()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&path).and_then(|mut opened| {
        opened.write_all(&secret)?;
        opened.sync_all()?;
        // What is hashed with it is of no use without it.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    });
    if written.is_err() {
        // Half a secret is of no use.
        let _ = std::fs::remove_file(&path);
    }
    written.map(|()| secret)
}

/// Random bytes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Whether two digests are the same, in a time that does not depend on where they differ.
pub(crate) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::Instant;

    /// Welch's t of the times of two kinds of comparisons, in turn, as in dudect: the slowest tenth
    /// of both is left out, which is what else the machine does.
    fn t_of(compare: fn(&[u8; 32], &[u8; 32]) -> bool) -> f64 {
        let (known, early, late) = ([7; 32], [8; 32], {
            let mut late = [7; 32];
            late[31] = 8;
            late
        });
        let mut times = [Vec::new(), Vec::new()];
        for turn in 0..40_000 {
            let given = if turn % 2 == 0 { &early } else { &late };
            let began = Instant::now();
            for _ in 0..16 {
                black_box(compare(black_box(&known), black_box(given)));
            }
            times[turn % 2].push(began.elapsed().as_nanos() as f64);
        }
        let mut all = times.concat();
        all.sort_by(f64::total_cmp);
        let most = all[all.len() * 9 / 10];
        let [early, late] = times.map(|times| {
            let kept: Vec<f64> = times.into_iter().filter(|time| *time <= most).collect();
            let count = kept.len() as f64;
            let mean = kept.iter().sum::<f64>() / count;
            let spread = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
            (mean, spread / count)
        });
        (early.0 - late.0) / (early.1 + late.1).sqrt()
    }

    /// One that stops at the first difference, which the measurement must see.
    fn stops(a: &[u8; 32], b: &[u8; 32]) -> bool {
        a.iter().zip(b).all(|(x, y)| black_box(*x) == black_box(*y))
    }

    #[test]
    fn how_long_a_comparison_takes_does_not_say_where_it_differs() {
        let (leaks, ours) = (t_of(stops).abs(), t_of(same).abs());
        println!("t {ours:.1}, of a comparison that stops {leaks:.1}");
        // 4.5 is dudect's bound; a busy machine may be between the two.
        assert!(leaks > 20.0 && ours < leaks / 4.0, "t {ours:.1}, one that stops {leaks:.1}");
    }

    #[test]
    fn a_secret_is_kept_and_half_a_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), "a").unwrap(), None);
        let secret = kept(folder.path(), "a").unwrap();
        assert_eq!(kept(folder.path(), "a").unwrap(), secret);
        assert_ne!(kept(folder.path(), "b").unwrap(), secret);
        std::fs::write(folder.path().join("a"), "short").unwrap();
        assert!(kept(folder.path(), "a").is_err());
        assert!(kept(&folder.path().join("none"), "a").is_err());
    }
}
