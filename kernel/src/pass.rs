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
            tables: [[0; BINS]; 4],
            not_finite: 0,
            stuck_rows: 0,
        }
    }

    #[inline(always)]
    fn visit(&mut self, row: usize) {
        let stride = self.width + 1;
        let mut moved = false;
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
                V::sharpen(&rows, previous, edges, lanes);
            }
        }
        self.stuck_rows += u64::from(row > 0 && !moved);
    }

    fn finish(self, height: usize) -> Summary {
        let area = (height * self.width) as f64;
        let inner = (height * self.width.saturating_sub(2).max(1)) as f64;
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
            histogram: (0..BINS).map(|bin| self.tables.iter().map(|table| table[bin]).sum()).collect(),
            minimum: by_channel(&|each| each.minimum),
            maximum: by_channel(&|each| each.maximum),
            mean: origins.iter().zip(&channels).map(|(origin, each)| origin + each.sum / area).collect(),
            variance: by_channel(&|each| (each.square / area - (each.sum / area).powi(2)).max(0.0)),
            step_x: by_channel(&|each| each.step_x / steps_x),
            step_y: by_channel(&|each| each.step_y / steps_y),
            laplacian: by_channel(&|each| each.laplacian / inner),
            flat: channels.iter().map(|each| each.flat).collect(),
            link: channels.iter().skip(1).map(|each| each.link / inner).collect(),
        }
    }
}
