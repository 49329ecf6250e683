//! The functions for Python.

use crate::frame::Frame;
use crate::line::Scale;
use crate::pass::{self, Summary};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use crate::source::{Half, Source};

/// Which numbers a summary holds, in which order: the suite of modelkeep.guard.summary.
const SUITE: u32 = 2;
/// What a buffered byte of int8 stands for, less the byte itself.
const SIGNED: i16 = -128;

fn measure<'py, E, T>(
    py: Python<'py>,
    buffer: &PyBuffer<E>,
    scale: Scale,
    histogram_step: usize,
) -> PyResult<Bound<'py, PyTuple>>
where
    E: Element,
    T: Source,
{
    let shape = <[usize; 3]>::try_from(buffer.shape());
    let strides = <[isize; 3]>::try_from(buffer.strides());
    let (Ok(shape), Ok(strides)) = (shape, strides) else {
        return Err(PyValueError::new_err("a frame has three dimensions"));
    };
    if shape.contains(&0) || histogram_step == 0 || buffer.suboffsets().is_some() {
        return Err(PyValueError::new_err("a frame has no empty dimensions"));
    }
    if scale.low >= scale.high || !scale.low.is_finite() || !scale.high.is_finite() {
        return Err(PyValueError::new_err("a range has a low end below its high end"));
    }
    // SAFETY: Python vouches for shape and strides as long as `buffer` is held, and every bit
    // pattern is a value of T, which has the size and alignment of E.
    let frame = unsafe { Frame::<T>::new(buffer.buf_ptr().cast(), shape, strides) };
    let summary = pass::summarize(&frame, &scale, histogram_step);
    if summary.is_exact {
        return to_tuple(py, summary);
    }
    // SAFETY: as above; T::Wide is read as T is.
    let frame = unsafe { Frame::<T::Wide>::new(buffer.buf_ptr().cast(), shape, strides) };
    to_tuple(py, pass::summarize(&frame, &scale, histogram_step))
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

#[pymodule]
fn modelkeep_statistics(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SUITE", SUITE)?;
    module.add_function(wrap_pyfunction!(summarize_f32, module)?)?;
    module.add_function(wrap_pyfunction!(summarize_f16, module)?)?;
    module.add_function(wrap_pyfunction!(summarize_u8, module)?)?;
    module.add_function(wrap_pyfunction!(summarize_i8, module)?)
}
