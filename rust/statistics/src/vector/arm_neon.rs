//! NEON, four registers to a chunk of single-precision numbers.

// SAFETY, for every block here: every aarch64 processor has the instructions, and pointers come from
// references to arrays of the size that is read or written.

use std::arch::aarch64::*;

use super::{Bytes, Counts, Floats, Set, WholeSums, Wide, N};

pub struct Neon;

impl Set for Neon {
    type Floats = [float32x4_t; 4];
    type Bytes = uint8x16_t;
}

/// The registers of a chunk, each less the numbers before it.
const QUARTERS: [usize; 4] = [0, 4, 8, 12];
const EIGHTHS: [usize; 8] = [0, 2, 4, 6, 8, 10, 12, 14];

#[inline(always)]
fn each<A: Copy, B: Copy, C>(left: [A; 4], right: [B; 4], join: impl Fn(A, B) -> C) -> [C; 4] {
    std::array::from_fn(|j| join(left[j], right[j]))
}

impl Floats for [float32x4_t; 4] {
    type Real = f32;
    type Counts = [uint32x4_t; 4];
    type Wide = [float64x2_t; 8];

    fn real(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn single(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn load(values: &[f32; N]) -> Self {
        QUARTERS.map(|start| unsafe { vld1q_f32(values.as_ptr().add(start)) })
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; N]) {
        for (start, quarter) in QUARTERS.into_iter().zip(self) {
            unsafe { vst1q_f32(values.as_mut_ptr().add(start), quarter) }
        }
    }

    #[inline(always)]
    fn all(value: f32) -> Self {
        [unsafe { vdupq_n_f32(value) }; 4]
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        self.map(|quarter| unsafe { vabsq_f32(quarter) })
    }

    // Chosen by comparison: the instruction for a minimum has a mind of its own about -0.
    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { vbslq_f32(vcltq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn wide(self) -> [float64x2_t; 8] {
        std::array::from_fn(|j| unsafe {
            let quarter = self[j / 2];
            vcvt_f64_f32(if j % 2 == 0 { vget_low_f32(quarter) } else { vget_high_f32(quarter) })
        })
    }

    #[inline(always)]
    fn lesser_unless_zero(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { vbslq_f32(vbicq_u32(vcltq_f32(a, b), vceqzq_f32(a)), a, b) })
    }

    #[inline(always)]
    fn count_unless_zero(self, counts: [uint32x4_t; 4]) -> [uint32x4_t; 4] {
        // What is equal to 0 is all ones, which is -1.
        each(self, counts, |value, count| unsafe {
            vaddq_u32(count, vaddq_u32(vceqzq_f32(value), vdupq_n_u32(1)))
        })
    }

    #[inline(always)]
    fn count_between(self, low: Self, high: Self, counts: [uint32x4_t; 4]) -> [uint32x4_t; 4] {
        std::array::from_fn(|j| unsafe {
            vsubq_u32(counts[j], vandq_u32(vcgtq_f32(self[j], low[j]), vcltq_f32(self[j], high[j])))
        })
    }
}

impl Counts for [uint32x4_t; 4] {
    #[inline(always)]
    fn load(counts: &[u32; N]) -> Self {
        QUARTERS.map(|start| unsafe { vld1q_u32(counts.as_ptr().add(start)) })
    }

    #[inline(always)]
    fn store(self, counts: &mut [u32; N]) {
        for (start, quarter) in QUARTERS.into_iter().zip(self) {
            unsafe { vst1q_u32(counts.as_mut_ptr().add(start), quarter) }
        }
    }
}

impl Wide for [float64x2_t; 8] {
    #[inline(always)]
    fn load(values: &[f64; N]) -> Self {
        EIGHTHS.map(|start| unsafe { vld1q_f64(values.as_ptr().add(start)) })
    }

    #[inline(always)]
    fn store(self, values: &mut [f64; N]) {
        for (start, eighth) in EIGHTHS.into_iter().zip(self) {
            unsafe { vst1q_f64(values.as_mut_ptr().add(start), eighth) }
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        std::array::from_fn(|j| unsafe { vaddq_f64(self[j], other[j]) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        std::array::from_fn(|j| unsafe { vsubq_f64(self[j], other[j]) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        std::array::from_fn(|j| unsafe { vmulq_f64(self[j], other[j]) })
    }
}

impl Bytes for uint8x16_t {
    const SIZE: usize = 16;
    type Sums = Long;
    type Differences = Long;
    type Products = Short;
    type Counts = Self;
    type Whole = i64;
    type Words = [int16x8_t; 2];

    #[inline(always)]
    unsafe fn load(bytes: *const u8) -> Self {
        vld1q_u8(bytes)
    }

    #[inline(always)]
    unsafe fn load_triples(bytes: *const u8) -> [Self; 3] {
        let triples = vld3q_u8(bytes);
        [triples.0, triples.1, triples.2]
    }

    #[inline(always)]
    unsafe fn store(self, bytes: *mut u8) {
        vst1q_u8(bytes, self)
    }

    #[inline(always)]
    fn all(byte: u8) -> Self {
        unsafe { vdupq_n_u8(byte) }
    }

    #[inline(always)]
    fn flipped(self, bits: Self) -> Self {
        unsafe { veorq_u8(self, bits) }
    }

    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        unsafe { vminq_u8(self, other) }
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        unsafe { vmaxq_u8(self, other) }
    }

    #[inline(always)]
    fn or(self, other: Self, mask: Self) -> Self {
        unsafe { vbslq_u8(mask, self, other) }
    }

    #[inline(always)]
    fn apart(self, other: Self) -> Self {
        unsafe { vabdq_u8(self, other) }
    }

    #[inline(always)]
    fn lesser_unless_zero(self, other: Self) -> Self {
        // What is 0 becomes 255 here, and is never the lesser.
        unsafe { vminq_u8(vorrq_u8(self, vceqzq_u8(self)), other) }
    }

    #[inline(always)]
    fn count_unless_zero(self, counts: Self) -> Self {
        unsafe { vaddq_u8(counts, vaddq_u8(vceqzq_u8(self), vdupq_n_u8(1))) }
    }

    #[inline(always)]
    fn count_from(self, first: Self, extent: Self, counts: Self) -> Self {
        unsafe { vsubq_u8(counts, vcleq_u8(vsubq_u8(self, first), extent)) }
    }

    #[inline(always)]
    fn add_to(self, sums: Long) -> Long {
        unsafe { Long(vpadalq_u32(sums.0, vpaddlq_u16(vpaddlq_u8(self)))) }
    }

    #[inline(always)]
    fn add_apart(self, other: Self, sums: Long) -> Long {
        self.apart(other).add_to(sums)
    }

    #[inline(always)]
    fn add_squares(self, products: Short) -> Short {
        unsafe {
            let (low, high) = (vget_low_u8(self), vget_high_u8(self));
            let sums = vreinterpretq_u32_s32(products.0);
            let sums = vpadalq_u16(vpadalq_u16(sums, vmull_u8(low, low)), vmull_u8(high, high));
            Short(vreinterpretq_s32_u32(sums))
        }
    }

    fn lowest(self) -> u8 {
        unsafe { vminvq_u8(self) }
    }

    fn highest(self) -> u8 {
        unsafe { vmaxvq_u8(self) }
    }

    #[inline(always)]
    fn laplacian(self, around: [Self; 4]) -> [int16x8_t; 2] {
        // Bytes of eight columns: their own, and those around them.
        let half = |here: uint8x8_t, around: [uint8x8_t; 4]| unsafe {
            let [left, right, above, below] = around;
            let sums = vaddq_u16(vaddl_u8(left, right), vaddl_u8(above, below));
            vreinterpretq_s16_u16(vsubq_u16(vshll_n_u8::<2>(here), sums))
        };
        unsafe {
            [
                half(vget_low_u8(self), around.map(|each| vget_low_u8(each))),
                half(vget_high_u8(self), around.map(|each| vget_high_u8(each))),
            ]
        }
    }

    #[inline(always)]
    fn only(words: [int16x8_t; 2], mask: Self) -> [int16x8_t; 2] {
        unsafe {
            let mask = vreinterpretq_s8_u8(mask);
            [
                vandq_s16(words[0], vmovl_s8(vget_low_s8(mask))),
                vandq_s16(words[1], vmovl_s8(vget_high_s8(mask))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_words(words: *const i16) -> [int16x8_t; 2] {
        [vld1q_s16(words), vld1q_s16(words.add(8))]
    }

    #[inline(always)]
    unsafe fn store_words(words: [int16x8_t; 2], to: *mut i16) {
        vst1q_s16(to, words[0]);
        vst1q_s16(to.add(8), words[1]);
    }

    #[inline(always)]
    fn add_products(left: [int16x8_t; 2], right: [int16x8_t; 2], products: Short) -> Short {
        let mut sums = products.0;
        for j in 0..2 {
            unsafe {
                sums = vmlal_s16(sums, vget_low_s16(left[j]), vget_low_s16(right[j]));
                sums = vmlal_high_s16(sums, left[j], right[j]);
            }
        }
        Short(sums)
    }

    #[inline(always)]
    fn whole(products: Short) -> i64 {
        products.total()
    }

    #[inline(always)]
    fn whole_differences(differences: Long) -> i64 {
        differences.total()
    }
}

/// Sums of 64 bits.
#[derive(Clone, Copy)]
pub struct Long(uint64x2_t);

impl WholeSums for Long {
    #[inline(always)]
    fn none() -> Self {
        unsafe { Long(vdupq_n_u64(0)) }
    }

    #[inline(always)]
    fn total(self) -> i64 {
        unsafe { vaddvq_u64(self.0) as i64 }
    }
}

/// Sums of 32 bits.
#[derive(Clone, Copy)]
pub struct Short(int32x4_t);

impl WholeSums for Short {
    #[inline(always)]
    fn none() -> Self {
        unsafe { Short(vdupq_n_s32(0)) }
    }

    #[inline(always)]
    fn total(self) -> i64 {
        unsafe { vaddlvq_s32(self.0) }
    }
}
