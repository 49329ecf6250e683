//! The pass over a frame: three rows at a time, every statistic of the middle one.

use crate::frame::{Frame, Source};
use crate::plane::{Channel, Rows, Scale, Tables, Value, BINS};

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
    pub histogram: Vec<u64>,
    pub minimum: Vec<f64>,
    pub maximum: Vec<f64>,
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
    pub step_x: Vec<f64>,
    pub step_y: Vec<f64>,
    pub laplacian: Vec<f64>,
    pub flat: Vec<u64>,
    pub link: Vec<f64>,
}

/// Returns the statistics of `frame`, of which no side may be 0.
pub fn summarize<T>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary
where
    T: Source,
    T::Value: Value,
{
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512bw") && std::arch::is_x86_feature_detected!("avx512vl") {
        // SAFETY: the processor has the instructions; avx512f and avx512dq come with every avx512bw.
        return unsafe { summarize_avx512(frame, scale, histogram_step) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions.
        return unsafe { summarize_avx2(frame, scale, histogram_step) };
    }
    summarize_rows(frame, scale, histogram_step)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn summarize_avx512<T>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary
where
    T: Source,
    T::Value: Value,
{
    summarize_rows(frame, scale, histogram_step)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn summarize_avx2<T>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary
where
    T: Source,
    T::Value: Value,
{
    summarize_rows(frame, scale, histogram_step)
}

#[inline(always)]
fn summarize_rows<T>(frame: &Frame<T>, scale: &Scale, histogram_step: usize) -> Summary
where
    T: Source,
    T::Value: Value,
{
    let stride = frame.width + 1;
    let mut pass = Pass::<T::Value>::new(frame.width, frame.channels);
    pass.not_finite += frame.read_row(0, &mut pass.below);
    pass.above.copy_from_slice(&pass.below);
    pass.lanes = pass.below.chunks_exact(stride).map(|plane| T::Value::lanes(plane[0], scale)).collect();
    for row in 0..frame.height {
        // The oldest row makes room for the next one.
        std::mem::swap(&mut pass.here, &mut pass.below);
        if row + 1 < frame.height {
            pass.not_finite += frame.read_row(row + 1, &mut pass.below);
        } else {
            pass.below.copy_from_slice(&pass.here);
        }
        pass.visit(row);
        if row % histogram_step == 0 {
            for (plane, lanes) in pass.here.chunks_exact(stride).zip(&pass.lanes) {
                T::Value::tally(&plane[1..], lanes, &mut pass.tables);
            }
        }
        std::mem::swap(&mut pass.above, &mut pass.here);
    }
    pass.finish(frame.height)
}

struct Pass<V: Value> {
    width: usize,
    above: Vec<V>,
    here: Vec<V>,
    below: Vec<V>,
    edges: Vec<V::Edge>,
    lanes: Vec<V::Lanes>,
    /// By channel, sums of squared Laplacians and of products with those of the channel before.
    squares: Vec<f64>,
    links: Vec<f64>,
    /// Largest sums of one row.
    peak_edges: f64,
    peak_tint: f64,
    tables: Tables,
    not_finite: u64,
    stuck_rows: u64,
}

impl<V: Value> Pass<V> {
    fn new(width: usize, channels: usize) -> Self {
        let length = (width + 1) * channels;
        Pass {
            width,
            above: vec![V::default(); length],
            here: vec![V::default(); length],
            below: vec![V::default(); length],
            // Begins with a row of zeros, as the first channel has none before it.
            edges: vec![V::Edge::default(); width * (channels + 1)],
            lanes: Vec::new(),
            squares: vec![0.0; channels],
            links: vec![0.0; channels],
            peak_edges: 0.0,
            peak_tint: 0.0,
            tables: [[0; BINS]; 4],
            not_finite: 0,
            stuck_rows: 0,
        }
    }

    #[inline(always)]
    fn visit(&mut self, row: usize) {
        let stride = self.width + 1;
        let mut moved = false;
        let (mut row_edges, mut row_tint, mut before) = (0.0, 0.0, 0.0);
        for (c, lanes) in self.lanes.iter_mut().enumerate() {
            let place = c * stride..(c + 1) * stride;
            let rows = Rows {
                above: &self.above[place.clone()],
                here: &self.here[place.clone()],
                below: &self.below[place],
            };
            moved |= V::visit(&rows, lanes);
            if self.width > 2 {
                let (previous, edges) =
                    self.edges[c * self.width..][..2 * self.width].split_at_mut(self.width);
                let (square, link) = V::sharpen(&rows, previous, edges);
                self.squares[c] += square;
                self.links[c] += link;
                row_edges += square;
                if c > 0 {
                    // The square of the difference of two channels.
                    row_tint += square + before - 2.0 * link;
                }
                before = square;
            }
        }
        self.peak_edges = self.peak_edges.max(row_edges);
        self.peak_tint = self.peak_tint.max(row_tint);
        self.stuck_rows += u64::from(row > 0 && !moved);
    }

    fn finish(self, height: usize) -> Summary {
        let area = (height * self.width) as f64;
        let across = self.width.saturating_sub(2).max(1) as f64;
        let inner = height as f64 * across;
        let steps_x = (height * (self.width - 1).max(1)) as f64;
        let steps_y = ((height - 1).max(1) * self.width) as f64;
        let (origins, channels): (Vec<f64>, Vec<Channel>) = self.lanes.into_iter().map(V::total).unzip();
        let by_channel = |measure: &dyn Fn(&Channel) -> f64| channels.iter().map(measure).collect();
        let smallest = channels.iter().fold(f64::INFINITY, |least, each| least.min(each.smallest_step));
        Summary {
            count: (height * self.width * channels.len()) as u64,
            not_finite: self.not_finite,
            zeros: channels.iter().map(|each| each.zeros).sum(),
            saturated: channels.iter().map(|each| each.saturated).sum(),
            stuck_rows: self.stuck_rows,
            smallest_step: if smallest.is_finite() { smallest } else { 0.0 },
            peak_edges: self.peak_edges / (across * channels.len() as f64),
            peak_tint: self.peak_tint / (across * (channels.len() - 1).max(1) as f64),
            histogram: (0..BINS).map(|bin| self.tables.iter().map(|table| table[bin]).sum()).collect(),
            minimum: by_channel(&|each| each.minimum),
            maximum: by_channel(&|each| each.maximum),
            mean: origins.iter().zip(&channels).map(|(origin, each)| origin + each.sum / area).collect(),
            variance: by_channel(&|each| (each.square / area - (each.sum / area).powi(2)).max(0.0)),
            step_x: by_channel(&|each| each.step_x / steps_x),
            step_y: by_channel(&|each| each.step_y / steps_y),
            laplacian: self.squares.iter().map(|square| square / inner).collect(),
            flat: channels.iter().map(|each| each.flat).collect(),
            link: self.links.iter().skip(1).map(|link| link / inner).collect(),
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::frame::Half;

    fn same(left: &Summary, right: &Summary) {
        assert_eq!((left.count, left.not_finite, left.zeros), (right.count, right.not_finite, right.zeros));
        assert_eq!((left.saturated, left.stuck_rows), (right.saturated, right.stuck_rows));
        assert_eq!(left.histogram, right.histogram);
        assert_eq!(left.flat, right.flat);
        assert_eq!(left.smallest_step.to_bits(), right.smallest_step.to_bits());
        assert_eq!(left.peak_edges.to_bits(), right.peak_edges.to_bits());
        assert_eq!(left.peak_tint.to_bits(), right.peak_tint.to_bits());
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
        T::Value: Value,
    {
        let height = values.len() / (width * channels);
        let size = size_of::<T>();
        let strides = [width * channels * size, channels * size, size].map(|stride| stride as isize);
        // SAFETY: `values` outlives the frame and holds as many elements as its shape says.
        let frame = unsafe { Frame::new(values.as_ptr(), [height, width, channels], strides) };
        let plain = summarize_rows(&frame, &scale, 1);
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the instructions.
            same(&plain, &unsafe { summarize_avx2(&frame, &scale, 1) });
        }
        if std::arch::is_x86_feature_detected!("avx512bw") && std::arch::is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has the instructions.
            same(&plain, &unsafe { summarize_avx512(&frame, &scale, 1) });
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
        for (width, channels) in [(1, 1), (2, 3), (3, 1), (15, 2), (64, 3), (131, 4), (700, 3)] {
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
