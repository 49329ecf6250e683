//! AVX2, two registers to a chunk of single-precision numbers.

// SAFETY, for every block here: the vectors are used only where the processor has the instructions,
// and pointers come from references to arrays of the size that is read or written.

use std::arch::x86_64::*;

use super::{Bytes, Counts, Floats, Set, WholeSums, Wide, N};

pub struct Avx2;

impl Set for Avx2 {
    type Floats = [__m256; 2];
    type Bytes = __m256i;
}

impl Floats for [__m256; 2] {
    type Real = f32;
    type Counts = [__m256i; 2];
    type Wide = [__m256d; 4];

    fn real(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn single(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn load(values: &[f32; N]) -> Self {
        unsafe { [_mm256_loadu_ps(values.as_ptr()), _mm256_loadu_ps(values.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; N]) {
        unsafe {
            _mm256_storeu_ps(values.as_mut_ptr(), self[0]);
            _mm256_storeu_ps(values.as_mut_ptr().add(8), self[1]);
        }
    }

    #[inline(always)]
    fn all(value: f32) -> Self {
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        unsafe { [_mm256_add_ps(self[0], other[0]), _mm256_add_ps(self[1], other[1])] }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        unsafe { [_mm256_sub_ps(self[0], other[0]), _mm256_sub_ps(self[1], other[1])] }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        unsafe { [_mm256_mul_ps(self[0], other[0]), _mm256_mul_ps(self[1], other[1])] }
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        self.map(|half| unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), half) })
    }

    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        unsafe { [_mm256_min_ps(self[0], other[0]), _mm256_min_ps(self[1], other[1])] }
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        unsafe { [_mm256_max_ps(self[0], other[0]), _mm256_max_ps(self[1], other[1])] }
    }

    #[inline(always)]
    fn wide(self) -> [__m256d; 4] {
        let quarters =
            self.map(|half| unsafe { [_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half)] });
        let [[a, b], [c, d]] = quarters;
        [a, b, c, d].map(|quarter| unsafe { _mm256_cvtps_pd(quarter) })
    }

    #[inline(always)]
    fn lesser_unless_zero(self, other: Self) -> Self {
        let lesser = |j: usize| unsafe {
            let counted = _mm256_cmp_ps::<_CMP_NEQ_UQ>(self[j], _mm256_setzero_ps());
            _mm256_blendv_ps(other[j], _mm256_min_ps(self[j], other[j]), counted)
        };
        [lesser(0), lesser(1)]
    }

    #[inline(always)]
    fn count_unless_zero(self, counts: [__m256i; 2]) -> [__m256i; 2] {
        let counted = |j: usize| unsafe {
            let counted = _mm256_cmp_ps::<_CMP_NEQ_UQ>(self[j], _mm256_setzero_ps());
            _mm256_sub_epi32(counts[j], _mm256_castps_si256(counted))
        };
        [counted(0), counted(1)]
    }

    #[inline(always)]
    fn count_between(self, low: Self, high: Self, counts: [__m256i; 2]) -> [__m256i; 2] {
        let counted = |j: usize| unsafe {
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(self[j], low[j]);
            let below = _mm256_cmp_ps::<_CMP_LT_OQ>(self[j], high[j]);
            _mm256_sub_epi32(counts[j], _mm256_castps_si256(_mm256_and_ps(above, below)))
        };
        [counted(0), counted(1)]
    }
}

impl Counts for [__m256i; 2] {
    #[inline(always)]
    fn load(counts: &[u32; N]) -> Self {
        [0, 8].map(|start| unsafe { _mm256_loadu_si256(counts.as_ptr().add(start).cast()) })
    }

    #[inline(always)]
    fn store(self, counts: &mut [u32; N]) {
        unsafe {
            _mm256_storeu_si256(counts.as_mut_ptr().cast(), self[0]);
            _mm256_storeu_si256(counts.as_mut_ptr().add(8).cast(), self[1]);
        }
    }
}

#[inline(always)]
fn each(left: [__m256d; 4], right: [__m256d; 4], join: impl Fn(__m256d, __m256d) -> __m256d) -> [__m256d; 4] {
    [join(left[0], right[0]), join(left[1], right[1]), join(left[2], right[2]), join(left[3], right[3])]
}

