//! The pass over a frame: three rows at a time, every statistic of the middle one.

use crate::buffer::Buffer;
use crate::frame::Frame;
use crate::layout::Layout;
use crate::line::{Kind, Place, Rows, Scale, Sums, BINS};
use crate::source::Source;
#[cfg(target_arch = "aarch64")]
use crate::vector::arm_neon::Neon;
#[cfg(any(test, not(target_arch = "aarch64")))]
use crate::vector::plain::Plain;
use crate::vector::Set;
#[cfg(target_arch = "x86_64")]
use crate::vector::{x86_avx2::Avx2, x86_avx512::Avx512};

/// Statistics of a frame; the fields are those of `modelkeep.guard.summary.Summary`.
pub struct Summary {
    pub count: u64,
    pub not_finite: u64,
    pub zeros: u64,
    pub saturated: u64,
    pub stuck_rows: u64,
    pub smallest_step: f64,
    pub peak_edges: f64,
    pub peak_tint: f64,
    pub peak_step: f64,
    pub seam: f64,
    pub histogram: [u64; BINS],
    pub minimum: Vec<f64>,
    pub maximum: Vec<f64>,
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
    pub step_x: Vec<f64>,
    pub step_y: Vec<f64>,
    pub laplacian: Vec<f64>,
    pub flat: Vec<u64>,
    pub link: Vec<f64>,
    /// Whether no sum was too large for the precision it was made in.
    pub is_exact: bool,
}

