//! Arrays, for any processor; the compiler vectorises them as it can.

use std::ops::{Add, Mul, Sub};

use super::{Bytes, Counts, Floats, Set, WholeSums, Wide, N};

const SIZE: usize = 32;

#[cfg_attr(target_arch = "aarch64", allow(dead_code))]
pub struct Plain;

impl Set for Plain {
    type Floats = [f32; N];
    type Bytes = [u8; SIZE];
}

#[inline(always)]
fn pairwise<A: Copy, B: Copy, C, const M: usize>(
    left: [A; M],
    right: [B; M],
    join: impl Fn(A, B) -> C,
) -> [C; M] {
    std::array::from_fn(|j| join(left[j], right[j]))
}

macro_rules! floats {
    ($real:ty) => {
        impl Floats for [$real; N] {
            type Real = $real;
            type Counts = [u32; N];
            type Wide = [f64; N];

            fn real(value: f32) -> $real {
                value.into()
            }

            #[inline(always)]
            fn single(value: $real) -> f32 {
                value as f32
            }

            #[inline(always)]
            fn load(values: &[$real; N]) -> Self {
                *values
            }

            #[inline(always)]
            fn store(self, values: &mut [$real; N]) {
                *values = self;
            }

            #[inline(always)]
            fn all(value: $real) -> Self {
                [value; N]
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                pairwise(self, other, Add::add)
            }

            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                pairwise(self, other, Sub::sub)
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                pairwise(self, other, Mul::mul)
            }

            #[inline(always)]
            fn magnitude(self) -> Self {
                self.map(<$real>::abs)
            }

            #[inline(always)]
            fn lesser(self, other: Self) -> Self {
                pairwise(self, other, |a, b| if a < b { a } else { b })
            }

            #[inline(always)]
            fn greater(self, other: Self) -> Self {
                pairwise(self, other, |a, b| if a > b { a } else { b })
            }

            #[inline(always)]
            fn wide(self) -> [f64; N] {
                self.map(f64::from)
            }

            #[inline(always)]
            fn lesser_unless_zero(self, other: Self) -> Self {
                pairwise(self, other, |a, b| if (a != 0.0) & (a < b) { a } else { b })
            }

            #[inline(always)]
            fn count_unless_zero(self, counts: [u32; N]) -> [u32; N] {
                pairwise(self, counts, |value, count| count + u32::from(value != 0.0))
            }

            #[inline(always)]
            fn count_between(self, low: Self, high: Self, mut counts: [u32; N]) -> [u32; N] {
                for j in 0..N {
                    counts[j] += u32::from((self[j] > low[j]) & (self[j] < high[j]));
                }
                counts
            }
        }
    };
}

floats!(f32);
floats!(f64);

impl Counts for [u32; N] {
    #[inline(always)]
    fn load(counts: &[u32; N]) -> Self {
        *counts
    }

    #[inline(always)]
    fn store(self, counts: &mut [u32; N]) {
        *counts = self;
    }
}

impl Wide for [f64; N] {
    #[inline(always)]
    fn load(values: &[f64; N]) -> Self {
        *values
    }

    #[inline(always)]
    fn store(self, values: &mut [f64; N]) {
        *values = self;
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        pairwise(self, other, Add::add)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        pairwise(self, other, Sub::sub)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        pairwise(self, other, Mul::mul)
    }
}

impl Bytes for [u8; SIZE] {
    const SIZE: usize = SIZE;
    type Sums = u64;
    type Differences = u64;
    type Products = [i32; SIZE];
    type Counts = Self;
    type Whole = i64;
    type Words = [i16; SIZE];

    #[inline(always)]
    unsafe fn load(bytes: *const u8) -> Self {
        *bytes.cast()
    }

    #[inline(always)]
    unsafe fn load_triples(bytes: *const u8) -> [Self; 3] {
        std::array::from_fn(|c| std::array::from_fn(|j| *bytes.add(3 * j + c)))
    }

