//! AVX2, two registers to a chunk of single-precision numbers.

// SAFETY, for every block here: the vectors are used only where the processor has the instructions,
// and pointers come from references to arrays of the size that is read or written.

use std::arch::x86_64::*;

use super::{Counts, Floats, Set, Wide, N};

pub struct Avx2;

impl Set for Avx2 {
    type Floats = [__m256; 2];
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
        let quarters = self.map(|half| unsafe { [_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half)] });
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
