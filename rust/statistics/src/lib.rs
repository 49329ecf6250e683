//! Input statistics for modelkeep's guard, as functions for Python.

// Without Python, as tests for other processors are built, nothing here has a caller.
#![cfg_attr(not(feature = "python"), allow(dead_code))]

mod buffer;
mod byte;
mod extremes;
mod features;
mod float;
mod frame;
mod layout;
mod line;
mod pass;
#[cfg(feature = "python")]
mod python;
mod source;
mod usual;
mod vector;
