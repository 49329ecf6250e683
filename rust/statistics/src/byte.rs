//! Lines of bytes, one channel each. Every sum is an integer and exact.
//!
//! A signed byte is kept with its sign bit flipped, which adds 128 and keeps the order.

use std::marker::PhantomData;

use crate::layout::{Layout, Span};
use crate::line::{Kind, Place, Rows, Scale, Sums, BINS};
use crate::vector::{Bytes, Whole, WholeSums, MOST_PRODUCTS};

/// Bytes that are added up in vectors B.
pub struct Octets<B>(PhantomData<B>);

pub struct Lanes<B: Bytes> {
    pivot: u8,
    /// Whether there is a channel before, and how many there are before and behind.
    is_linked: bool,
    neighbours: usize,
    filled: usize,
    offset: i16,
    inside: Inside,
    /// In every byte: the pivot, what stands for 0, and the first and the extent of what is not saturated.
    pivots: B,
    zero: B,
    from: B,
    extent: B,
    /// Which bytes of the first and of the last chunk have a Laplacian, and which of the last exist.
    first: B,
    last: B,
    exist: B,
    lowest: B,
    highest: B,
    smallest: B,
    /// Zeros, bytes that are not saturated, and steps that are not 0, of the chunks held.
    counts: [B::Counts; 3],
    sum: B::Sums,
    step_x: B::Sums,
    squares: B::Products,
    held: usize,
    chunks: u64,
    /// What was held before: of the counts, and of the sums and squares.
    counted: [i64; 3],
    summed: [i64; 3],
    step_y: B::Whole,
    edges: B::Whole,
    link: B::Whole,
}

/// The bytes that are not saturated.
#[derive(Clone, Copy)]
struct Inside {
    first: u8,
    /// Last less first; none if there are none.
    extent: Option<u8>,
}

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

impl<B: Bytes> Lanes<B> {
    /// Adds up to `MOST_PRODUCTS` chunks of a line. Returns the sums of squared Laplacians, of their products
    /// with those of the channel before, and of the differences to the row above.
    ///
    /// # Safety
    /// The pointers must reach all chunks of the line, and one element to either side.
    #[inline(always)]
    unsafe fn add(&mut self, line: &Line, chunks: std::ops::Range<usize>) -> [B::Whole; 3] {
        if self.held + chunks.len() > MOST_PRODUCTS {
            self.flush();
        }
        self.held += chunks.len();
        let (zero, none, from, extent) = (self.zero, B::all(0), self.from, self.extent);
        let (mut lowest, mut highest, mut smallest) = (self.lowest, self.highest, self.smallest);
        let [mut zeros, mut between, mut moved] = self.counts;
        let (mut sum, mut step_x, mut squares) = (self.sum, self.step_x, self.squares);
        let (mut square, mut link) = (B::Products::none(), B::Products::none());
        let mut step_y = B::Differences::none();
        for k in chunks {
            let at = k * B::SIZE;
            let mut here = B::load(line.here.add(at));
            let mut left = B::load(line.here.add(at).sub(1));
            let mut above = B::load(line.above.add(at));
            let right = B::load(line.here.add(at + 1));
            let below = B::load(line.below.add(at));
            let is_last = k + 1 == line.count;
            let mut edges = here.laplacian([left, right, above, below]);
            if k == 0 {
                edges = B::only(edges, self.first);
            }
            if is_last {
                edges = B::only(edges, self.last);
            }
            B::store_words(edges, line.edges.add(at));
            square = B::add_products(edges, edges, square);
            link = B::add_products(edges, B::load_words(line.edges.add(at).sub(line.back)), link);
            if is_last {
                [here, left, above] = [here, left, above].map(|chunk| chunk.or(self.pivots, self.exist));
            }
            let step = here.apart(left);
            sum = here.add_to(sum);
            squares = here.add_squares(squares);
            step_x = step.add_to(step_x);
            step_y = here.add_apart(above, step_y);
            moved = step.count_unless_zero(moved);
            smallest = step.lesser_unless_zero(smallest);
            zeros = here.count_from(zero, none, zeros);
            between = here.count_from(from, extent, between);
            lowest = lowest.lesser(here);
            highest = highest.greater(here);
        }
        (self.lowest, self.highest, self.smallest) = (lowest, highest, smallest);
        self.counts = [zeros, between, moved];
        (self.sum, self.step_x, self.squares) = (sum, step_x, squares);
        [B::whole(square), B::whole(link), B::whole_differences(step_y)]
    }

