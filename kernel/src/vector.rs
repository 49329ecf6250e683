//! Chunks of numbers side by side, in the registers of each instruction set.
//!
//! Every set gives the same bits: it rounds as IEEE 754 says, lane by lane, and fuses nothing.

use crate::buffer::Number;

pub mod plain;
#[cfg(target_arch = "x86_64")]
pub mod x86_avx2;
#[cfg(target_arch = "x86_64")]
pub mod x86_avx512;

/// Floating-point numbers of a chunk.
pub const N: usize = 16;

/// An instruction set. Its vectors may only be used where the processor is known to have it.
pub trait Set {
    type Floats: Floats<Real = f32>;
}

/// A chunk of floating-point numbers.
pub trait Floats: Copy {
    type Real: Number + PartialOrd + Into<f64>;
    type Counts: Counts;
    type Wide: Wide;

    fn real(value: f32) -> Self::Real;
    fn single(value: Self::Real) -> f32;

    fn load(values: &[Self::Real; N]) -> Self;
    fn store(self, values: &mut [Self::Real; N]);
    fn all(value: Self::Real) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn magnitude(self) -> Self;
    fn lesser(self, other: Self) -> Self;
    fn greater(self, other: Self) -> Self;
    fn wide(self) -> Self::Wide;

    /// Returns the lesser where `self` is not 0, else `other`.
    fn lesser_unless_zero(self, other: Self) -> Self;
    /// Adds 1 to `counts` where `self` is not 0.
    fn count_unless_zero(self, counts: Self::Counts) -> Self::Counts;
    /// Adds 1 to `counts` where `self` lies between `low` and `high` without either.
    fn count_between(self, low: Self, high: Self, counts: Self::Counts) -> Self::Counts;
}

/// A count for each lane of a chunk.
pub trait Counts: Copy {
    fn load(counts: &[u32; N]) -> Self;
    fn store(self, counts: &mut [u32; N]);
}

/// A chunk of sums in double precision.
pub trait Wide: Copy {
    fn load(values: &[f64; N]) -> Self;
    fn store(self, values: &mut [f64; N]);
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
}
