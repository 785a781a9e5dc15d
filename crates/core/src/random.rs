//! A small generator (SplitMix64, Steele et al., OOPSLA 2014): what it gives depends on the seed
//! alone, on every platform and in every version.

/// A hash (FNV-1a, 64 bit) of several parts, each ended so that no two lists run together.
pub fn hash(parts: &[&str]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xFF]) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    state
}

/// What the state grows by: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's output function: every bit of the input changes half of the output's.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A seeded generator: the same seed gives the same draws on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A separate generator for one purpose, so that one more draw does not shift all others.
    pub fn new(seed: u64, purpose: &str) -> Random {
        Random(seed ^ hash(&[purpose]))
    }

    /// The generator of one of many numbered things, for example of the request with this number.
    /// Number and seed are mixed apart: were they only added, neighbours would share one sequence.
    pub fn nth(seed: u64, number: u64) -> Random {
        Random(mix(seed ^ mix(number.wrapping_add(STEP))))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An index below `len`; 0 for an empty list.
    pub fn index(&mut self, len: usize) -> usize {
        (self.next() % len.max(1) as u64) as usize
    }

    /// True in one of `n` cases; never for 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.next().is_multiple_of(n)
    }

    /// Log-normal around a median of 1; `sigma` is the standard deviation of the logarithm.
    pub fn lognormal(&mut self, sigma: f64) -> f64 {
        (sigma * self.normals().0).exp()
    }

    /// Two independent standard normal values (Box and Muller, 1958).
    pub fn normals(&mut self) -> (f64, f64) {
        let (u, v) = (1.0 - self.unit(), self.unit());
        let radius = (-2.0 * u.ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        (radius * cos, radius * sin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_sequence() {
        // The first outputs of SplitMix64 for seed 1234567, from Vigna's reference code.
        let mut random = Random(1_234_567);
        let got = [random.next(), random.next(), random.next()];
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(got, expected);
    }

    /// Numbered generators of a small seed once were one sequence, shifted.
    #[test]
    fn numbered_generators_do_not_overlap() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..500 {
            let mut random = Random::nth(17, number);
            assert!((0..20).all(|_| seen.insert(random.next())), "number {number}");
        }
    }

    #[test]
    fn moments() {
        let mut random = Random::new(7, "test");
        let mut draws: Vec<f64> = (0..10_001).map(|_| random.lognormal(0.5)).collect();
        draws.sort_by(f64::total_cmp);
        // The median is 1 and the 84th percentile exp(0.5); standard errors are about 0.007, 0.013.
        assert!((draws[5_000] - 1.0).abs() < 0.03, "{}", draws[5_000]);
        assert!((draws[8_413] - 0.5f64.exp()).abs() < 0.06, "{}", draws[8_413]);
        assert_eq!(random.lognormal(0.0), 1.0);
        let below = (0..10_000).filter(|_| random.unit() < 0.3).count();
        assert!((2_850..3_150).contains(&below), "{below}");
        assert_eq!(random.index(0), 0);
        assert!(!random.one_in(0) && random.one_in(1));
        let fifth = (0..10_000).filter(|_| random.one_in(5)).count();
        assert!((1_850..2_150).contains(&fifth), "{fifth}");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}
