//! What is computed of one row of one channel, for each kind of buffered value.

/// Sums over all rows of one channel.
#[derive(Default)]
pub struct Channel {
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
}

/// The expected range of values.
#[derive(Clone, Copy)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    /// What a buffered byte stands for, less the byte itself.
    pub offset: i16,
}

/// Three rows one above the other. A plane has one more value on its left: the first one again.
pub struct Rows<'a, V> {
    pub above: &'a [V],
    pub here: &'a [V],
    pub below: &'a [V],
}

/// A kind of buffered value.
pub trait Value: Copy + Default {
    type Edge: Copy + Default;
    /// Sums in lanes that run side by side, so that they vectorise without leave to reorder.
    type Lanes;

    /// Returns empty sums. `pivot` is a value of the channel: squares of distances to it lose less
    /// than squares of the values themselves.
    fn lanes(pivot: Self, scale: &Scale) -> Self::Lanes;

    /// Adds a row; returns whether it differs from the row above.
    fn visit(rows: &Rows<Self>, lanes: &mut Self::Lanes) -> bool;

    /// Writes the Laplacians of a row of at least three columns, except the first and the last.
    /// Returns the sums of their squares and of their products with those of the channel before.
    fn sharpen(rows: &Rows<Self>, previous: &[Self::Edge], edges: &mut [Self::Edge]) -> (f64, f64);

    /// Returns the sums together with the number that distances were taken from.
    fn total(lanes: Self::Lanes) -> (f64, Channel);

    /// Counts a row into the bins; four tables, so that equal neighbours do not wait for each other.
    fn tally(here: &[Self], lanes: &Self::Lanes, tables: &mut Tables);
}

pub const BINS: usize = 64;
pub type Tables = [[u64; BINS]; 4];

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

/// Returns a chunk that begins with `values` and goes on with `filler`.
#[inline(always)]
pub fn padded<V: Copy, const N: usize>(values: &[V], filler: V) -> [V; N] {
    let mut chunk = [filler; N];
    chunk[..values.len()].copy_from_slice(values);
    chunk
}
