//! Arrays, for any processor; the compiler vectorises them as it can.

use std::ops::{Add, Mul, Sub};

use super::{Counts, Floats, Set, Wide, N};

pub struct Plain;

impl Set for Plain {
    type Floats = [f32; N];
}

#[inline(always)]
fn pairwise<A: Copy, B: Copy, C>(left: [A; N], right: [B; N], join: impl Fn(A, B) -> C) -> [C; N] {
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
