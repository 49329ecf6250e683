//! Rows of single-precision numbers.
//!
//! Sums move to double precision after every block, before rounding can add up.

use crate::plane::{padded, Channel, Rows, Scale, Tables, Value};

const N: usize = 16;
const CHUNKS: usize = 16;

pub struct Lanes {
    pivot: f32,
    scale: Scale,
    low: f32,
    high: f32,
    lowest: [f32; N],
    highest: [f32; N],
    smallest: [f32; N],
    zeros: [u64; N],
    saturated: [u64; N],
    flat: [u64; N],
    sum: [f64; N],
    square: [f64; N],
    step_x: [f64; N],
    step_y: [f64; N],
    rows: u64,
    /// Pivots that filled up the ends of rows.
    fillers: u64,
}

impl Lanes {
    /// Adds up to `CHUNKS` chunks of values with their left and upper neighbours.
    #[inline(always)]
    fn add(&mut self, here: &[[f32; N]], left: &[[f32; N]], above: &[[f32; N]]) {
        let (mut sum, mut square, mut step_x, mut step_y) = ([0f32; N], [0f32; N], [0f32; N], [0f32; N]);
        let (mut lowest, mut highest, mut smallest) = (self.lowest, self.highest, self.smallest);
        let (mut zeros, mut saturated, mut flat) = ([0u32; N], [0u32; N], [0u32; N]);
        for ((here, left), above) in here.iter().zip(left).zip(above) {
            for j in 0..N {
                let value = here[j];
                let distance = value - self.pivot;
                sum[j] += distance;
                square[j] += distance * distance;
                step_y[j] += (value - above[j]).abs();
                let step = (value - left[j]).abs();
                step_x[j] += step;
                flat[j] += u32::from(step == 0.0);
                let counted = if step == 0.0 { f32::INFINITY } else { step };
                smallest[j] = if counted < smallest[j] { counted } else { smallest[j] };
                lowest[j] = if value < lowest[j] { value } else { lowest[j] };
                highest[j] = if value > highest[j] { value } else { highest[j] };
                zeros[j] += u32::from(value == 0.0);
                saturated[j] += u32::from((value <= self.low) | (value >= self.high));
            }
        }
        (self.lowest, self.highest, self.smallest) = (lowest, highest, smallest);
        for j in 0..N {
            self.sum[j] += f64::from(sum[j]);
            self.square[j] += f64::from(square[j]);
            self.step_x[j] += f64::from(step_x[j]);
            self.step_y[j] += f64::from(step_y[j]);
            self.zeros[j] += u64::from(zeros[j]);
            self.saturated[j] += u64::from(saturated[j]);
            self.flat[j] += u64::from(flat[j]);
        }
    }

    /// Adds what is left of a row, filled up with pivots, which `total` takes out of the counts.
    #[inline(always)]
    fn add_rest(&mut self, here: &[f32], left: &[f32], above: &[f32]) {
        if here.is_empty() {
            return;
        }
        let filler = self.pivot;
        self.add(&[padded(here, filler)], &[padded(left, filler)], &[padded(above, filler)]);
        self.fillers += (N - here.len()) as u64;
    }
}

/// The five rows of values that a row of Laplacians comes from, and the Laplacians of the channel before.
struct Around<'a> {
    middle: &'a [f32],
    left: &'a [f32],
    right: &'a [f32],
    above: &'a [f32],
    below: &'a [f32],
    previous: &'a [f32],
}

impl Around<'_> {
    /// Writes Laplacians from `start` on, in chunks of M; returns the sums of their squares and of
    /// their products with those of the channel before.
    #[inline(always)]
    fn sharpen<const M: usize>(&self, start: usize, edges: &mut [f32]) -> (f64, f64) {
        let length = edges.len();
        let cut = |row: &[f32]| -> *const [f32; M] { row[start..start + length].as_ptr().cast() };
        let rows = [self.middle, self.left, self.right, self.above, self.below, self.previous].map(cut);
        let (mut square, mut link) = ([0f32; M], [0f32; M]);
        for (k, edges) in edges.as_chunks_mut::<M>().0.iter_mut().enumerate() {
            // SAFETY: every row was cut to the length of `edges`, which holds more than k chunks.
            let [middle, left, right, above, below, previous] = rows.map(|row| unsafe { &*row.add(k) });
            for j in 0..M {
                let edge = 4.0 * middle[j] - left[j] - right[j] - above[j] - below[j];
                square[j] += edge * edge;
                link[j] += edge * previous[j];
                edges[j] = edge;
            }
        }
        let total = |lanes: [f32; M]| lanes.iter().map(|&lane| f64::from(lane)).sum();
        (total(square), total(link))
    }
}

