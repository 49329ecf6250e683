//! Lines of bytes. Every sum is an integer and exact.
//!
//! A signed byte is kept with its sign bit flipped, which adds 128 and keeps the order.

use crate::line::{padded, Kind, Layout, Place, Rows, Scale, Sums, BINS};

const N: usize = 32;
/// So many counts fit into 8 bits, and so many differences of up to 255 into 16.
const MOST: usize = 255;
/// Chunks of a block in each lane.
const BLOCK: usize = 128;

pub struct Bytes;

pub struct Lanes {
    pivot: [u8; N],
    linked: [f64; N],
    neighbours: [f64; N],
    filled: usize,
    offset: i16,
    zero: u8,
    inside: Inside,
    lowest: [u8; N],
    highest: [u8; N],
    /// Smallest step less one, so that no step at all becomes the largest.
    smallest: [u8; N],
    narrow: Narrow,
    /// Chunks that the narrow sums hold, and chunks in all.
    held: usize,
    chunks: u64,
    zeros: [u64; N],
    inner: [u64; N],
    flat: [u64; N],
    sum: [u64; N],
    square: [u64; N],
    step_x: [u64; N],
    step_y: [u64; N],
    edges: [f64; N],
    link: [f64; N],
}

/// The bytes that are not saturated.
#[derive(Clone, Copy)]
struct Inside {
    first: u8,
    /// Last less first; none if there are none.
    extent: Option<u8>,
}

/// Sums that have room for `MOST` chunks.
#[derive(Clone, Copy)]
struct Narrow {
    zeros: [u8; N],
    inner: [u8; N],
    flat: [u8; N],
    sum: [u16; N],
    square: [u32; N],
    step_x: [u16; N],
    step_y: [u16; N],
}

const EMPTY: Narrow = Narrow {
    zeros: [0; N],
    inner: [0; N],
    flat: [0; N],
    sum: [0; N],
    square: [0; N],
    step_x: [0; N],
    step_y: [0; N],
};

impl Inside {
    fn new(scale: &Scale) -> Self {
        // In whole numbers: a value is at most `low` when it is at most its floor.
        let low = scale.low.floor() - f64::from(scale.offset);
        let high = scale.high.ceil() - f64::from(scale.offset);
        let (first, last) = ((low + 1.0).max(0.0), (high - 1.0).min(255.0));
        if first > last {
            return Inside { first: 0, extent: None };
        }
        Inside { first: first as u8, extent: Some((last - first) as u8) }
    }

    fn holds(&self, value: u8) -> bool {
        self.extent.is_some_and(|extent| value.wrapping_sub(self.first) <= extent)
    }
}

impl Lanes {
    /// Adds every `period`-th chunk of values with their left and upper neighbours.
    #[inline(always)]
    fn add(&mut self, here: &[[u8; N]], left: &[[u8; N]], above: &[[u8; N]], period: usize) {
        let count = here.len().div_ceil(period);
        if self.held + count > MOST {
            self.widen();
        }
        self.held += count;
        let Narrow { mut zeros, mut inner, mut flat, mut sum, mut square, mut step_x, mut step_y } = self.narrow;
        let (mut lowest, mut highest, mut smallest) = (self.lowest, self.highest, self.smallest);
        let (zero, first, extent) = (self.zero, self.inside.first, self.inside.extent.unwrap_or(0));
        let neighbours = left.iter().step_by(period).zip(above.iter().step_by(period));
        for (here, (left, above)) in here.iter().step_by(period).zip(neighbours) {
            for j in 0..N {
                let value = here[j];
                let step = value.abs_diff(left[j]);
                sum[j] += u16::from(value);
                square[j] += u32::from(u16::from(value).wrapping_mul(u16::from(value)));
                step_x[j] += u16::from(step);
                step_y[j] += u16::from(value.abs_diff(above[j]));
                zeros[j] += u8::from(value == zero);
                inner[j] += u8::from(value.wrapping_sub(first) <= extent);
                flat[j] += u8::from(step == 0);
                smallest[j] = smallest[j].min(step.wrapping_sub(1));
                lowest[j] = lowest[j].min(value);
                highest[j] = highest[j].max(value);
            }
        }
        (self.lowest, self.highest, self.smallest) = (lowest, highest, smallest);
        self.narrow = Narrow { zeros, inner, flat, sum, square, step_x, step_y };
    }

