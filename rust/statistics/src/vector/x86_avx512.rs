//! AVX-512 with its extensions for bytes, double words, and products of bytes.

// SAFETY, for every block here: the vectors are used only where the processor has the instructions,
// and pointers come from references to arrays of the size that is read or written.

use std::arch::x86_64::*;

use super::{Bytes, Counts, Floats, Set, Whole, WholeSums, Wide, N};

pub struct Avx512;

impl Set for Avx512 {
    type Floats = __m512;
    type Bytes = __m512i;
}

impl Floats for __m512 {
    type Real = f32;
    type Counts = __m512i;
    type Wide = [__m512d; 2];

    fn real(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn single(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn load(values: &[f32; N]) -> Self {
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; N]) {
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self) }
    }

    #[inline(always)]
    fn all(value: f32) -> Self {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        unsafe { _mm512_mul_ps(self, other) }
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        unsafe { _mm512_abs_ps(self) }
    }

    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        unsafe { _mm512_min_ps(self, other) }
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        unsafe { _mm512_max_ps(self, other) }
    }

    #[inline(always)]
    fn wide(self) -> [__m512d; 2] {
        unsafe {
            [
                _mm512_cvtps_pd(_mm512_castps512_ps256(self)),
                _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(self)),
            ]
        }
    }

    #[inline(always)]
    fn lesser_unless_zero(self, other: Self) -> Self {
        unsafe {
            let counted = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(self, _mm512_setzero_ps());
            _mm512_mask_min_ps(other, counted, self, other)
        }
    }

    #[inline(always)]
    fn count_unless_zero(self, counts: __m512i) -> __m512i {
        unsafe {
            let counted = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(self, _mm512_setzero_ps());
            _mm512_mask_add_epi32(counts, counted, counts, _mm512_set1_epi32(1))
        }
    }

    #[inline(always)]
    fn count_between(self, low: Self, high: Self, counts: __m512i) -> __m512i {
        unsafe {
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self, low);
            let between = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, self, high);
            _mm512_mask_add_epi32(counts, between, counts, _mm512_set1_epi32(1))
        }
    }
}

