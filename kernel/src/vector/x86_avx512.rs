//! AVX-512 with its extensions for bytes, double words and shorter vectors.

// SAFETY, for every block here: the vectors are used only where the processor has the instructions,
// and pointers come from references to arrays of the size that is read or written.

use std::arch::x86_64::*;

use super::{Counts, Floats, Set, Wide, N};

pub struct Avx512;

impl Set for Avx512 {
    type Floats = __m512;
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
            [_mm512_cvtps_pd(_mm512_castps512_ps256(self)), _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(self))]
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
