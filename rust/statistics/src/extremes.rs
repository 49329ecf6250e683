//! The lowest and the highest number of an array, and whether any of them is none.

/// Numbers that are looked at side by side.
const LANES: usize = 64;

/// What was seen of some numbers; NaN is neither low nor high.
#[derive(Clone, Copy)]
pub struct Extremes {
    pub lowest: f32,
    pub highest: f32,
    pub has_nan: bool,
}

/// Returns the extremes of some numbers; with nothing but NaN, both are NaN.
pub fn extremes(numbers: &[f32]) -> Extremes {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions.
        return unsafe { with_avx512(numbers) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions.
        return unsafe { with_avx2(numbers) };
    }
    of(numbers)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn with_avx512(numbers: &[f32]) -> Extremes {
    of(numbers)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2(numbers: &[f32]) -> Extremes {
    of(numbers)
}

#[inline(always)]
fn of(numbers: &[f32]) -> Extremes {
    let (chunks, rest) = numbers.as_chunks::<LANES>();
    let (mut lowest, mut highest) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let mut missing = [0u32; LANES];
    for chunk in chunks {
        for j in 0..LANES {
            // Comparisons with NaN are false.
            lowest[j] = if chunk[j] < lowest[j] { chunk[j] } else { lowest[j] };
            highest[j] = if chunk[j] > highest[j] { chunk[j] } else { highest[j] };
            missing[j] |= u32::from(chunk[j].is_nan());
        }
    }
    for (j, number) in rest.iter().enumerate() {
        lowest[j] = number.min(lowest[j]);
        highest[j] = number.max(highest[j]);
        missing[j] |= u32::from(number.is_nan());
    }
    let has_nan = missing.iter().any(|&each| each != 0);
    let lowest = lowest.into_iter().fold(f32::INFINITY, f32::min);
    let highest = highest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    if lowest > highest {
        return Extremes { lowest: f32::NAN, highest: f32::NAN, has_nan };
    }
    Extremes { lowest, highest, has_nan }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_seen_and_is_neither_low_nor_high() {
        for place in [0, 63, 64, 199] {
            let mut numbers: Vec<f32> = (0..200).map(|i| i as f32 - 100.0).collect();
            numbers[place] = f32::NAN;
            let found = extremes(&numbers);
            let ends = (if place == 0 { -99.0 } else { -100.0 }, if place == 199 { 98.0 } else { 99.0 });
            assert_eq!((found.lowest, found.highest, found.has_nan), (ends.0, ends.1, true));
        }
        assert!(!extremes(&[1.0; 70]).has_nan);
        assert_eq!(extremes(&[f32::NEG_INFINITY, 0.0]).lowest, f32::NEG_INFINITY);
        assert!(extremes(&[f32::NAN; 3]).lowest.is_nan());
    }
}
