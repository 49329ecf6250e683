//! Foreign memory, read row by row into a buffer of our own.

/// What a source element becomes in the buffer.
pub trait Source: Copy {
    type Value: Copy + Default;

    /// Returns the value, and whether it was finite.
    fn convert(self) -> (Self::Value, bool);
}

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

    /// Copies a row into `planes`, one channel after the other, each with its first value twice.
    /// Returns how many elements were not finite.
    #[inline(always)]
    pub fn read_row(&self, row: usize, planes: &mut [T::Value]) -> u64 {
        // SAFETY: `row` is below `height`, so the address lies within the view.
        let start = unsafe { self.base.byte_offset(row as isize * self.strides[0]) };
        let size = size_of::<T>() as isize;
        if self.channels == 3 && self.strides[1] == 3 * size && self.strides[2] == size {
            return self.read_triples(start, planes);
        }
        let mut missing = 0;
        for (channel, plane) in planes.chunks_exact_mut(self.width + 1).enumerate() {
            // SAFETY: `channel` is below `channels`.
            let first = unsafe { start.byte_offset(channel as isize * self.strides[2]) };
            missing += if self.strides[1] == size {
                copy_contiguous(first, &mut plane[1..])
            } else {
                copy_strided(first, self.strides[1], &mut plane[1..])
            };
            plane[0] = plane[1];
        }
        missing
    }

    /// The most common layout of images, apart from the others so that it can be vectorised.
    #[inline(always)]
    fn read_triples(&self, start: *const T, planes: &mut [T::Value]) -> u64 {
        let (first, rest) = planes.split_at_mut(self.width + 1);
        let (second, third) = rest.split_at_mut(self.width + 1);
        let mut missing = 0u32;
        {
            let (first, second, third) = (
                &mut first[1..][..self.width],
                &mut second[1..][..self.width],
                &mut third[1..][..self.width],
            );
            for i in 0..self.width {
                // SAFETY: three channels for each of `width` columns lie one after the other.
                let (a, b, c) = unsafe {
                    (start.add(3 * i).read(), start.add(3 * i + 1).read(), start.add(3 * i + 2).read())
                };
                let (x, y, z) = (a.convert(), b.convert(), c.convert());
                (first[i], second[i], third[i]) = (x.0, y.0, z.0);
                missing += u32::from(!x.1) + u32::from(!y.1) + u32::from(!z.1);
            }
        }
        for plane in [first, second, third] {
            plane[0] = plane[1];
        }
        u64::from(missing)
    }
}

#[inline(always)]
fn copy_contiguous<T: Source>(first: *const T, plane: &mut [T::Value]) -> u64 {
    let mut missing = 0u32;
    for (i, place) in plane.iter_mut().enumerate() {
        // SAFETY: the row holds as many elements as `plane`, without gaps.
        let (value, finite) = unsafe { first.add(i).read() }.convert();
        *place = value;
        missing += u32::from(!finite);
    }
    u64::from(missing)
}

#[inline(always)]
fn copy_strided<T: Source>(first: *const T, stride: isize, plane: &mut [T::Value]) -> u64 {
    let mut missing = 0u64;
    for (i, place) in plane.iter_mut().enumerate() {
        // SAFETY: `i` is below the number of columns.
        let (value, finite) = unsafe { first.byte_offset(i as isize * stride).read() }.convert();
        *place = value;
        missing += u64::from(!finite);
    }
    missing
}

impl Source for f32 {
    type Value = f32;

    #[inline(always)]
    fn convert(self) -> (f32, bool) {
        // The exponent decides, not a comparison, which NaN would answer in its own way.
        let finite = self.to_bits() & 0x7f80_0000 != 0x7f80_0000;
        (if finite { self } else { 0.0 }, finite)
    }
}

/// Bits of an IEEE 754 half-precision number.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Half(pub u16);

impl Source for Half {
    type Value = f32;

    #[inline(always)]
    fn convert(self) -> (f32, bool) {
        let bits = u32::from(self.0);
        let finite = bits & 0x7c00 != 0x7c00;
        // Read as a single-precision number with a far too small exponent, then scaled: this
        // gives subnormal numbers their value as well, exactly.
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((254 - 15) << 23);
        let value = f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16);
        (if finite { value } else { 0.0 }, finite)
    }
}

impl Source for u8 {
    type Value = u8;

    #[inline(always)]
    fn convert(self) -> (u8, bool) {
        (self, true)
    }
}

impl Source for i8 {
    type Value = u8;

    #[inline(always)]
    fn convert(self) -> (u8, bool) {
        (self as u8 ^ 0x80, true)
    }
}
