//! Lines of floating-point numbers.
//!
//! Sums move to double precision after every block, before rounding can add up.

use std::marker::PhantomData;

use crate::layout::{Layout, Span};
use crate::line::{Kind, Place, Rows, Scale, Sums, BINS};
use crate::vector::{Counts, Floats, Wide, N};

/// Chunks of a block in each lane.
const BLOCK: usize = 16;
/// After so many chunks counts in lanes move to where there is more room.
const MOST: u64 = 1 << 31;

/// Numbers that are added up in their own precision for the length of a block.
pub struct Reals<V>(PhantomData<V>);

pub struct Lanes<R> {
    pivot: [R; N],
    linked: [f64; N],
    neighbours: [f64; N],
    span: Span,
    low: R,
    high: R,
    lowest: [R; N],
    highest: [R; N],
    smallest: [R; N],
    chunks: u64,
    /// Elements that are not 0, that are not saturated, and steps that are not 0.
    counts: [[u32; N]; 3],
    /// What `counts` held before it was emptied at `flushed` chunks.
    totals: [[u64; N]; 3],
    flushed: u64,
    sum: [f64; N],
    square: [f64; N],
    step_x: [f64; N],
    step_y: [f64; N],
    /// What the present line adds to it.
    line_step_y: [f64; N],
    edges: [f64; N],
    link: [f64; N],
}

/// Chunks of a line with their neighbours, and where their Laplacians go.
struct Chunks<R> {
    here: *const [R; N],
    left: *const [R; N],
    right: *const [R; N],
    above: *const [R; N],
    below: *const [R; N],
    edges: *mut [R; N],
}

impl<R: Copy> Chunks<R> {
    /// # Safety
    /// The pointers must reach as many chunks as are asked for.
    #[inline(always)]
    unsafe fn skip(&self, chunks: usize) -> Self {
        Chunks {
            here: self.here.add(chunks),
            left: self.left.add(chunks),
            right: self.right.add(chunks),
            above: self.above.add(chunks),
            below: self.below.add(chunks),
            edges: self.edges.add(chunks),
        }
    }

    /// Writes the Laplacians of one chunk.
    ///
    /// # Safety
    /// The pointers must reach one chunk.
    #[inline(always)]
    unsafe fn sharpen<V: Floats<Real = R>>(&self) {
        let [left, right, above, below] =
            [self.left, self.right, self.above, self.below].map(|chunk| V::load(&*chunk));
        let four = V::load(&*self.here).times(V::all(V::real(4.0)));
        four.minus(left).minus(right).minus(above).minus(below).store(&mut *self.edges);
    }
}

