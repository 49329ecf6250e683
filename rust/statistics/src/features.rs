//! From the statistics of a frame to its features: the same numbers as `modelkeep.guard.features`.

use crate::line::Scale;
use crate::pass::Summary;

/// Features are whole multiples of 1 / UNIT.
pub const UNIT: f64 = 32768.0;
const LIMIT: f64 = 64.0;
/// What stands for a feature that a frame does not have.
pub const MISSING: f64 = (LIMIT + 1.0) * UNIT;
const LEAST: f64 = 1.0 / 1_048_576.0;
const LEAST_STEP: f64 = 1.0 / 1_073_741_824.0;
const OF_FRAME: usize = 13;
const OF_CHANNEL: usize = 10;

/// Returns how many features a frame of so many channels has.
pub fn count(channels: usize) -> usize {
    OF_FRAME + OF_CHANNEL * channels + channels.saturating_sub(1)
}

/// A frame of `height` rows and `width` columns, measured, and the range that its values should have.
pub struct Measured<'a> {
    pub summary: &'a Summary,
    pub scale: &'a Scale,
    pub height: usize,
    pub width: usize,
}

impl Measured<'_> {
    /// Writes the features, as multiples of 1 / UNIT, into `features`, which has room for exactly those.
    pub fn write(&self, features: &mut [f64]) {
        let channels = self.summary.mean.len();
        let (frame, others) = features.split_at_mut(OF_FRAME);
        let (by_channel, links) = others.split_at_mut(OF_CHANNEL * channels);
        frame.copy_from_slice(&self.of_frame());
        for (channel, features) in by_channel.chunks_exact_mut(OF_CHANNEL).enumerate() {
            features.copy_from_slice(&self.of_channel(channel));
        }
        for (channel, feature) in links.iter_mut().enumerate() {
            *feature = self.link(channel);
        }
        features.iter_mut().for_each(|feature| *feature = quantised(*feature));
    }

    fn extent(&self) -> f64 {
        self.scale.high - self.scale.low
    }

    fn of_frame(&self) -> [f64; OF_FRAME] {
        let Summary { count, not_finite, zeros, saturated, stuck_rows, histogram, .. } = self.summary;
        let elements = *count as f64;
        let sampled = histogram.iter().sum::<u64>() as f64;
        let most = histogram.iter().max().copied().unwrap_or(0) as f64;
        let [edges, tint, edges_over_all, tint_over_all, step_over_all] = self.strangest_row();
        [
            // Rounded up: a single one counts.
            (*not_finite as f64 / elements * UNIT).ceil() / UNIT,
            *zeros as f64 / elements,
            *saturated as f64 / elements,
            *stuck_rows as f64 / (self.height - 1).max(1) as f64,
            self.smallest_step(),
            sampled.log2() - surplus(histogram) / sampled,
            most / sampled,
            edges,
            tint,
            edges_over_all,
            tint_over_all,
            step_over_all,
            self.summary.seam.log2(),
        ]
    }

    fn smallest_step(&self) -> f64 {
        let step = self.summary.smallest_step;
        if step == 0.0 {
            return f64::NAN;
        }
        (step / self.extent() + LEAST_STEP).log2()
    }

    fn strangest_row(&self) -> [f64; 5] {
        let Summary { laplacian: energies, link, .. } = self.summary;
        let channels = energies.len();
        let sum = |numbers: &[f64]| numbers.iter().fold(0.0, |total, number| total + number);
        let tint = sum(&energies[..channels - 1]) + sum(&energies[1..]) - 2.0 * sum(link);
        let usual = sum(&self.summary.step_y) / channels as f64;
        let row_edges = self.root(self.summary.peak_edges);
        let row_tint = self.root(self.summary.peak_tint);
        [
            row_edges,
            row_tint,
            row_edges - self.root(sum(energies) / channels as f64),
            row_tint - self.root(tint / (channels - 1).max(1) as f64),
            logarithm(self.summary.peak_step / self.extent()) - logarithm(usual / self.extent()),
        ]
    }

    /// Returns the logarithm of the root of an energy, which rounding may have made negative.
    fn root(&self, energy: f64) -> f64 {
        let energy = if energy < 0.0 { 0.0 } else { energy };
        logarithm(energy.sqrt() / self.extent())
    }

    fn of_channel(&self, channel: usize) -> [f64; OF_CHANNEL] {
        let Summary { minimum, maximum, mean, variance, step_x, step_y, laplacian, flat, .. } = self.summary;
        let place = |value: f64| (value - self.scale.low) / self.extent();
        let steps = (self.height * (self.width - 1).max(1)) as f64;
        let spread = logarithm(variance[channel].sqrt() / self.extent());
        let edges = logarithm(laplacian[channel].sqrt() / self.extent());
        let across = logarithm(step_x[channel] / self.extent());
        [
            place(minimum[channel]),
            place(maximum[channel]),
            place(mean[channel]),
            spread,
            across,
            logarithm(step_y[channel] / self.extent()),
            edges,
            if variance[channel] == 0.0 { f64::NAN } else { edges - spread },
            if step_x[channel] == 0.0 { f64::NAN } else { edges - across },
            flat[channel] as f64 / steps,
        ]
    }

    fn link(&self, channel: usize) -> f64 {
        let energy = self.summary.laplacian[channel] * self.summary.laplacian[channel + 1];
        if energy == 0.0 {
            return f64::NAN;
        }
        if energy < f64::INFINITY {
            self.summary.link[channel] / energy.sqrt()
        } else {
            0.0
        }
    }
}

/// Returns the sum of the counts times their logarithms.
fn surplus(histogram: &[u64]) -> f64 {
    let parts = histogram.iter().filter(|&&count| count > 0).map(|&count| count as f64);
    parts.fold(0.0, |total, count| total + count * count.log2())
}

fn logarithm(value: f64) -> f64 {
    if value < f64::INFINITY {
        (value + LEAST).log2()
    } else {
        LIMIT
    }
}

fn quantised(feature: f64) -> f64 {
    if feature.is_nan() {
        return MISSING;
    }
    (feature.clamp(-LIMIT, LIMIT) * UNIT).round_ties_even()
}