    /// Adds a line; returns what `add` does, for all of it.
    #[inline(always)]
    fn add_line(&mut self, line: &Line) -> [B::Whole; 3] {
        let mut sums = [B::Whole::none(); 3];
        for start in (0..line.count).step_by(MOST_PRODUCTS) {
            // SAFETY: `Line::new` looked at the lengths.
            let found = unsafe { self.add(line, start..line.count.min(start + MOST_PRODUCTS)) };
            sums = std::array::from_fn(|i| sums[i].plus(found[i]));
        }
        let [square, link, step] = sums;
        self.edges = self.edges.plus(square);
        self.link = self.link.plus(link);
        self.step_y = self.step_y.plus(step);
        sums
    }

    fn flush(&mut self) {
        for (counted, counts) in self.counted.iter_mut().zip(&mut self.counts) {
            *counted += std::mem::replace(counts, B::Counts::none()).total();
        }
        let [sum, step_x, square] = &mut self.summed;
        *sum += std::mem::replace(&mut self.sum, B::Sums::none()).total();
        *step_x += std::mem::replace(&mut self.step_x, B::Sums::none()).total();
        *square += std::mem::replace(&mut self.squares, B::Products::none()).total();
        self.chunks += self.held as u64;
        self.held = 0;
    }
}

/// Where a line of `count` chunks and its neighbours begin, and where its Laplacians go: those of
/// the channel before are `back` elements before.
struct Line {
    here: *const u8,
    above: *const u8,
    below: *const u8,
    edges: *mut i16,
    back: usize,
    count: usize,
}

impl Line {
    #[inline(always)]
    fn new(rows: &Rows<u8>, layout: &Layout, number: usize, edges: &mut [i16]) -> Line {
        let (stride, lanes, grid) = (layout.stride, layout.lanes, layout.grid);
        // The line, and one byte on either side.
        let cut = |row: &[u8]| row[number * stride + lanes - 1..][..grid + 2].as_ptr().wrapping_add(1);
        let (start, back) = ((number + 1) * stride + lanes, layout.to_next_channel);
        assert!(back <= start && start + grid <= edges.len());
        Line {
            here: cut(rows.here),
            above: cut(rows.above),
            below: cut(rows.below),
            edges: edges.as_mut_ptr().wrapping_add(start),
            back,
            count: grid / lanes,
        }
    }
}

/// Returns a chunk of 255 for the numbers in a range, of 0 for others.
fn mask<B: Bytes>(numbers: std::ops::Range<usize>) -> B {
    let bytes: Vec<u8> = (0..B::SIZE).map(|j| if numbers.contains(&j) { 255 } else { 0 }).collect();
    // SAFETY: there are as many bytes as a chunk has.
    unsafe { B::load(bytes.as_ptr()) }
}

impl<B: Bytes> Kind for Octets<B> {
    type Value = u8;
    type Edge = i16;
    type Lanes = Lanes<B>;
    type Tally = [[u64; 256]; 4];

    const LANES: usize = B::SIZE;
    const MOST_INTERLEAVED: usize = 1;

