//! A pseudo-random sequence that is the same in every run: xorshift64*.

/// Each bench draws from one of these, so that all contenders get the same keys and deadlines.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The one sequence.
    pub(crate) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        // The high half of the product is below the bound, and as even as anybody here needs.
        let product = u128::from(drawn) * u128::from(bound);
        u64::try_from(product >> 64).expect("the high half of 128 bits has 64")
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        let drawn = self.below(u64::try_from(len).expect("a length fits 64 bits"));
        usize::try_from(drawn).expect("it is below a length")
    }

    /// Puts the items into another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.index(end + 1));
        }
    }
}