impl<R: Copy> Lanes<R> {
    /// Adds every `period`-th of up to a block of chunks.
    ///
    /// # Safety
    /// The pointers must reach all of them.
    #[inline(always)]
    unsafe fn add<V: Floats<Real = R>>(&mut self, chunks: &Chunks<R>, count: usize, period: usize) {
        let zero = V::all(V::real(0.0));
        let (pivot, low, high) = (V::load(&self.pivot), V::all(self.low), V::all(self.high));
        let (mut sum, mut square, mut step_x, mut step_y) = (zero, zero, zero, zero);
        let mut lowest = V::load(&self.lowest);
        let mut highest = V::load(&self.highest);
        let mut smallest = V::load(&self.smallest);
        let [mut nonzero, mut between, mut moved] = self.counts.each_ref().map(V::Counts::load);
        for k in 0..count {
            let chunks = chunks.skip(k * period);
            chunks.sharpen::<V>();
            let value = V::load(&*chunks.here);
            let distance = value.minus(pivot);
            sum = sum.plus(distance);
            square = square.plus(distance.times(distance));
            let step = value.minus(V::load(&*chunks.left)).magnitude();
            step_x = step_x.plus(step);
            step_y = step_y.plus(value.minus(V::load(&*chunks.above)).magnitude());
            moved = step.count_unless_zero(moved);
            smallest = step.lesser_unless_zero(smallest);
            lowest = value.lesser(lowest);
            highest = value.greater(highest);
            nonzero = value.count_unless_zero(nonzero);
            between = value.count_between(low, high, between);
        }
        lowest.store(&mut self.lowest);
        highest.store(&mut self.highest);
        smallest.store(&mut self.smallest);
        accumulate(sum, &mut self.sum);
        accumulate(square, &mut self.square);
        accumulate(step_x, &mut self.step_x);
        accumulate(step_y, &mut self.line_step_y);
        for (count, counts) in [nonzero, between, moved].into_iter().zip(&mut self.counts) {
            count.store(counts);
        }
        self.chunks += count as u64;
        if self.chunks - self.flushed > MOST {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (total, count) in self.totals.iter_mut().flatten().zip(self.counts.iter_mut().flatten()) {
            *total += u64::from(std::mem::take(count));
        }
        self.flushed = self.chunks;
    }

    /// Adds the last chunk of a line, of which only the first `length` elements count.
    ///
    /// # Safety
    /// The pointers must reach one chunk.
    #[inline(always)]
    unsafe fn add_rest<V: Floats<Real = R>>(&mut self, chunks: &Chunks<R>, length: usize) {
        chunks.sharpen::<V>();
        let filled = |chunk: *const [R; N]| -> [R; N] {
            std::array::from_fn(|j| if j < length { (*chunk)[j] } else { self.pivot[j] })
        };
        let [here, left, above] = [chunks.here, chunks.left, chunks.above].map(filled);
        let mut edges = here;
        let filled =
            Chunks { here: &here, left: &left, right: &here, above: &above, below: &here, edges: &mut edges };
        self.add::<V>(&filled, 1, 1);
    }

    /// Adds every `period`-th chunk of a line.
    ///
    /// # Safety
    /// The pointers must reach all of them.
    #[inline(always)]
    unsafe fn add_line<V: Floats<Real = R>>(&mut self, chunks: &Chunks<R>, period: usize) {
        let whole = self.span.chunks - usize::from(self.span.filled < N);
        let mut done = 0;
        while done < whole {
            let count = BLOCK.min(whole - done);
            self.add::<V>(&chunks.skip(done * period), count, period);
            done += count;
        }
        if whole < self.span.chunks {
            self.add_rest::<V>(&chunks.skip(whole * period), self.span.filled);
        }
    }

    /// Returns the differences of the present line to the one above, for each lane, and adds them up.
    #[inline(always)]
    fn end_line<V: Floats<Real = R>>(&mut self) -> V::Wide {
        let steps = V::Wide::load(&self.line_step_y);
        V::Wide::load(&self.step_y).plus(steps).store(&mut self.step_y);
        self.line_step_y = [0.0; N];
        steps
    }

    /// Adds every `period`-th chunk of the Laplacians of a line, from `first` on, with those of the
    /// channel before. Returns, for each lane, their squares and what they add to the squares of
    /// the differences between both.
    ///
    /// # Safety
    /// The pointers must reach all chunks of the line.
    #[inline(always)]
    unsafe fn connect_line<V: Floats<Real = R>>(
        &mut self,
        edges: *const [R; N],
        previous: *const [R; N],
        first: usize,
        period: usize,
    ) -> (V::Wide, V::Wide) {
        let none = V::Wide::load(&[0.0; N]);
        let (mut squares, mut links) = (none, none);
        let mut done = 0;
        while done < self.span.chunks {
            let count = BLOCK.min(self.span.chunks - done);
            let (mut square, mut link) = (V::all(V::real(0.0)), V::all(V::real(0.0)));
            for k in done..done + count {
                let edge = V::load(&*edges.add(first + k * period));
                square = square.plus(edge.times(edge));
                link = link.plus(edge.times(V::load(&*previous.add(first + k * period))));
            }
            (squares, links) = (squares.plus(square.wide()), links.plus(link.wide()));
            done += count;
        }
        V::Wide::load(&self.edges).plus(squares).store(&mut self.edges);
        V::Wide::load(&self.link).plus(links).store(&mut self.link);
        let linked = links.times(V::Wide::load(&self.linked));
        let tints = squares.times(V::Wide::load(&self.neighbours)).minus(linked.plus(linked));
        (squares, tints)
    }
}

#[inline(always)]
fn accumulate<V: Floats>(lanes: V, totals: &mut [f64; N]) {
    V::Wide::load(totals).plus(lanes.wide()).store(totals);
}

impl<V: Floats> Kind for Reals<V> {
    type Value = V::Real;
    type Edge = V::Real;
    type Lanes = Lanes<V::Real>;
    type Tally = [[u64; BINS]; 4];

    const LANES: usize = N;
    const MOST_INTERLEAVED: usize = 8;

    fn lanes(place: &dyn Fn(usize) -> Place<V::Real>, span: Span, scale: &Scale) -> Lanes<V::Real> {
        let places: [Place<V::Real>; N] = std::array::from_fn(place);
        Lanes {
            pivot: places.map(|place| place.pivot),
            linked: places.map(|place| place.linked),
            neighbours: places.map(|place| place.neighbours),
            span,
            low: V::real(scale.low as f32),
            high: V::real(scale.high as f32),
            lowest: [V::real(f32::INFINITY); N],
            highest: [V::real(f32::NEG_INFINITY); N],
            smallest: [V::real(f32::INFINITY); N],
            chunks: 0,
            counts: [[0; N]; 3],
            totals: [[0; N]; 3],
            flushed: 0,
            sum: [0.0; N],
            square: [0.0; N],
            step_x: [0.0; N],
            step_y: [0.0; N],
            line_step_y: [0.0; N],
            edges: [0.0; N],
            link: [0.0; N],
        }
    }

    #[inline(always)]
    fn visit(
        rows: &Rows<V::Real>,
        layout: &Layout,
        lanes: &mut [Lanes<V::Real>],
        edges: &mut [V::Real],
    ) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for (line, lanes) in lanes.chunks_exact_mut(layout.period).enumerate() {
            let found = visit_line::<V>(rows, layout, line, lanes, edges);
            sums = std::array::from_fn(|i| sums[i] + found[i]);
        }
        sums
    }