impl Counts for __m512i {
    #[inline(always)]
    fn load(counts: &[u32; N]) -> Self {
        unsafe { _mm512_loadu_si512(counts.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, counts: &mut [u32; N]) {
        unsafe { _mm512_storeu_si512(counts.as_mut_ptr().cast(), self) }
    }
}

impl Wide for [__m512d; 2] {
    #[inline(always)]
    fn load(values: &[f64; N]) -> Self {
        unsafe { [_mm512_loadu_pd(values.as_ptr()), _mm512_loadu_pd(values.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, values: &mut [f64; N]) {
        unsafe {
            _mm512_storeu_pd(values.as_mut_ptr(), self[0]);
            _mm512_storeu_pd(values.as_mut_ptr().add(8), self[1]);
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        unsafe { [_mm512_add_pd(self[0], other[0]), _mm512_add_pd(self[1], other[1])] }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        unsafe { [_mm512_sub_pd(self[0], other[0]), _mm512_sub_pd(self[1], other[1])] }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        unsafe { [_mm512_mul_pd(self[0], other[0]), _mm512_mul_pd(self[1], other[1])] }
    }
}

/// Where every third byte of three vectors is, for each byte to begin with: first in the first two
/// vectors, then in what came of those and the third.
static TRIPLES: [[[u8; 64]; 2]; 3] = {
    let mut places = [[[0; 64]; 2]; 3];
    let mut i = 0;
    while i < 3 * 64 {
        let (c, j) = (i % 3, i / 3);
        places[c][0][j] = if i < 128 { i as u8 } else { 0 };
        places[c][1][j] = if i < 128 { j as u8 } else { (64 + i - 128) as u8 };
        i += 1;
    }
    places
};

impl Bytes for __m512i {
    const SIZE: usize = 64;
    // Squares are products with the byte less 128.
    const SQUARES_LACK: i64 = 128;
    type Sums = Short;
    type Differences = Long;
    type Products = Short;
    type Counts = u64;
    type Whole = Long;
    type Words = [__m512i; 2];

    #[inline(always)]
    unsafe fn load(bytes: *const u8) -> Self {
        _mm512_loadu_si512(bytes.cast())
    }

    #[inline(always)]
    unsafe fn load_triples(bytes: *const u8) -> [Self; 3] {
        let one = _mm512_loadu_si512(bytes.cast());
        let two = _mm512_loadu_si512(bytes.add(64).cast());
        let three = _mm512_loadu_si512(bytes.add(128).cast());
        let mut triples = [one; 3];
        for c in 0..3 {
            let first = _mm512_loadu_si512(TRIPLES[c][0].as_ptr().cast());
            let second = _mm512_loadu_si512(TRIPLES[c][1].as_ptr().cast());
            triples[c] = _mm512_permutex2var_epi8(_mm512_permutex2var_epi8(one, first, two), second, three);
        }
        triples
    }

    #[inline(always)]
    unsafe fn store(self, bytes: *mut u8) {
        _mm512_storeu_si512(bytes.cast(), self)
    }

    #[inline(always)]
    fn flipped(self, bits: Self) -> Self {
        unsafe { _mm512_xor_si512(self, bits) }
    }

    #[inline(always)]
    fn all(byte: u8) -> Self {
        unsafe { _mm512_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        unsafe { _mm512_min_epu8(self, other) }
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        unsafe { _mm512_max_epu8(self, other) }
    }

    #[inline(always)]
    fn or(self, other: Self, mask: Self) -> Self {
        unsafe { _mm512_or_si512(_mm512_and_si512(mask, self), _mm512_andnot_si512(mask, other)) }
    }

    #[inline(always)]
    fn apart(self, other: Self) -> Self {
        unsafe { _mm512_sub_epi8(_mm512_max_epu8(self, other), _mm512_min_epu8(self, other)) }
    }

    #[inline(always)]
    fn lesser_unless_zero(self, other: Self) -> Self {
        unsafe { _mm512_mask_min_epu8(other, _mm512_test_epi8_mask(self, self), self, other) }
    }

    #[inline(always)]
    fn count_unless_zero(self, counts: u64) -> u64 {
        add_ones(counts, unsafe { _mm512_test_epi8_mask(self, self) })
    }

    #[inline(always)]
    fn count_from(self, first: Self, extent: Self, counts: u64) -> u64 {
        let counted = unsafe { _mm512_cmple_epu8_mask(_mm512_sub_epi8(self, first), extent) };
        add_ones(counts, counted)
    }

    #[inline(always)]
    fn add_to(self, sums: Short) -> Short {
        unsafe { Short(_mm512_dpbusd_epi32(sums.0, self, _mm512_set1_epi8(1))) }
    }

    #[inline(always)]
    fn add_apart(self, other: Self, sums: Long) -> Long {
        unsafe { Long(_mm512_add_epi64(sums.0, _mm512_sad_epu8(self, other))) }
    }

    #[inline(always)]
    fn add_squares(self, products: Short) -> Short {
        unsafe {
            Short(_mm512_dpbusd_epi32(products.0, self, _mm512_xor_si512(self, _mm512_set1_epi8(-128))))
        }
    }

    fn lowest(self) -> u8 {
        bytes(self).into_iter().fold(u8::MAX, u8::min)
    }

    fn highest(self) -> u8 {
        bytes(self).into_iter().fold(u8::MIN, u8::max)
    }

    #[inline(always)]
    fn laplacian(self, [left, right, above, below]: [Self; 4]) -> [__m512i; 2] {
        unsafe {
            // Pairs of bytes, the first of which counts four times.
            let (four, minus) = (_mm512_set1_epi16(i16::from_le_bytes([4, 0xff])), _mm512_set1_epi8(-1));
            let half = |beside: Self, across: Self, below: Self| {
                let sides = _mm512_maddubs_epi16(beside, four);
                let across = _mm512_maddubs_epi16(across, minus);
                _mm512_sub_epi16(_mm512_add_epi16(sides, across), below)
            };
            let zero = _mm512_setzero_si512();
            [
                half(
                    _mm512_unpacklo_epi8(self, left),
                    _mm512_unpacklo_epi8(right, above),
                    _mm512_unpacklo_epi8(below, zero),
                ),
                half(
                    _mm512_unpackhi_epi8(self, left),
                    _mm512_unpackhi_epi8(right, above),
                    _mm512_unpackhi_epi8(below, zero),
                ),
            ]
        }
    }

    #[inline(always)]
    fn only(words: [__m512i; 2], mask: Self) -> [__m512i; 2] {
        unsafe {
            [
                _mm512_and_si512(words[0], _mm512_unpacklo_epi8(mask, mask)),
                _mm512_and_si512(words[1], _mm512_unpackhi_epi8(mask, mask)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_words(words: *const i16) -> [__m512i; 2] {
        [_mm512_loadu_si512(words.cast()), _mm512_loadu_si512(words.add(32).cast())]
    }

    #[inline(always)]
    unsafe fn store_words(words: [__m512i; 2], to: *mut i16) {
        _mm512_storeu_si512(to.cast(), words[0]);
        _mm512_storeu_si512(to.add(32).cast(), words[1]);
    }

    #[inline(always)]
    fn add_products(left: [__m512i; 2], right: [__m512i; 2], products: Short) -> Short {
        unsafe { Short(add_pairs(add_pairs(products.0, left[0], right[0]), left[1], right[1])) }
    }

    #[inline(always)]
    fn whole(products: Short) -> Long {
        unsafe {
            let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(products.0));
            let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(products.0));
            Long(_mm512_add_epi64(low, high))
        }
    }

    #[inline(always)]
    fn whole_differences(differences: Long) -> Long {
        differences
    }
}

/// Adds products of words, two by two. The compiler takes the one instruction apart into two.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_pairs(mut sums: __m512i, left: __m512i, right: __m512i) -> __m512i {
    std::arch::asm!(
        "vpdpwssd {}, {}, {}",
        inlateout(zmm_reg) sums, in(zmm_reg) left, in(zmm_reg) right,
        options(pure, nomem, nostack, preserves_flags)
    );
    sums
}

/// Adds how many bits are set. The compiler moves two such sums to vectors, which are busy enough.
#[inline(always)]
fn add_ones(mut counts: u64, mask: u64) -> u64 {
    // SAFETY: every processor with AVX-512 has the instruction.
    unsafe {
        std::arch::asm!(
            "popcnt {mask}, {mask}",
            "add {counts}, {mask}",
            mask = inout(reg) mask => _, counts = inout(reg) counts,
            options(pure, nomem, nostack)
        );
    }
    counts
}

fn bytes(vector: __m512i) -> [u8; 64] {
    let mut bytes = [0; 64];
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

/// Sums of 64 bits.
#[derive(Clone, Copy)]
pub struct Long(__m512i);

impl WholeSums for Long {
    #[inline(always)]
    fn none() -> Self {
        unsafe { Long(_mm512_setzero_si512()) }
    }

    #[inline(always)]
    fn total(self) -> i64 {
        unsafe { _mm512_reduce_add_epi64(self.0) }
    }
}

impl Whole for Long {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        unsafe { Long(_mm512_add_epi64(self.0, other.0)) }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        unsafe { Long(_mm512_sub_epi64(self.0, other.0)) }
    }
}

/// Sums of 32 bits.
#[derive(Clone, Copy)]
pub struct Short(__m512i);

impl WholeSums for Short {
    #[inline(always)]
    fn none() -> Self {
        unsafe { Short(_mm512_setzero_si512()) }
    }

    #[inline(always)]
    fn total(self) -> i64 {
        __m512i::whole(self).total()
    }
}
