//! The functions for Python.

use crate::extremes::extremes as extremes_of;
use crate::features::{self, Measured};
use crate::frame::Frame;
use crate::line::Scale;
use crate::pass::{self, Summary};
use crate::source::{Half, Source};
use crate::usual::{Joint, Side, Tails, Usual};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Which numbers a summary holds, in which order: the suite of modelkeep.guard.summary.
const SUITE: u32 = 2;
/// What a buffered byte of int8 stands for, less the byte itself.
const SIGNED: i16 = -128;
/// Numbers that describe one side of a feature.
const OF_SIDE: usize = 6;

/// Frames that lie one behind the other in foreign memory.
struct Frames<T> {
    base: *const T,
    count: usize,
    apart: isize,
    shape: [usize; 3],
    strides: [isize; 3],
}

impl<T: Source> Frames<T> {
    /// Takes a buffer [frames, rows, columns, channels], or [rows, columns, channels] for a single one.
    fn of<E: Element>(buffer: &PyBuffer<E>) -> PyResult<Self> {
        let (shape, strides) = (buffer.shape(), buffer.strides());
        let first = shape.len().saturating_sub(3);
        let own = <[usize; 3]>::try_from(&shape[first..]);
        let steps = <[isize; 3]>::try_from(&strides[first..]);
        let (Ok(own), Ok(steps), true) = (own, steps, first < 2) else {
            return Err(PyValueError::new_err("a frame has three dimensions"));
        };
        if own.contains(&0) || buffer.suboffsets().is_some() {
            return Err(PyValueError::new_err("a frame has no empty dimensions"));
        }
        let (count, apart) = if first == 1 { (shape[0], strides[0]) } else { (1, 0) };
        Ok(Frames { base: buffer.buf_ptr().cast(), count, apart, shape: own, strides: steps })
    }

    /// Measures one of the frames.
    ///
    /// # Safety
    /// The buffer that the frames were made of is held, every bit pattern of its elements is a value of T,
    /// which has their size and alignment, and `place` is below `count`.
    unsafe fn summary(&self, place: usize, scale: &Scale, histogram_step: usize) -> Summary {
        let base = self.base.byte_offset(place as isize * self.apart);
        let frame = Frame::<T>::new(base, self.shape, self.strides);
        let summary = pass::summarize(&frame, scale, histogram_step);
        if summary.is_exact {
            return summary;
        }
        // T::Wide is read as T is.
        let frame = Frame::<T::Wide>::new(base.cast(), self.shape, self.strides);
        pass::summarize(&frame, scale, histogram_step)
    }
}

fn check_range(scale: &Scale) -> PyResult<()> {
    if scale.low >= scale.high || !scale.low.is_finite() || !scale.high.is_finite() {
        return Err(PyValueError::new_err("a range has a low end below its high end"));
    }
    Ok(())
}

fn measure<'py, E: Element, T: Source>(
    py: Python<'py>,
    buffer: &PyBuffer<E>,
    scale: Scale,
    histogram_step: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    let frames = Frames::<T>::of(buffer)?;
    check_range(&scale)?;
    if frames.count != 1 || histogram_step == 0 {
        return Err(PyValueError::new_err("one frame, and one row of the histogram at least"));
    }
    // SAFETY: Python vouches for shape and strides as long as `buffer` is held; callers pair E with its T.
    to_tuple(py, unsafe { frames.summary(0, &scale, histogram_step) })
}