    fn total(lanes: &mut Lanes<V::Real>, rows: u64) -> impl Iterator<Item = Sums> {
        let single = |value: V::Real| -> f64 { value.into() };
        lanes.flush();
        (0..N).map(move |j| {
            let pivot = lanes.pivot[j];
            let fillers = if j < lanes.span.filled { 0 } else { rows };
            let [nonzero, between, moved] = lanes.totals.map(|total| total[j]);
            let counted = lanes.chunks - fillers;
            Sums {
                zeros: counted - (nonzero - u64::from(pivot != V::real(0.0)) * fillers),
                saturated: counted
                    - (between - u64::from((pivot > lanes.low) & (pivot < lanes.high)) * fillers),
                flat: counted - moved,
                minimum: single(lanes.lowest[j]),
                maximum: single(lanes.highest[j]),
                sum: lanes.sum[j],
                square: lanes.square[j],
                step_x: lanes.step_x[j],
                step_y: lanes.step_y[j],
                smallest_step: single(lanes.smallest[j]),
                edges: lanes.edges[j],
                link: lanes.link[j],
            }
        })
    }

    fn origin(pivot: V::Real, _scale: &Scale) -> f64 {
        pivot.into()
    }

    fn tally() -> Self::Tally {
        [[0; BINS]; 4]
    }

    #[inline(always)]
    fn count(line: &[V::Real], scale: &Scale, tally: &mut Self::Tally) {
        let mut bins = [0u8; N * BLOCK];
        for values in line.chunks(bins.len()) {
            for (bin, &value) in bins.iter_mut().zip(values) {
                *bin = scale.bin(V::single(value)) as u8;
            }
            let (fours, rest) = bins[..values.len()].as_chunks::<4>();
            for four in fours {
                for (table, bin) in tally.iter_mut().zip(four) {
                    table[usize::from(*bin) % BINS] += 1;
                }
            }
            for &bin in rest {
                tally[0][usize::from(bin)] += 1;
            }
        }
    }

    fn histogram(tally: &Self::Tally, _scale: &Scale) -> [u64; BINS] {
        std::array::from_fn(|bin| tally.iter().map(|table| table[bin]).sum())
    }
}

#[inline(always)]
fn visit_line<V: Floats>(
    rows: &Rows<V::Real>,
    layout: &Layout,
    line: usize,
    lanes: &mut [Lanes<V::Real>],
    row: &mut [V::Real],
) -> [f64; 3] {
    let (channels, period, start) = (layout.channels, layout.period, (line + 1) * layout.stride + N);
    let cut = |row: &[V::Real], first: usize| -> *const [V::Real; N] {
        row[line * layout.stride + first..][..layout.grid].as_ptr().cast()
    };
    let chunks = Chunks {
        here: cut(rows.here, N),
        left: cut(rows.here, N - channels),
        right: cut(rows.here, N + channels),
        above: cut(rows.above, N),
        below: cut(rows.below, N),
        edges: row[start..][..layout.grid].as_mut_ptr().cast(),
    };
    let none = V::Wide::load(&[0.0; N]);
    let mut steps = none;
    for (phase, lanes) in lanes.iter_mut().enumerate() {
        // SAFETY: the pointers reach every chunk that the line begins.
        unsafe { lanes.add_line::<V>(&chunks.skip(phase), period) };
        steps = steps.plus(lanes.end_line::<V>());
    }
    clear::<V>(layout, &mut row[start - N..]);
    let previous = row[start - layout.to_next_channel..][..layout.grid].as_ptr().cast();
    let (mut squares, mut tints) = (none, none);
    for (phase, lanes) in lanes.iter_mut().enumerate() {
        // SAFETY: as above, and `previous` reaches as far.
        let (square, tint) = unsafe { lanes.connect_line::<V>(chunks.edges, previous, phase, period) };
        (squares, tints) = (squares.plus(square), tints.plus(tint));
    }
    [total(squares), total(tints), total(steps)]
}

/// Writes zeros for the first and the last column of a line, and behind it.
#[inline(always)]
fn clear<V: Floats>(layout: &Layout, edges: &mut [V::Real]) {
    let last = N + layout.length - layout.channels;
    for start in [layout.channels, last, last.max(layout.grid)] {
        if let Some(chunk) = edges[start..].first_chunk_mut() {
            V::all(V::real(0.0)).store(chunk);
        }
    }
}

/// Returns the sum of all lanes, in an order that is the same everywhere.
#[inline(always)]
fn total<W: Wide>(lanes: W) -> f64 {
    let mut sums = [0.0; N];
    lanes.store(&mut sums);
    let mut half = N / 2;
    while half > 0 {
        for j in 0..half {
            sums[j] += sums[j + half];
        }
        half /= 2;
    }
    sums[0]
}