impl Value for f32 {
    type Edge = f32;
    type Lanes = Lanes;

    fn lanes(pivot: f32, scale: &Scale) -> Lanes {
        Lanes {
            pivot,
            scale: *scale,
            low: scale.low as f32,
            high: scale.high as f32,
            lowest: [f32::INFINITY; N],
            highest: [f32::NEG_INFINITY; N],
            smallest: [f32::INFINITY; N],
            zeros: [0; N],
            saturated: [0; N],
            flat: [0; N],
            sum: [0.0; N],
            square: [0.0; N],
            step_x: [0.0; N],
            step_y: [0.0; N],
            rows: 0,
            fillers: 0,
        }
    }

    #[inline(always)]
    fn visit(rows: &Rows<f32>, lanes: &mut Lanes) -> bool {
        let width = rows.here.len() - 1;
        let before = lanes.step_y;
        let (here, here_rest) = rows.here[1..].as_chunks::<N>();
        let (left, left_rest) = rows.here[..width].as_chunks::<N>();
        let (above, above_rest) = rows.above[1..].as_chunks::<N>();
        for ((here, left), above) in here.chunks(CHUNKS).zip(left.chunks(CHUNKS)).zip(above.chunks(CHUNKS)) {
            lanes.add(here, left, above);
        }
        lanes.add_rest(here_rest, left_rest, above_rest);
        lanes.rows += 1;
        // A sum can stay the same although it grew by a little; then the values are asked.
        lanes.step_y != before || rows.here[1..] != rows.above[1..]
    }

    #[inline(always)]
    fn sharpen(rows: &Rows<f32>, previous: &[f32], edges: &mut [f32]) -> (f64, f64) {
        let inner = edges.len() - 2;
        let around = Around {
            middle: &rows.here[2..][..inner],
            left: &rows.here[1..][..inner],
            right: &rows.here[3..][..inner],
            above: &rows.above[2..][..inner],
            below: &rows.below[2..][..inner],
            previous: &previous[1..][..inner],
        };
        let mut sums = (0.0, 0.0);
        for start in (0..inner).step_by(N * CHUNKS) {
            let block = &mut edges[1 + start..1 + inner.min(start + N * CHUNKS)];
            let whole = block.len() - block.len() % N;
            let (block, rest) = block.split_at_mut(whole);
            let (square, link) = around.sharpen::<N>(start, block);
            let (rest_square, rest_link) = around.sharpen::<1>(start + whole, rest);
            sums = (sums.0 + square + rest_square, sums.1 + link + rest_link);
        }
        sums
    }

    fn total(lanes: Lanes) -> (f64, Channel) {
        let pivot = lanes.pivot;
        let saturated = (pivot <= lanes.low) | (pivot >= lanes.high);
        let channel = Channel {
            zeros: lanes.zeros.iter().sum::<u64>() - u64::from(pivot == 0.0) * lanes.fillers,
            saturated: lanes.saturated.iter().sum::<u64>() - u64::from(saturated) * lanes.fillers,
            flat: lanes.flat.iter().sum::<u64>() - lanes.fillers - lanes.rows,
            minimum: f64::from(lanes.lowest.iter().copied().fold(f32::INFINITY, f32::min)),
            maximum: f64::from(lanes.highest.iter().copied().fold(f32::NEG_INFINITY, f32::max)),
            sum: lanes.sum.iter().sum(),
            square: lanes.square.iter().sum(),
            step_x: lanes.step_x.iter().sum(),
            step_y: lanes.step_y.iter().sum(),
            smallest_step: f64::from(lanes.smallest.iter().copied().fold(f32::INFINITY, f32::min)),
        };
        (f64::from(pivot), channel)
    }

    #[inline(always)]
    fn tally(here: &[f32], lanes: &Lanes, tables: &mut Tables) {
        let mut bins = [0u8; N * CHUNKS];
        for here in here.chunks(N * CHUNKS) {
            for (bin, &value) in bins.iter_mut().zip(here) {
                *bin = lanes.scale.bin(value) as u8;
            }
            for (i, &bin) in bins[..here.len()].iter().enumerate() {
                tables[i % 4][usize::from(bin)] += 1;
            }
        }
    }
}
