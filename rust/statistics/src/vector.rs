//! Chunks of numbers side by side, in the registers of each instruction set.
//!
//! Every set gives the same bits: it rounds as IEEE 754 says, lane by lane, and fuses nothing.

use crate::buffer::Number;

#[cfg(target_arch = "aarch64")]
pub mod arm_neon;
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
    type Bytes: Bytes;
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

/// A chunk of bytes. Sums of whole numbers are exact, so their order is free, and so is `SIZE`.
pub trait Bytes: Copy {
    const SIZE: usize;
    /// How many times the sum of bytes is missing from the sum of their squares.
    const SQUARES_LACK: i64 = 0;
    /// Sums of bytes, of differences, of products, and counts: with room for `MOST_PRODUCTS` chunks.
    type Sums: WholeSums;
    type Differences: WholeSums;
    type Products: WholeSums;
    type Counts: WholeSums;
    /// Sums with room for any frame.
    type Whole: Whole;
    /// Numbers of 16 bits, one for each byte, in some order.
    type Words: Copy;

    /// # Safety
    /// `SIZE` bytes must be readable.
    unsafe fn load(bytes: *const u8) -> Self;
    /// Returns every third byte, from each of the first three on.
    ///
    /// # Safety
    /// Three times `SIZE` bytes must be readable.
    unsafe fn load_triples(bytes: *const u8) -> [Self; 3];
    /// # Safety
    /// `SIZE` bytes must be writable.
    unsafe fn store(self, bytes: *mut u8);
    fn all(byte: u8) -> Self;
    fn flipped(self, bits: Self) -> Self;
    fn lesser(self, other: Self) -> Self;
    fn greater(self, other: Self) -> Self;
    /// Returns `self` where `mask` is 255, `other` where it is 0.
    fn or(self, other: Self, mask: Self) -> Self;
    /// Returns differences without their sign.
    fn apart(self, other: Self) -> Self;
    /// Returns the lesser where `self` is not 0, else `other`.
    fn lesser_unless_zero(self, other: Self) -> Self;
    /// Adds 1 to `counts` where `self` is not 0.
    fn count_unless_zero(self, counts: Self::Counts) -> Self::Counts;
    /// Adds 1 to `counts` where `self` less `first`, modulo 256, is at most `extent`.
    fn count_from(self, first: Self, extent: Self, counts: Self::Counts) -> Self::Counts;
    fn add_to(self, sums: Self::Sums) -> Self::Sums;
    fn add_apart(self, other: Self, sums: Self::Differences) -> Self::Differences;
    fn add_squares(self, products: Self::Products) -> Self::Products;
    fn lowest(self) -> u8;
    fn highest(self) -> u8;

    /// Returns four times `self`, less the four others.
    fn laplacian(self, around: [Self; 4]) -> Self::Words;
    /// Returns the words where `mask` is 255, else 0.
    fn only(words: Self::Words, mask: Self) -> Self::Words;
    /// # Safety
    /// Twice `SIZE` bytes must be readable, or writable.
    unsafe fn load_words(words: *const i16) -> Self::Words;
    unsafe fn store_words(words: Self::Words, to: *mut i16);
    fn add_products(left: Self::Words, right: Self::Words, products: Self::Products) -> Self::Products;
    fn whole(products: Self::Products) -> Self::Whole;
    fn whole_differences(differences: Self::Differences) -> Self::Whole;
}

/// Squares of bytes, or products of Laplacians of them, of up to 1020 each way: so many chunks add up
/// to less than 2^31 in each lane.
pub const MOST_PRODUCTS: usize = 255;

/// Sums of whole numbers that can be added up themselves.
pub trait Whole: WholeSums {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

impl WholeSums for i64 {
    #[inline(always)]
    fn none() -> Self {
        0
    }

    #[inline(always)]
    fn total(self) -> i64 {
        self
    }
}

impl Whole for i64 {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }
}

/// Sums of whole numbers in lanes.
pub trait WholeSums: Copy {
    fn none() -> Self;
    fn total(self) -> i64;
}

/// Counts of up to 255.
impl<B: Bytes> WholeSums for B {
    #[inline(always)]
    fn none() -> Self {
        Self::all(0)
    }

    #[inline(always)]
    fn total(self) -> i64 {
        self.add_to(B::Sums::none()).total()
    }
}