    fn lanes(place: &dyn Fn(usize) -> Place<u8>, span: Span, scale: &Scale) -> Lanes<B> {
        let filled = span.filled;
        let (place, inside) = (place(0), Inside::new(scale));
        Lanes {
            pivot: place.pivot,
            is_linked: place.linked > 0.0,
            neighbours: place.neighbours as usize,
            filled,
            offset: scale.offset,
            inside,
            pivots: B::all(place.pivot),
            zero: B::all((-scale.offset) as u8),
            from: B::all(inside.first),
            extent: B::all(inside.extent.unwrap_or(0)),
            first: mask(1..B::SIZE),
            last: mask(0..filled - 1),
            exist: mask(0..filled),
            lowest: B::all(u8::MAX),
            highest: B::all(u8::MIN),
            smallest: B::all(u8::MAX),
            counts: [B::Counts::none(); 3],
            sum: B::Sums::none(),
            step_x: B::Sums::none(),
            squares: B::Products::none(),
            held: 0,
            chunks: 0,
            counted: [0; 3],
            summed: [0; 3],
            step_y: B::Whole::none(),
            edges: B::Whole::none(),
            link: B::Whole::none(),
        }
    }

    #[inline(always)]
    fn visit(rows: &Rows<u8>, layout: &Layout, lanes: &mut [Lanes<B>], edges: &mut [i16]) -> [f64; 3] {
        let none = B::Whole::none();
        let (mut squares, mut tints, mut steps) = (none, none, none);
        for (number, lanes) in lanes.iter_mut().enumerate() {
            let [square, link, step] = lanes.add_line(&Line::new(rows, layout, number, edges));
            squares = squares.plus(square);
            steps = steps.plus(step);
            if lanes.neighbours > 0 {
                tints = tints.plus(square);
            }
            if lanes.neighbours > 1 {
                tints = tints.plus(square);
            }
            if lanes.is_linked {
                tints = tints.minus(link.plus(link));
            }
        }
        [squares, tints, steps].map(|sums| sums.total() as f64)
    }

    fn total(lanes: &mut Lanes<B>, rows: u64) -> impl Iterator<Item = Sums> {
        lanes.flush();
        let (pivot, offset) = (lanes.pivot, f64::from(lanes.offset));
        let fillers = (B::SIZE - lanes.filled) as u64 * rows;
        let counted = B::SIZE as u64 * lanes.chunks - fillers;
        let [zeros, between, moved] = lanes.counted.map(|count| count as u64);
        let [sum, step_x, square] = lanes.summed;
        let square = square + B::SQUARES_LACK * sum;
        let between = if lanes.inside.extent.is_some() { between } else { 0 };
        let smallest = lanes.smallest.lowest();
        let moved_at_all = moved > 0;
        std::iter::once(Sums {
            zeros: zeros - u64::from(i16::from(pivot) == -lanes.offset) * fillers,
            saturated: counted - (between - u64::from(lanes.inside.holds(pivot)) * fillers),
            flat: counted - moved,
            minimum: f64::from(lanes.lowest.lowest()) + offset,
            maximum: f64::from(lanes.highest.highest()) + offset,
            sum: (sum as u64 - u64::from(pivot) * fillers) as f64,
            square: (square as u64 - u64::from(pivot).pow(2) * fillers) as f64,
            step_x: step_x as f64,
            step_y: lanes.step_y.total() as f64,
            smallest_step: if moved_at_all { f64::from(smallest) } else { f64::INFINITY },
            edges: lanes.edges.total() as f64,
            link: lanes.link.total() as f64,
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

/// Copies three interleaved channels to a line each.
///
/// # Safety
/// Three bytes for each column must be readable.
#[inline(always)]
pub unsafe fn read_triples<B: Bytes>(from: *const u8, flipped: u8, layout: &Layout, buffer: &mut [u8]) {
    let width = layout.columns;
    assert!(buffer.len() == 3 * layout.stride && width <= layout.grid);
    let lines = [0, 1, 2].map(|c| buffer.as_mut_ptr().add(c * layout.stride + layout.lanes));
    let mut first = 0;
    while first < width && width >= B::SIZE {
        // Some columns once more rather than the last ones by themselves.
        first = first.min(width - B::SIZE);
        let triples = B::load_triples(from.add(3 * first));
        for c in 0..3 {
            triples[c].flipped(B::all(flipped)).store(lines[c].add(first));
        }
        first += B::SIZE;
    }
    for i in 3 * first..3 * width {
        *lines[i % 3].add(i / 3) = *from.add(i) ^ flipped;
    }
    for line in lines {
        *line.sub(1) = *line;
    }
}