    fn widen(&mut self) {
        let narrow = std::mem::replace(&mut self.narrow, EMPTY);
        for j in 0..N {
            self.zeros[j] += u64::from(narrow.zeros[j]);
            self.inner[j] += u64::from(narrow.inner[j]);
            self.flat[j] += u64::from(narrow.flat[j]);
            self.sum[j] += u64::from(narrow.sum[j]);
            self.square[j] += u64::from(narrow.square[j]);
            self.step_x[j] += u64::from(narrow.step_x[j]);
            self.step_y[j] += u64::from(narrow.step_y[j]);
        }
        self.chunks += self.held as u64;
        self.held = 0;
    }

    /// Adds every `period`-th chunk of Laplacians and of those of the channel before.
    #[inline(always)]
    fn connect(&mut self, edges: &[[i16; N]], previous: &[[i16; N]], period: usize) -> [[f64; N]; 2] {
        // Squares of up to 1020 each way: a block of them adds up to less than 2^31.
        let (mut square, mut link) = ([0i32; N], [0i32; N]);
        for (edges, previous) in edges.iter().step_by(period).zip(previous.iter().step_by(period)) {
            for j in 0..N {
                square[j] += i32::from(edges[j]) * i32::from(edges[j]);
                link[j] += i32::from(edges[j]) * i32::from(previous[j]);
            }
        }
        let mut tint = [0.0; N];
        let square: [f64; N] = square.map(f64::from);
        for j in 0..N {
            let link = f64::from(link[j]);
            self.edges[j] += square[j];
            self.link[j] += link;
            tint[j] = self.neighbours[j] * square[j] - 2.0 * (self.linked[j] * link);
        }
        [square, tint]
    }
}

impl Kind for Bytes {
    type Value = u8;
    type Edge = i16;
    type Lanes = Lanes;
    type Tally = [[u64; 256]; 4];

    const LANES: usize = N;

    fn lanes(place: &dyn Fn(usize) -> Place<u8>, filled: usize, scale: &Scale) -> Lanes {
        let places: [Place<u8>; N] = std::array::from_fn(place);
        Lanes {
            pivot: places.map(|place| place.pivot),
            linked: places.map(|place| place.linked),
            neighbours: places.map(|place| place.neighbours),
            filled,
            offset: scale.offset,
            zero: (-scale.offset) as u8,
            inside: Inside::new(scale),
            lowest: [u8::MAX; N],
            highest: [u8::MIN; N],
            smallest: [u8::MAX; N],
            narrow: EMPTY,
            held: 0,
            chunks: 0,
            zeros: [0; N],
            inner: [0; N],
            flat: [0; N],
            sum: [0; N],
            square: [0; N],
            step_x: [0; N],
            step_y: [0; N],
            edges: [0.0; N],
            link: [0.0; N],
        }
    }

    #[inline(always)]
    fn visit(rows: &Rows<u8>, layout: &Layout, lanes: &mut [Lanes], edges: &mut [i16]) {
        let (channels, length, period) = (layout.channels, layout.length(), lanes.len());
        let (here, here_rest) = rows.here[N..][..length].as_chunks::<N>();
        let (left, left_rest) = rows.here[N - channels..][..length].as_chunks::<N>();
        let (above, above_rest) = rows.above[N..][..length].as_chunks::<N>();
        for (phase, lanes) in lanes.iter_mut().enumerate() {
            for start in (phase..here.len()).step_by(period * BLOCK) {
                let block = start..here.len().min(start + period * BLOCK);
                lanes.add(&here[block.clone()], &left[block.clone()], &above[block], period);
            }
        }
        if !here_rest.is_empty() {
            let lanes = &mut lanes[here.len() % period];
            let fill = |rest: &[u8]| [padded(rest, &lanes.pivot)];
            let (here, left, above) = (fill(here_rest), fill(left_rest), fill(above_rest));
            lanes.add(&here, &left, &above, 1);
        }
        sharpen(rows, layout, edges);
    }

