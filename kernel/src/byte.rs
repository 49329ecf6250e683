//! Rows of bytes. Every sum is an integer and exact.
//!
//! A signed byte is kept with its sign bit flipped, which adds 128 and keeps the order.

use crate::plane::{padded, Channel, Rows, Scale, Tables, Value};

const N: usize = 32;
// So many differences of up to 255 fit into 16 bits, and so many counts into 8.
const CHUNKS: usize = 128;
// Squared Laplacians of a block, of up to 1020 each way, add up to less than 2^31.
const BLOCK: usize = 1024;

pub struct Lanes {
    pivot: u8,
    offset: i16,
    zero: u8,
    low: u8,
    high: u8,
    /// Whether any byte at all reaches the low and the high end: 0 or 1.
    reached: [u8; 2],
    lowest: [u8; N],
    highest: [u8; N],
    /// Smallest step less one, so that no step at all becomes the largest.
    smallest: [u8; N],
    narrow: Narrow,
    /// Chunks that the narrow sums hold.
    chunks: usize,
    zeros: u64,
    saturated: u64,
    flat: u64,
    sum: u64,
    step_x: u64,
    step_y: u64,
    square: u64,
    rows: u64,
    /// Pivots that filled up the ends of rows.
    fillers: u64,
    bins: [u8; 256],
}

/// Sums that have room for `CHUNKS` chunks.
#[derive(Clone, Copy)]
struct Narrow {
    zeros: [u8; N],
    saturated: [u8; N],
    flat: [u8; N],
    sum: [u16; N],
    step_x: [u16; N],
    step_y: [u16; N],
}

const EMPTY: Narrow =
    Narrow { zeros: [0; N], saturated: [0; N], flat: [0; N], sum: [0; N], step_x: [0; N], step_y: [0; N] };

impl Lanes {
    /// Adds up to `CHUNKS` chunks of values with their left and upper neighbours.
    #[inline(always)]
    fn add(&mut self, here: &[[u8; N]], left: &[[u8; N]], above: &[[u8; N]]) {
        if self.chunks + here.len() > CHUNKS {
            self.widen();
        }
        self.chunks += here.len();
        let Narrow { mut zeros, mut saturated, mut flat, mut sum, mut step_x, mut step_y } = self.narrow;
        let (mut lowest, mut highest, mut smallest) = (self.lowest, self.highest, self.smallest);
        let (zero, low, high, [below, beyond]) = (self.zero, self.low, self.high, self.reached);
        for ((here, left), above) in here.iter().zip(left).zip(above) {
            for j in 0..N {
                let value = here[j];
                let step = value.abs_diff(left[j]);
                sum[j] += u16::from(value);
                step_x[j] += u16::from(step);
                step_y[j] += u16::from(value.abs_diff(above[j]));
                zeros[j] += u8::from(value == zero);
                saturated[j] += (u8::from(value <= low) & below) | (u8::from(value >= high) & beyond);
                flat[j] += u8::from(step == 0);
                smallest[j] = smallest[j].min(step.wrapping_sub(1));
                lowest[j] = lowest[j].min(value);
                highest[j] = highest[j].max(value);
            }
        }
        (self.lowest, self.highest, self.smallest) = (lowest, highest, smallest);
        self.narrow = Narrow { zeros, saturated, flat, sum, step_x, step_y };
    }

    fn widen(&mut self) {
        let narrow = std::mem::replace(&mut self.narrow, EMPTY);
        let bytes = |lanes: [u8; N]| lanes.iter().map(|&lane| u64::from(lane)).sum::<u64>();
        let words = |lanes: [u16; N]| lanes.iter().map(|&lane| u64::from(lane)).sum::<u64>();
        self.zeros += bytes(narrow.zeros);
        self.saturated += bytes(narrow.saturated);
        self.flat += bytes(narrow.flat);
        self.sum += words(narrow.sum);
        self.step_x += words(narrow.step_x);
        self.step_y += words(narrow.step_y);
        self.chunks = 0;
    }

    /// Adds what is left of a row, filled up with pivots, which `total` takes out again.
    #[inline(always)]
    fn add_rest(&mut self, here: &[u8], left: &[u8], above: &[u8]) {
        if here.is_empty() {
            return;
        }
        let filler = self.pivot;
        self.add(&[padded(here, filler)], &[padded(left, filler)], &[padded(above, filler)]);
        self.fillers += (N - here.len()) as u64;
    }
}

#[inline(always)]
fn product(left: &[i16], right: &[i16]) -> f64 {
    let mut result = 0i64;
    for (left, right) in left.chunks(BLOCK).zip(right.chunks(BLOCK)) {
        let products = left.iter().zip(right).map(|(&a, &b)| i32::from(a) * i32::from(b));
        result += i64::from(products.sum::<i32>());
    }
    result as f64
}

