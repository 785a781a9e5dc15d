//! Draws that follow from a seed, and what the environment may ask of a long run.

/// A number from the environment; the default where it is not there.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// xorshift64*: small, seeded, good enough to scatter kills and faults.
pub(crate) struct Dice(u64);

impl Dice {
    /// The same seed gives the same draws.
    pub(crate) fn new(seed: u64) -> Dice {
        // Neighbouring seeds are spread, and none is 0, from which nothing else follows.
        Dice(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from 0 to one below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }

    /// One of several.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}