/// Returns the statistics of `frame`, of which no side may be 0.
pub fn summarize<T: Source>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512vbmi") && std::arch::is_x86_feature_detected!("avx512vnni")
    {
        // SAFETY: the processor has the instructions; the others come with every avx512vnni.
        return unsafe { summarize_avx512(frame, scale, histogram_step) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions.
        return unsafe { summarize_avx2(frame, scale, histogram_step) };
    }
    // Every processor of this architecture has the instructions.
    #[cfg(target_arch = "aarch64")]
    return summarize_rows::<Neon, T>(frame, scale, histogram_step);
    #[cfg(not(target_arch = "aarch64"))]
    summarize_rows::<Plain, T>(frame, scale, histogram_step)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,popcnt")]
unsafe fn summarize_avx512<T: Source>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary {
    summarize_rows::<Avx512, T>(frame, scale, histogram_step)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn summarize_avx2<T: Source>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary {
    summarize_rows::<Avx2, T>(frame, scale, histogram_step)
}

#[inline(always)]
fn summarize_rows<S: Set, T: Source>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary {
    let mut pass = Pass::<T::Kind<S>>::new(frame.layout::<T::Kind<S>>());
    let layout = pass.layout;
    pass.not_finite += frame.read_row::<S>(0, &layout, &mut pass.below);
    pass.above.copy_from_slice(&pass.below);
    pass.begin(scale);
    for row in 0..frame.height {
        // The oldest row makes room for the next one.
        std::mem::swap(&mut pass.here, &mut pass.below);
        if row + 1 < frame.height {
            pass.not_finite += frame.read_row::<S>(row + 1, &layout, &mut pass.below);
        } else {
            pass.below.copy_from_slice(&pass.here);
        }
        pass.visit();
        pass.stuck_rows += u64::from(row > 0 && pass.is_stuck());
        if row % histogram_step == 0 {
            for line in pass.here.chunks_exact(layout.stride) {
                let values = &line[layout.lanes..][..layout.length];
                T::Kind::<S>::count(values, scale, &mut pass.tally);
            }
        }
        std::mem::swap(&mut pass.above, &mut pass.here);
    }
    pass.finish(frame.height, scale)
}

/// Of the range: what every difference between rows is taken to be at least, in their ratio.
const LEAST_STEP: f64 = 1.0 / 32768.0;

struct Pass<K: Kind> {
    layout: Layout,
    above: Buffer<K::Value>,
    here: Buffer<K::Value>,
    below: Buffer<K::Value>,
    /// Of one row, behind a line of zeros.
    edges: Buffer<K::Edge>,
    /// By line, the chunks of a period.
    lanes: Vec<K::Lanes>,
    /// By channel, a value of the first row.
    pivots: Vec<K::Value>,
    tally: K::Tally,
    /// Largest sums of one row.
    peak_edges: f64,
    peak_tint: f64,
    /// Of every row, the sum of the differences to the row above.
    row_steps: Vec<f64>,
    not_finite: u64,
    stuck_rows: u64,
}

impl<K: Kind> Pass<K> {
    fn new(layout: Layout) -> Self {
        let length = layout.lines * layout.stride;
        Pass {
            layout,
            above: Buffer::new(length),
            here: Buffer::new(length),
            below: Buffer::new(length),
            edges: Buffer::new((layout.lines + 1) * layout.stride),
            lanes: Vec::new(),
            pivots: Vec::new(),
            tally: K::tally(),
            peak_edges: 0.0,
            peak_tint: 0.0,
            row_steps: Vec::new(),
            not_finite: 0,
            stuck_rows: 0,
        }
    }

    /// Takes pivots from the first row.
    fn begin(&mut self, scale: &Scale) {
        let layout = &self.layout;
        for line in self.above.chunks_exact(layout.stride) {
            self.pivots.extend_from_slice(&line[layout.lanes..][..layout.channels]);
        }
        let (pivots, period) = (&self.pivots, layout.period);
        let last = pivots.len() - 1;
        for line in 0..layout.lines {
            for phase in 0..period {
                let place = |lane: usize| {
                    let channel = layout.channel(line, phase, lane);
                    let before = f64::from(u8::from(channel > 0));
                    let neighbours = before + f64::from(u8::from(channel < last));
                    Place { pivot: pivots[channel], linked: before, neighbours }
                };
                self.lanes.push(K::lanes(&place, layout.span(phase), scale));
            }
        }
    }

    #[inline(always)]
    fn visit(&mut self) {
        let rows = Rows { above: &self.above, here: &self.here, below: &self.below };
        let [edges, tint, steps] = K::visit(&rows, &self.layout, &mut self.lanes, &mut self.edges);
        self.peak_edges = self.peak_edges.max(edges);
        self.peak_tint = self.peak_tint.max(tint);
        self.row_steps.push(steps);
    }

    /// Whether the row equals the row above, and varies.
    #[inline(always)]
    fn is_stuck(&self) -> bool {
        let first = self.layout.lanes;
        // Rows mostly differ at once.
        self.above[first] == self.here[first] && self.above[..] == self.here[..] && self.varies()
    }

    /// Whether at least an eighth of the elements behind the first column differ from their left neighbours.
    fn varies(&self) -> bool {
        let Layout { lanes, length, channels, stride, lines, .. } = self.layout;
        let steps = self.here.chunks_exact(stride).map(|line| {
            let values = &line[lanes..][..length];
            values[channels..].iter().zip(values).filter(|(here, left)| here != left).count()
        });
        let moved: usize = steps.sum();
        moved > 0 && 8 * moved >= lines * (length - channels)
    }

    /// Returns the sums of every channel.
    fn channels(&mut self, height: usize) -> Vec<Sums> {
        let mut channels = vec![Sums::EMPTY; self.pivots.len()];
        for (place, lanes) in self.lanes.iter_mut().enumerate() {
            let (line, phase) = (place / self.layout.period, place % self.layout.period);
            for (lane, sums) in K::total(lanes, height as u64).enumerate() {
                channels[self.layout.channel(line, phase, lane)].add(&sums);
            }
        }
        channels
    }

    /// Returns the largest difference between two rows, and by how much one exceeds those before and behind.
    fn seam(&self, elements: f64, scale: &Scale) -> (f64, f64) {
        let steps: Vec<f64> = self.row_steps[1..].iter().map(|sum| sum / elements).collect();
        let least = (scale.high - scale.low) * LEAST_STEP;
        let excess = |three: &[f64]| (three[1] + least) / (three[0].max(three[2]) + least);
        let peak = steps.iter().fold(0.0, |most: f64, &step| most.max(step));
        (peak, steps.windows(3).map(excess).fold(1.0, f64::max))
    }

    fn finish(mut self, height: usize, scale: &Scale) -> Summary {
        let width = self.layout.columns;
        let channels = self.channels(height);
        let area = (height * width) as f64;
        let across = width.saturating_sub(2).max(1) as f64;
        let inner = height as f64 * across;
        let steps_x = (height * (width - 1).max(1)) as f64;
        let steps_y = ((height - 1).max(1) * width) as f64;
        let origins = self.pivots.iter().map(|&pivot| K::origin(pivot, scale));
        let by_channel = |measure: &dyn Fn(&Sums) -> f64| channels.iter().map(measure).collect();
        let smallest = channels.iter().fold(f64::INFINITY, |least, each| least.min(each.smallest_step));
        let (peak_step, seam) = self.seam((width * channels.len()) as f64, scale);
        Summary {
            count: (height * width * channels.len()) as u64,
            not_finite: self.not_finite,
            zeros: channels.iter().map(|each| each.zeros).sum(),
            saturated: channels.iter().map(|each| each.saturated).sum(),
            stuck_rows: self.stuck_rows,
            smallest_step: if smallest.is_finite() { smallest } else { 0.0 },
            peak_edges: self.peak_edges / (across * channels.len() as f64),
            peak_tint: self.peak_tint / (across * (channels.len() - 1).max(1) as f64),
            peak_step,
            seam,
            histogram: K::histogram(&self.tally, scale),
            minimum: by_channel(&|each| each.minimum),
            maximum: by_channel(&|each| each.maximum),
            mean: origins.zip(&channels).map(|(origin, each)| origin + each.sum / area).collect(),
            variance: by_channel(&|each| (each.square / area - (each.sum / area).powi(2)).max(0.0)),
            step_x: by_channel(&|each| each.step_x / steps_x),
            step_y: by_channel(&|each| each.step_y / steps_y),
            laplacian: by_channel(&|each| each.edges / inner),
            // The first column stands beside itself.
            flat: channels.iter().map(|each| each.flat - height as u64).collect(),
            link: channels.iter().skip(1).map(|each| each.link / inner).collect(),
            is_exact: channels.iter().all(Sums::is_finite),
        }
    }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use crate::source::Half;

    fn same(left: &Summary, right: &Summary) {
        assert_eq!((left.count, left.not_finite, left.zeros), (right.count, right.not_finite, right.zeros));
        assert_eq!((left.saturated, left.stuck_rows), (right.saturated, right.stuck_rows));
        assert_eq!(left.histogram, right.histogram);
        assert_eq!(left.flat, right.flat);
        assert_eq!(left.smallest_step.to_bits(), right.smallest_step.to_bits());
        assert_eq!(left.peak_edges.to_bits(), right.peak_edges.to_bits());
        assert_eq!(left.peak_tint.to_bits(), right.peak_tint.to_bits());
        assert_eq!(left.peak_step.to_bits(), right.peak_step.to_bits());
        assert_eq!(left.seam.to_bits(), right.seam.to_bits());
        let numbers = |each: &Summary| {
            [&each.minimum, &each.maximum, &each.mean, &each.variance]
                .into_iter()
                .chain([&each.step_x, &each.step_y, &each.laplacian, &each.link])
                .flatten()
                .map(|number| number.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(left), numbers(right));
    }

    fn compare<T>(values: &[T], width: usize, channels: usize, scale: Scale)
    where
        T: Source,
    {
        let height = values.len() / (width * channels);
        let size = size_of::<T>();
        let strides = [width * channels * size, channels * size, size].map(|stride| stride as isize);
        // SAFETY: `values` outlives the frame and holds as many elements as its shape says.
        let frame = unsafe { Frame::new(values.as_ptr(), [height, width, channels], strides) };
        let plain = summarize_rows::<Plain, T>(&frame, &scale, 1);
        same(&plain, &summarize(&frame, &scale, 1));
        #[cfg(target_arch = "x86_64")]
        compare_x86(&plain, &frame, scale);
    }

    #[cfg(target_arch = "x86_64")]
    fn compare_x86<T: Source>(plain: &Summary, frame: &Frame<T>, scale: Scale) {
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the instructions.
            same(plain, &unsafe { summarize_avx2(frame, &scale, 1) });
        }
        if std::arch::is_x86_feature_detected!("avx512vbmi")
            && std::arch::is_x86_feature_detected!("avx512vnni")
        {
            // SAFETY: the processor has the instructions.
            same(plain, &unsafe { summarize_avx512(frame, &scale, 1) });
        }
    }

    /// Bits that look random and are the same every time.
    fn bits(count: usize) -> Vec<u64> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for (width, channels) in
            [(1, 1), (2, 3), (3, 1), (15, 2), (31, 5), (64, 3), (131, 4), (33, 9), (700, 3), (6000, 1)]
        {
            let bits = bits(9 * width * channels);
            let bytes: Vec<u8> = bits.iter().map(|&each| each as u8).collect();
            let signed: Vec<i8> = bits.iter().map(|&each| each as i8).collect();
            let floats: Vec<f32> = bits.iter().map(|&each| (each % 1000) as f32 / 255.0 - 1.0).collect();
            let halves: Vec<Half> = bits.iter().map(|&each| Half(each as u16)).collect();
            compare(&bytes, width, channels, Scale { low: 0.0, high: 255.0, offset: 0 });
            compare(&signed, width, channels, Scale { low: -128.0, high: 127.0, offset: -128 });
            compare(&floats, width, channels, Scale { low: 0.0, high: 1.0, offset: 0 });
            compare(&halves, width, channels, Scale { low: -1.0, high: 1.0, offset: 0 });
        }
    }
}
