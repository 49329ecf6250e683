//! What is computed of the rows of a frame, for each kind of number.

use crate::buffer::Number;
use crate::layout::{Layout, Span};

/// The expected range of values.
#[derive(Clone, Copy)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    /// What a buffered byte stands for, less the byte itself.
    pub offset: i16,
}

impl Scale {
    /// Returns the bin of a value.
    #[inline(always)]
    pub fn bin(&self, value: f32) -> usize {
        let factor = (BINS as f64 / (self.high - self.low)) as f32;
        let place = (value - self.low as f32) * factor;
        // `max` also makes 0 of the NaN that infinite distances can give.
        let place = place.max(0.0).min((BINS - 1) as f32);
        // SAFETY: the line above leaves nothing but 0 to 63.
        unsafe { place.to_int_unchecked::<i32>() as usize }
    }
}

/// Three rows one above the other, as `Layout` says.
pub struct Rows<'a, V> {
    pub above: &'a [V],
    pub here: &'a [V],
    pub below: &'a [V],
}

/// What a lane stands for.
#[derive(Clone, Copy)]
pub struct Place<V> {
    /// A value of the channel: squares of distances to it lose less than squares of values.
    pub pivot: V,
    /// 1 if there is a channel before, else 0.
    pub linked: f64,
    /// Number of channels before and behind, of which there is at most one each.
    pub neighbours: f64,
}

/// Sums over all rows, of one lane or of one channel.
#[derive(Clone, Copy)]
pub struct Sums {
    pub zeros: u64,
    pub saturated: u64,
    pub flat: u64,
    pub minimum: f64,
    pub maximum: f64,
    /// Sum of the distances to the origin, and of their squares.
    pub sum: f64,
    pub square: f64,
    pub step_x: f64,
    pub step_y: f64,
    /// Smallest difference to a left neighbour that is not zero; infinite without any.
    pub smallest_step: f64,
    /// Sum of squared Laplacians, and of their products with those of the channel before.
    pub edges: f64,
    pub link: f64,
}

impl Sums {
    pub const EMPTY: Sums = Sums {
        zeros: 0,
        saturated: 0,
        flat: 0,
        minimum: f64::INFINITY,
        maximum: f64::NEG_INFINITY,
        sum: 0.0,
        square: 0.0,
        step_x: 0.0,
        step_y: 0.0,
        smallest_step: f64::INFINITY,
        edges: 0.0,
        link: 0.0,
    };

    pub fn add(&mut self, other: &Sums) {
        self.zeros += other.zeros;
        self.saturated += other.saturated;
        self.flat += other.flat;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.sum += other.sum;
        self.square += other.square;
        self.step_x += other.step_x;
        self.step_y += other.step_y;
        self.smallest_step = self.smallest_step.min(other.smallest_step);
        self.edges += other.edges;
        self.link += other.link;
    }

    /// Whether no sum was too large for its type.
    pub fn is_finite(&self) -> bool {
        [self.sum, self.square, self.step_x, self.step_y, self.edges, self.link]
            .iter()
            .all(|sum| sum.is_finite())
    }
}

/// A kind of number, and how a line of it is measured in lanes: they run side by side, so that
/// they vectorise without leave to reorder.
pub trait Kind {
    type Value: Number;
    type Edge: Number;
    /// Sums of a chunk of lanes.
    type Lanes;
    /// How often which value occurs.
    type Tally;

    const LANES: usize;
    /// Channels that may stay interleaved.
    const MOST_INTERLEAVED: usize;

    /// Returns empty sums of lanes that stand for what `place` says. Lanes that the last chunk of a
    /// line leaves empty get their pivot.
    fn lanes(place: &dyn Fn(usize) -> Place<Self::Value>, span: Span, scale: &Scale) -> Self::Lanes;

    /// Adds a row; `lanes` has, line by line, an item for each chunk of a period, and `edges` room for the
    /// Laplacians of a row behind a line of zeros. Returns the sum of the squared Laplacians, that of the
    /// squares of their differences to the channel before, and that of the differences to the row above.
    fn visit(
        rows: &Rows<Self::Value>,
        layout: &Layout,
        lanes: &mut [Self::Lanes],
        edges: &mut [Self::Edge],
    ) -> [f64; 3];

    /// Returns the sums of every lane over `rows` rows.
    fn total(lanes: &mut Self::Lanes, rows: u64) -> impl Iterator<Item = Sums>;

    /// Returns the number that distances of `pivot` were taken from.
    fn origin(pivot: Self::Value, scale: &Scale) -> f64;

    fn tally() -> Self::Tally;
    fn count(line: &[Self::Value], scale: &Scale, tally: &mut Self::Tally);
    fn histogram(tally: &Self::Tally, scale: &Scale) -> [u64; BINS];
}

pub const BINS: usize = 64;
