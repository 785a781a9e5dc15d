//! Random numbers of simulations: the same on every machine.

/// SplitMix64 with a fixed seed.
pub(in crate::decide) struct Chance(pub(in crate::decide) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform on [0, 1).
    pub(in crate::decide) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub(in crate::decide) fn hit(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// A whole number below `end`.
    pub(in crate::decide) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Exponential with mean 1.
    pub(in crate::decide) fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }

    /// Standard normal (Box and Muller 1958).
    pub(in crate::decide) fn normal(&mut self) -> f64 {
        (2.0 * self.exponential()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Beta(1, b) has the distribution function 1 − (1 − x)^b, which inverts: mean 1/(1 + b),
    /// intra-class correlation 1/(2 + b).
    pub(in crate::decide) fn beta_one(&mut self, b: f64) -> f64 {
        1.0 - self.uniform().powf(1.0 / b)
    }
}