impl Wide for [__m256d; 4] {
    #[inline(always)]
    fn load(values: &[f64; N]) -> Self {
        [0, 4, 8, 12].map(|start| unsafe { _mm256_loadu_pd(values.as_ptr().add(start)) })
    }

    #[inline(always)]
    fn store(self, values: &mut [f64; N]) {
        for (place, quarter) in values.as_chunks_mut::<4>().0.iter_mut().zip(self) {
            unsafe { _mm256_storeu_pd(place.as_mut_ptr(), quarter) }
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { _mm256_add_pd(a, b) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { _mm256_sub_pd(a, b) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        each(self, other, |a, b| unsafe { _mm256_mul_pd(a, b) })
    }
}

/// Where every third byte is in each third of 48 bytes, for each byte to begin with; 128 for nowhere.
static TRIPLES: [[[u8; 16]; 3]; 3] = {
    let mut places = [[[128; 16]; 3]; 3];
    let mut i = 0;
    while i < 48 {
        places[i % 3][i / 16][i / 3] = (i % 16) as u8;
        i += 1;
    }
    places
};

impl Bytes for __m256i {
    const SIZE: usize = 32;
    type Sums = Long;
    type Differences = Long;
    type Products = Short;
    type Counts = Self;
    type Whole = i64;
    type Words = [__m256i; 2];

    #[inline(always)]
    unsafe fn load(bytes: *const u8) -> Self {
        _mm256_loadu_si256(bytes.cast())
    }

    #[inline(always)]
    unsafe fn load_triples(bytes: *const u8) -> [Self; 3] {
        // Either half of a register takes sixteen columns of its own.
        let parts: [Self; 3] = std::array::from_fn(|part| {
            let half = |start: usize| _mm_loadu_si128(bytes.add(start + 16 * part).cast());
            _mm256_set_m128i(half(48), half(0))
        });
        std::array::from_fn(|c| {
            let [one, two, three] = std::array::from_fn(|part| {
                let places = _mm_loadu_si128(TRIPLES[c][part].as_ptr().cast());
                _mm256_shuffle_epi8(parts[part], _mm256_broadcastsi128_si256(places))
            });
            _mm256_or_si256(_mm256_or_si256(one, two), three)
        })
    }

    #[inline(always)]
    unsafe fn store(self, bytes: *mut u8) {
        _mm256_storeu_si256(bytes.cast(), self)
    }

    #[inline(always)]
    fn flipped(self, bits: Self) -> Self {
        unsafe { _mm256_xor_si256(self, bits) }
    }

    #[inline(always)]
    fn all(byte: u8) -> Self {
        unsafe { _mm256_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        unsafe { _mm256_min_epu8(self, other) }
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        unsafe { _mm256_max_epu8(self, other) }
    }

    #[inline(always)]
    fn or(self, other: Self, mask: Self) -> Self {
        unsafe { _mm256_blendv_epi8(other, self, mask) }
    }

    #[inline(always)]
    fn apart(self, other: Self) -> Self {
        unsafe { _mm256_sub_epi8(_mm256_max_epu8(self, other), _mm256_min_epu8(self, other)) }
    }

    #[inline(always)]
    fn lesser_unless_zero(self, other: Self) -> Self {
        unsafe {
            // What is 0 becomes 255 here, and is never the lesser.
            let zero = _mm256_cmpeq_epi8(self, _mm256_setzero_si256());
            _mm256_min_epu8(_mm256_or_si256(self, zero), other)
        }
    }

    #[inline(always)]
    fn count_unless_zero(self, counts: Self) -> Self {
        unsafe {
            let zero = _mm256_cmpeq_epi8(self, _mm256_setzero_si256());
            _mm256_add_epi8(counts, _mm256_add_epi8(zero, _mm256_set1_epi8(1)))
        }
    }

    #[inline(always)]
    fn count_from(self, first: Self, extent: Self, counts: Self) -> Self {
        unsafe {
            let place = _mm256_sub_epi8(self, first);
            let counted = _mm256_cmpeq_epi8(_mm256_min_epu8(place, extent), place);
            _mm256_sub_epi8(counts, counted)
        }
    }

    #[inline(always)]
    fn add_to(self, sums: Long) -> Long {
        unsafe { Long(_mm256_add_epi64(sums.0, _mm256_sad_epu8(self, _mm256_setzero_si256()))) }
    }

    #[inline(always)]
    fn add_apart(self, other: Self, sums: Long) -> Long {
        unsafe { Long(_mm256_add_epi64(sums.0, _mm256_sad_epu8(self, other))) }
    }

    #[inline(always)]
    fn add_squares(self, products: Short) -> Short {
        unsafe {
            let zero = _mm256_setzero_si256();
            let words = [_mm256_unpacklo_epi8(self, zero), _mm256_unpackhi_epi8(self, zero)];
            Self::add_products(words, words, products)
        }
    }

    fn lowest(self) -> u8 {
        bytes(self).into_iter().fold(u8::MAX, u8::min)
    }

    fn highest(self) -> u8 {
        bytes(self).into_iter().fold(u8::MIN, u8::max)
    }

    #[inline(always)]
    fn laplacian(self, [left, right, above, below]: [Self; 4]) -> [__m256i; 2] {
        unsafe {
            // Pairs of bytes, the first of which counts four times.
            let (four, minus) = (_mm256_set1_epi16(i16::from_le_bytes([4, 0xff])), _mm256_set1_epi8(-1));
            let half = |beside: Self, across: Self, below: Self| {
                let sides = _mm256_maddubs_epi16(beside, four);
                let across = _mm256_maddubs_epi16(across, minus);
                _mm256_sub_epi16(_mm256_add_epi16(sides, across), below)
            };
            let zero = _mm256_setzero_si256();
            [
                half(
                    _mm256_unpacklo_epi8(self, left),
                    _mm256_unpacklo_epi8(right, above),
                    _mm256_unpacklo_epi8(below, zero),
                ),
                half(
                    _mm256_unpackhi_epi8(self, left),
                    _mm256_unpackhi_epi8(right, above),
                    _mm256_unpackhi_epi8(below, zero),
                ),
            ]
        }
    }

    #[inline(always)]
    fn only(words: [__m256i; 2], mask: Self) -> [__m256i; 2] {
        unsafe {
            [
                _mm256_and_si256(words[0], _mm256_unpacklo_epi8(mask, mask)),
                _mm256_and_si256(words[1], _mm256_unpackhi_epi8(mask, mask)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_words(words: *const i16) -> [__m256i; 2] {
        [_mm256_loadu_si256(words.cast()), _mm256_loadu_si256(words.add(16).cast())]
    }

    #[inline(always)]
    unsafe fn store_words(words: [__m256i; 2], to: *mut i16) {
        _mm256_storeu_si256(to.cast(), words[0]);
        _mm256_storeu_si256(to.add(16).cast(), words[1]);
    }

    #[inline(always)]
    fn add_products(left: [__m256i; 2], right: [__m256i; 2], products: Short) -> Short {
        unsafe {
            let first = _mm256_madd_epi16(left[0], right[0]);
            let second = _mm256_madd_epi16(left[1], right[1]);
            Short(_mm256_add_epi32(products.0, _mm256_add_epi32(first, second)))
        }
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

fn bytes(vector: __m256i) -> [u8; 32] {
    let mut bytes = [0; 32];
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

/// Sums of 64 bits.
#[derive(Clone, Copy)]
pub struct Long(__m256i);

impl WholeSums for Long {
    #[inline(always)]
    fn none() -> Self {
        unsafe { Long(_mm256_setzero_si256()) }
    }

    #[inline(always)]
    fn total(self) -> i64 {
        let mut sums = [0; 4];
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr() as *mut __m256i, self.0) };
        sums.iter().sum()
    }
}

/// Sums of 32 bits.
#[derive(Clone, Copy)]
pub struct Short(__m256i);

impl WholeSums for Short {
    #[inline(always)]
    fn none() -> Self {
        unsafe { Short(_mm256_setzero_si256()) }
    }

    #[inline(always)]
    fn total(self) -> i64 {
        unsafe {
            let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(self.0));
            let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(self.0));
            Long(_mm256_add_epi64(low, high)).total()
        }
    }
}