    #[inline(always)]
    fn connect(edges: &[i16], previous: &[i16], lanes: &mut [Lanes]) -> [f64; 2] {
        let (edges, previous, period) = (edges.as_chunks::<N>().0, previous.as_chunks::<N>().0, lanes.len());
        let (mut squares, mut tints) = ([0.0; N], [0.0; N]);
        for (phase, lanes) in lanes.iter_mut().enumerate() {
            for start in (phase..edges.len()).step_by(period * BLOCK) {
                let block = start..edges.len().min(start + period * BLOCK);
                let [square, tint] = lanes.connect(&edges[block.clone()], &previous[block], period);
                for j in 0..N {
                    squares[j] += square[j];
                    tints[j] += tint[j];
                }
            }
        }
        [squares.iter().sum(), tints.iter().sum()]
    }

    fn total(lanes: &mut Lanes, rows: u64) -> impl Iterator<Item = Sums> {
        lanes.widen();
        let offset = f64::from(lanes.offset);
        (0..N).map(move |j| {
            let pivot = lanes.pivot[j];
            let fillers = if j < lanes.filled { 0 } else { rows };
            let inner = if lanes.inside.extent.is_some() { lanes.inner[j] } else { 0 };
            let smallest = lanes.smallest[j];
            let counted = lanes.chunks - fillers;
            Sums {
                zeros: lanes.zeros[j] - u64::from(pivot == lanes.zero) * fillers,
                saturated: counted - (inner - u64::from(lanes.inside.holds(pivot)) * fillers),
                flat: lanes.flat[j] - fillers,
                minimum: f64::from(lanes.lowest[j]) + offset,
                maximum: f64::from(lanes.highest[j]) + offset,
                sum: (lanes.sum[j] - u64::from(pivot) * fillers) as f64,
                square: (lanes.square[j] - u64::from(pivot).pow(2) * fillers) as f64,
                step_x: lanes.step_x[j] as f64,
                step_y: lanes.step_y[j] as f64,
                smallest_step: if smallest == u8::MAX { f64::INFINITY } else { f64::from(smallest) + 1.0 },
                edges: lanes.edges[j],
                link: lanes.link[j],
            }
        })
    }

    fn origin(_pivot: u8, scale: &Scale) -> f64 {
        f64::from(scale.offset)
    }

    fn tally() -> Self::Tally {
        [[0; 256]; 4]
    }

    #[inline(always)]
    fn count(line: &[u8], _scale: &Scale, tally: &mut Self::Tally) {
        let (fours, rest) = line.as_chunks::<4>();
        for four in fours {
            for (table, byte) in tally.iter_mut().zip(four) {
                table[usize::from(*byte)] += 1;
            }
        }
        for &byte in rest {
            tally[0][usize::from(byte)] += 1;
        }
    }

    fn histogram(tally: &Self::Tally, scale: &Scale) -> [u64; BINS] {
        let mut bins = [0; BINS];
        for byte in 0..256 {
            let count = tally.iter().map(|table| table[byte]).sum::<u64>();
            bins[scale.bin(f32::from(byte as i16 + scale.offset))] += count;
        }
        bins
    }
}

#[inline(always)]
fn sharpen(rows: &Rows<u8>, layout: &Layout, edges: &mut [i16]) {
    let (channels, length) = (layout.channels, layout.grid());
    let edges = &mut edges[N..][..length];
    let (left, middle, right) =
        (&rows.here[N - channels..][..length], &rows.here[N..][..length], &rows.here[N + channels..][..length]);
    let (above, below) = (&rows.above[N..][..length], &rows.below[N..][..length]);
    for i in 0..length {
        let around = i16::from(left[i]) + i16::from(right[i]) + i16::from(above[i]) + i16::from(below[i]);
        edges[i] = 4 * i16::from(middle[i]) - around;
    }
    edges[..channels].fill(0);
    edges[layout.length() - channels..].fill(0);
}