    #[inline(always)]
    unsafe fn store(self, bytes: *mut u8) {
        *bytes.cast() = self;
    }

    #[inline(always)]
    fn flipped(self, bits: Self) -> Self {
        pairwise(self, bits, |byte, bits| byte ^ bits)
    }

    #[inline(always)]
    fn all(byte: u8) -> Self {
        [byte; SIZE]
    }

    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        pairwise(self, other, u8::min)
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        pairwise(self, other, u8::max)
    }

    #[inline(always)]
    fn or(self, other: Self, mask: Self) -> Self {
        std::array::from_fn(|j| if mask[j] == 0 { other[j] } else { self[j] })
    }

    #[inline(always)]
    fn apart(self, other: Self) -> Self {
        pairwise(self, other, u8::abs_diff)
    }

    #[inline(always)]
    fn lesser_unless_zero(self, other: Self) -> Self {
        pairwise(self, other, |a, b| if a == 0 { b } else { a.min(b) })
    }

    #[inline(always)]
    fn count_unless_zero(self, counts: Self) -> Self {
        pairwise(self, counts, |value, count| count.wrapping_add(u8::from(value != 0)))
    }

    #[inline(always)]
    fn count_from(self, first: Self, extent: Self, counts: Self) -> Self {
        let places = pairwise(self, first, u8::wrapping_sub);
        let counted = pairwise(places, extent, |place, extent| u8::from(place <= extent));
        pairwise(counted, counts, u8::wrapping_add)
    }

    #[inline(always)]
    fn add_to(self, sums: u64) -> u64 {
        sums + u64::from(self.iter().map(|&byte| u16::from(byte)).sum::<u16>())
    }

    #[inline(always)]
    fn add_apart(self, other: Self, sums: u64) -> u64 {
        self.apart(other).add_to(sums)
    }

    #[inline(always)]
    fn add_squares(self, products: [i32; SIZE]) -> [i32; SIZE] {
        pairwise(self, products, |value, sum| sum + i32::from(value) * i32::from(value))
    }

    fn lowest(self) -> u8 {
        self.into_iter().fold(u8::MAX, u8::min)
    }

    fn highest(self) -> u8 {
        self.into_iter().fold(u8::MIN, u8::max)
    }

    #[inline(always)]
    fn laplacian(self, around: [Self; 4]) -> [i16; SIZE] {
        std::array::from_fn(|j| {
            4 * i16::from(self[j]) - around.map(|other| i16::from(other[j])).iter().sum::<i16>()
        })
    }

    #[inline(always)]
    fn only(words: [i16; SIZE], mask: Self) -> [i16; SIZE] {
        std::array::from_fn(|j| if mask[j] == 0 { 0 } else { words[j] })
    }

    #[inline(always)]
    unsafe fn load_words(words: *const i16) -> [i16; SIZE] {
        *words.cast()
    }

    #[inline(always)]
    unsafe fn store_words(words: [i16; SIZE], to: *mut i16) {
        *to.cast() = words;
    }

    #[inline(always)]
    fn add_products(left: [i16; SIZE], right: [i16; SIZE], products: [i32; SIZE]) -> [i32; SIZE] {
        pairwise(products, pairwise(left, right, |a, b| i32::from(a) * i32::from(b)), Add::add)
    }

    #[inline(always)]
    fn whole(products: [i32; SIZE]) -> i64 {
        products.total()
    }

    #[inline(always)]
    fn whole_differences(differences: u64) -> i64 {
        differences.total()
    }
}

impl WholeSums for u64 {
    #[inline(always)]
    fn none() -> Self {
        0
    }

    #[inline(always)]
    fn total(self) -> i64 {
        self as i64
    }
}

impl WholeSums for [i32; SIZE] {
    #[inline(always)]
    fn none() -> Self {
        [0; SIZE]
    }

    #[inline(always)]
    fn total(self) -> i64 {
        self.iter().map(|&sum| i64::from(sum)).sum()
    }
}