fn to_tuple(py: Python<'_>, summary: Summary) -> PyResult<Bound<'_, PyTuple>> {
    let Summary { count, not_finite, zeros, saturated, stuck_rows, .. } = summary;
    let Summary { smallest_step, peak_edges, peak_tint, peak_step, seam, .. } = summary;
    let counts = [count, not_finite, zeros, saturated, stuck_rows];
    let mut items: Vec<Bound<'_, PyAny>> = Vec::with_capacity(20);
    for number in counts {
        items.push(number.into_pyobject(py)?.into_any());
    }
    for number in [smallest_step, peak_edges, peak_tint, peak_step, seam] {
        items.push(number.into_pyobject(py)?.into_any());
    }
    items.push(summary.histogram.into_pyobject(py)?);
    for numbers in [summary.minimum, summary.maximum, summary.mean, summary.variance] {
        items.push(numbers.into_pyobject(py)?);
    }
    for numbers in [summary.step_x, summary.step_y, summary.laplacian] {
        items.push(numbers.into_pyobject(py)?);
    }
    items.push(summary.flat.into_pyobject(py)?);
    items.push(summary.link.into_pyobject(py)?);
    PyTuple::new(py, items)
}

/// Statistics of float32 [rows, columns, channels].
#[pyfunction]
fn summarize_f32<'py>(
    py: Python<'py>,
    frame: PyBuffer<f32>,
    low: f64,
    high: f64,
    histogram_step: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    measure::<f32, f32>(py, &frame, Scale { low, high, offset: 0 }, histogram_step)
}

/// Statistics of float16 [rows, columns, channels], handed over as its bits in uint16.
#[pyfunction]
fn summarize_f16<'py>(
    py: Python<'py>,
    frame: PyBuffer<u16>,
    low: f64,
    high: f64,
    histogram_step: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    measure::<u16, Half>(py, &frame, Scale { low, high, offset: 0 }, histogram_step)
}

/// Statistics of uint8 [rows, columns, channels].
#[pyfunction]
fn summarize_u8<'py>(
    py: Python<'py>,
    frame: PyBuffer<u8>,
    low: f64,
    high: f64,
    histogram_step: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    measure::<u8, u8>(py, &frame, Scale { low, high, offset: 0 }, histogram_step)
}

/// Statistics of int8 [rows, columns, channels].
#[pyfunction]
fn summarize_i8<'py>(
    py: Python<'py>,
    frame: PyBuffer<i8>,
    low: f64,
    high: f64,
    histogram_step: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    measure::<i8, i8>(py, &frame, Scale { low, high, offset: SIGNED }, histogram_step)
}

/// Returns the lowest and the highest number of contiguous float32, NaN left out, and whether there is any.
#[pyfunction]
fn extremes(numbers: PyBuffer<f32>) -> PyResult<(f32, f32, bool)> {
    if !numbers.is_c_contiguous() {
        return Err(PyValueError::new_err("numbers that do not lie one after the other"));
    }
    // SAFETY: Python vouches for the buffer as long as it is held.
    let numbers =
        unsafe { std::slice::from_raw_parts(numbers.buf_ptr().cast::<f32>(), numbers.item_count()) };
    let found = extremes_of(numbers);
    Ok((found.lowest, found.highest, found.has_nan))
}

/// What is usual for frames of one input: measures frames, and says how surprising they are.
#[pyclass(frozen)]
struct Judge {
    usual: Usual,
    channels: usize,
    low: f64,
    high: f64,
    sampled_rows: usize,
}

#[pymethods]
impl Judge {
    /// Takes the range, on how many rows the histogram looks at least, the medians, the sides
    /// [2, 6, numbers], and the mean and whitening [features, features] of the joint rule, or none.
    #[new]
    fn new(
        channels: usize,
        ends: (f64, f64),
        sampled_rows: usize,
        medians: Vec<f64>,
        sides: Vec<f64>,
        joint: Option<(Vec<f64>, Vec<f64>)>,
    ) -> PyResult<Self> {
        let (features, numbers) = (features::count(channels), medians.len());
        let together = joint
            .as_ref()
            .is_none_or(|(mean, whitening)| mean.len() == features && whitening.len() == features * features);
        let is_whole = numbers == features + usize::from(joint.is_some());
        if channels == 0
            || sampled_rows == 0
            || !is_whole
            || !together
            || sides.len() != 2 * OF_SIDE * numbers
        {
            return Err(PyValueError::new_err("sizes that do not belong together"));
        }
        let (low, high) = ends;
        check_range(&Scale { low, high, offset: 0 })?;
        let usual =
            Usual { tails: tails(&medians, &sides), joint: joint.map(|(mean, rows)| by_column(mean, &rows)) };
        Ok(Judge { usual, channels, low, high, sampled_rows })
    }

