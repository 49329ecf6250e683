//! Elements of foreign memory.

use crate::buffer::Number;
use crate::byte::Octets;
use crate::float::Reals;
use crate::line::Kind;
use crate::vector::{Set, N};

/// What an element becomes in the buffer.
pub trait Source: Copy {
    type Value: Number;
    type Kind<S: Set>: Kind<Value = Self::Value>;
    /// The same element, for sums that are too large for `Kind`.
    type Wide: Source;

    /// What turns an element into its value where both are bytes: the bits that are flipped.
    const FLIPPED: Option<u8> = None;

    fn is_finite(self) -> bool;

    /// Returns the value of what is finite.
    fn value(self) -> Self::Value;
}

impl Source for f32 {
    type Value = f32;
    type Kind<S: Set> = Reals<S::Floats>;
    type Wide = Wide;

    #[inline(always)]
    fn is_finite(self) -> bool {
        // The exponent decides, not a comparison, which NaN would answer in its own way.
        self.to_bits() & 0x7f80_0000 != 0x7f80_0000
    }

    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// A single-precision number whose sums are too large for single precision.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Wide(f32);

impl Source for Wide {
    type Value = f64;
    type Kind<S: Set> = Reals<[f64; N]>;
    type Wide = Wide;

    #[inline(always)]
    fn is_finite(self) -> bool {
        Source::is_finite(self.0)
    }

    #[inline(always)]
    fn value(self) -> f64 {
        self.0.into()
    }
}

/// Bits of an IEEE 754 half-precision number.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Half(pub u16);

impl Source for Half {
    type Value = f32;
    type Kind<S: Set> = Reals<S::Floats>;
    type Wide = Self;

    #[inline(always)]
    fn is_finite(self) -> bool {
        self.0 & 0x7c00 != 0x7c00
    }

    #[inline(always)]
    fn value(self) -> f32 {
        let bits = u32::from(self.0);
        // Read as a single-precision number with a far too small exponent, then scaled: this
        // gives subnormal numbers their value as well, exactly.
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((254 - 15) << 23);
        f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
    }
}

impl Source for u8 {
    type Value = u8;
    type Kind<S: Set> = Octets<S::Bytes>;
    type Wide = Self;
    const FLIPPED: Option<u8> = Some(0);

    #[inline(always)]
    fn is_finite(self) -> bool {
        true
    }

    #[inline(always)]
    fn value(self) -> u8 {
        self
    }
}

impl Source for i8 {
    type Value = u8;
    type Kind<S: Set> = Octets<S::Bytes>;
    type Wide = Self;
    const FLIPPED: Option<u8> = Some(0x80);

    #[inline(always)]
    fn is_finite(self) -> bool {
        true
    }

    #[inline(always)]
    fn value(self) -> u8 {
        self as u8 ^ 0x80
    }
}