#[inline(always)]
fn squares(here: &[u8]) -> u64 {
    let square = |&value: &u8| i32::from(value) * i32::from(value);
    here.chunks(BLOCK).map(|here| here.iter().map(square).sum::<i32>() as u64).sum()
}

impl Value for u8 {
    type Edge = i16;
    type Lanes = Lanes;

    fn lanes(pivot: u8, scale: &Scale) -> Lanes {
        // In whole numbers: a value is at most `low` when it is at most its floor.
        let low = scale.low.floor() - f64::from(scale.offset);
        let high = scale.high.ceil() - f64::from(scale.offset);
        Lanes {
            pivot,
            offset: scale.offset,
            zero: (-scale.offset) as u8,
            low: low.clamp(0.0, 255.0) as u8,
            high: high.clamp(0.0, 255.0) as u8,
            reached: [u8::from(low >= 0.0), u8::from(high <= 255.0)],
            lowest: [u8::MAX; N],
            highest: [u8::MIN; N],
            smallest: [u8::MAX; N],
            narrow: EMPTY,
            chunks: 0,
            zeros: 0,
            saturated: 0,
            flat: 0,
            sum: 0,
            step_x: 0,
            step_y: 0,
            square: 0,
            rows: 0,
            fillers: 0,
            bins: std::array::from_fn(|byte| scale.bin(f32::from(byte as i16 + scale.offset)) as u8),
        }
    }

    #[inline(always)]
    fn visit(rows: &Rows<u8>, lanes: &mut Lanes) -> bool {
        let width = rows.here.len() - 1;
        let (here, here_rest) = rows.here[1..].as_chunks::<N>();
        let (left, left_rest) = rows.here[..width].as_chunks::<N>();
        let (above, above_rest) = rows.above[1..].as_chunks::<N>();
        for ((here, left), above) in here.chunks(CHUNKS).zip(left.chunks(CHUNKS)).zip(above.chunks(CHUNKS)) {
            lanes.add(here, left, above);
        }
        lanes.add_rest(here_rest, left_rest, above_rest);
        lanes.square += squares(&rows.here[1..]);
        lanes.rows += 1;
        rows.here != rows.above
    }

    #[inline(always)]
    fn sharpen(rows: &Rows<u8>, previous: &[i16], edges: &mut [i16]) -> (f64, f64) {
        let inner = edges.len() - 2;
        let (above, below) = (&rows.above[2..][..inner], &rows.below[2..][..inner]);
        let (left, middle, right) =
            (&rows.here[1..][..inner], &rows.here[2..][..inner], &rows.here[3..][..inner]);
        for (i, edge) in edges[1..=inner].iter_mut().enumerate() {
            let around = i16::from(left[i]) + i16::from(right[i]) + i16::from(above[i]) + i16::from(below[i]);
            *edge = 4 * i16::from(middle[i]) - around;
        }
        (product(edges, edges), product(edges, previous))
    }

    fn total(mut lanes: Lanes) -> (f64, Channel) {
        lanes.widen();
        let (pivot, offset) = (lanes.pivot, f64::from(lanes.offset));
        let ends = (u8::from(pivot <= lanes.low) & lanes.reached[0])
            | (u8::from(pivot >= lanes.high) & lanes.reached[1]);
        let smallest = lanes.smallest.iter().copied().fold(u8::MAX, u8::min);
        let channel = Channel {
            zeros: lanes.zeros - u64::from(pivot == lanes.zero) * lanes.fillers,
            saturated: lanes.saturated - u64::from(ends) * lanes.fillers,
            flat: lanes.flat - lanes.fillers - lanes.rows,
            minimum: f64::from(lanes.lowest.iter().copied().fold(u8::MAX, u8::min)) + offset,
            maximum: f64::from(lanes.highest.iter().copied().fold(u8::MIN, u8::max)) + offset,
            sum: (lanes.sum - u64::from(pivot) * lanes.fillers) as f64,
            square: lanes.square as f64,
            step_x: lanes.step_x as f64,
            step_y: lanes.step_y as f64,
            smallest_step: if smallest == u8::MAX { f64::INFINITY } else { f64::from(smallest) + 1.0 },
        };
        (offset, channel)
    }

    #[inline(always)]
    fn tally(here: &[u8], lanes: &Lanes, tables: &mut Tables) {
        for (i, &byte) in here.iter().enumerate() {
            tables[i % 4][usize::from(lanes.bins[usize::from(byte)])] += 1;
        }
    }
}