    /// Writes the numbers of float32 frames and how surprising they are to `found` [frames, 2, numbers].
    fn judge_f32(&self, frames: PyBuffer<f32>, found: PyBuffer<f64>) -> PyResult<()> {
        self.judge::<f32, f32>(&frames, 0, &found)
    }

    /// Does the same for the bits of float16.
    fn judge_f16(&self, frames: PyBuffer<u16>, found: PyBuffer<f64>) -> PyResult<()> {
        self.judge::<u16, Half>(&frames, 0, &found)
    }

    /// Does the same for uint8.
    fn judge_u8(&self, frames: PyBuffer<u8>, found: PyBuffer<f64>) -> PyResult<()> {
        self.judge::<u8, u8>(&frames, 0, &found)
    }

    /// Does the same for int8.
    fn judge_i8(&self, frames: PyBuffer<i8>, found: PyBuffer<f64>) -> PyResult<()> {
        self.judge::<i8, i8>(&frames, SIGNED, &found)
    }
}

impl Judge {
    fn judge<E: Element, T: Source>(
        &self,
        buffer: &PyBuffer<E>,
        offset: i16,
        found: &PyBuffer<f64>,
    ) -> PyResult<()> {
        let frames = Frames::<T>::of(buffer)?;
        let size = self.usual.tails.len();
        let has_room = found.item_count() == 2 * size * frames.count && !found.readonly();
        if frames.shape[2] != self.channels || !has_room || !found.is_c_contiguous() {
            return Err(PyValueError::new_err("frames of other channels, or no room for what is found"));
        }
        let [height, width, channels] = frames.shape;
        let scale = Scale { low: self.low, high: self.high, offset };
        // SAFETY: the buffer is writable, contiguous, and made for this call: nobody else looks at it.
        let found =
            unsafe { std::slice::from_raw_parts_mut(found.buf_ptr().cast::<f64>(), found.item_count()) };
        for (place, found) in found.chunks_exact_mut(2 * size).enumerate() {
            // SAFETY: as in `measure`.
            let summary = unsafe { frames.summary(place, &scale, (height / self.sampled_rows).max(1)) };
            let (numbers, surprises) = found.split_at_mut(size);
            let measured = Measured { summary: &summary, scale: &scale, height, width };
            measured.write(&mut numbers[..features::count(channels)]);
            self.usual.join(numbers);
            self.usual.surprise(numbers, surprises);
        }
        Ok(())
    }
}

fn tails(medians: &[f64], sides: &[f64]) -> Vec<Tails> {
    let count = medians.len();
    let side = |start: usize, place: usize| {
        let number = |kind: usize| sides[(start + kind) * count + place];
        Side {
            reach: number(0),
            divisor: number(1),
            slope: number(2),
            first: number(3),
            exponent: number(4),
            scale: number(5),
        }
    };
    let of = |(place, &median)| Tails { median, below: side(0, place), above: side(OF_SIDE, place) };
    medians.iter().enumerate().map(of).collect()
}

fn by_column(mean: Vec<f64>, rows: &[f64]) -> Joint {
    let count = mean.len();
    let columns = (0..count * count).map(|place| rows[place % count * count + place / count]);
    Joint { whitening: columns.collect(), mean }
}

#[pymodule]
fn modelkeep_statistics(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SUITE", SUITE)?;
    module.add_function(wrap_pyfunction!(summarize_f32, module)?)?;
    module.add_function(wrap_pyfunction!(summarize_f16, module)?)?;
    module.add_function(wrap_pyfunction!(summarize_u8, module)?)?;
    module.add_function(wrap_pyfunction!(summarize_i8, module)?)?;
    module.add_function(wrap_pyfunction!(extremes, module)?)?;
    module.add_class::<Judge>()
}
