//! Foreign memory, read row by row into a buffer of our own.

use crate::byte::read_triples;
use crate::layout::Layout;
use crate::line::Kind;
use crate::source::Source;
use crate::vector::Set;

/// A view of rows x columns x channels elements with strides in bytes.
pub struct Frame<T> {
    base: *const T,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    strides: [isize; 3],
}

impl<T: Source> Frame<T> {
    /// # Safety
    /// Every element that shape and strides reach must be readable as long as the frame lives.
    pub unsafe fn new(base: *const T, shape: [usize; 3], strides: [isize; 3]) -> Self {
        let [height, width, channels] = shape;
        Frame { base, height, width, channels, strides }
    }

    /// Returns how rows are to be buffered: in the order in which they lie in memory.
    pub fn layout<K: Kind>(&self) -> Layout {
        let [_, column, channel] = self.strides.map(isize::unsigned_abs);
        let interleaved = self.channels <= K::MOST_INTERLEAVED && channel <= column;
        let (lines, channels) = if interleaved { (1, self.channels) } else { (self.channels, 1) };
        Layout::new(lines, self.width, channels, K::LANES)
    }

    /// Copies a row into `buffer`. Returns how many elements were not finite.
    #[inline(always)]
    pub fn read_row<S: Set>(&self, row: usize, layout: &Layout, buffer: &mut [T::Value]) -> u64 {
        // SAFETY: `row` is below `height`, so the address lies within the view.
        let start = unsafe { self.base.byte_offset(row as isize * self.strides[0]) };
        if let (3, [_, 3, 1], Some(flipped)) = (layout.lines, self.strides, T::FLIPPED) {
            // SAFETY: three bytes for each of `width` columns lie one after the other, and what is
            // flipped to become a value is a byte.
            unsafe {
                let buffer = std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast(), buffer.len());
                read_triples::<S::Bytes>(start.cast(), flipped, layout, buffer);
            }
            return 0;
        }
        let channels = layout.channels;
        let mut missing = 0;
        for (number, line) in buffer.chunks_exact_mut(layout.stride).enumerate() {
            // SAFETY: `number` is below `channels`.
            let first = unsafe { start.byte_offset(number as isize * self.strides[2]) };
            let (lead, values) = line.split_at_mut(layout.lanes);
            missing += self.read_line(first, channels, &mut values[..layout.length]);
            for (place, &value) in lead[layout.lanes - channels..].iter_mut().zip(values.iter()) {
                *place = value;
            }
        }
        missing
    }

    /// Copies a line; what is not finite becomes 0 and is counted.
    #[inline(always)]
    fn read_line(&self, first: *const T, channels: usize, values: &mut [T::Value]) -> u64 {
        let [_, column, channel] = self.strides;
        let size = size_of::<T>() as isize;
        if column == channels as isize * size && (channel == size || channels == 1) {
            // SAFETY: the line holds as many elements as `values`, without gaps.
            let elements = |i: usize| unsafe { first.add(i).read() };
            // Nearly always everything is finite, and that is answered faster than how much is not.
            let mut finite = true;
            for (i, place) in values.iter_mut().enumerate() {
                *place = elements(i).value();
                finite &= elements(i).is_finite();
            }
            return if finite { 0 } else { copy(elements, values.iter_mut()) };
        }
        let mut missing = 0;
        for i in 0..channels {
            // SAFETY: `i` is below the number of channels, and every place of a column below their number.
            let elements = |place: usize| unsafe {
                first.byte_offset(i as isize * channel + place as isize * column).read()
            };
            missing += copy(elements, values.chunks_exact_mut(channels).map(|column| &mut column[i]));
        }
        missing
    }
}

/// Copies elements by number to `places`. Returns how many were not finite; there stands 0.
#[inline(always)]
fn copy<'a, T: Source>(
    elements: impl Fn(usize) -> T,
    places: impl ExactSizeIterator<Item = &'a mut T::Value>,
) -> u64
where
    T::Value: 'a,
{
    let mut missing = 0;
    for (i, place) in places.enumerate() {
        let element = elements(i);
        let finite = element.is_finite();
        *place = if finite { element.value() } else { T::Value::default() };
        missing += u64::from(!finite);
    }
    missing
}
