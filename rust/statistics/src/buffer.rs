//! Memory of our own for rows, at addresses that vectors like.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

const ALIGNMENT: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Block([u8; ALIGNMENT]);

/// Numbers that begin at a multiple of 64 bytes; all of them 0 at first.
pub struct Buffer<V> {
    blocks: Vec<Block>,
    length: usize,
    kind: PhantomData<V>,
}

impl<V: Number> Buffer<V> {
    pub fn new(length: usize) -> Self {
        let blocks = vec![Block([0; ALIGNMENT]); (length * size_of::<V>()).div_ceil(ALIGNMENT)];
        Buffer { blocks, length, kind: PhantomData }
    }
}

impl<V: Number> Deref for Buffer<V> {
    type Target = [V];

    #[inline(always)]
    fn deref(&self) -> &[V] {
        // SAFETY: the blocks hold `length` numbers, for which every bit pattern is a value.
        unsafe { std::slice::from_raw_parts(self.blocks.as_ptr().cast(), self.length) }
    }
}

impl<V: Number> DerefMut for Buffer<V> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [V] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.blocks.as_mut_ptr().cast(), self.length) }
    }
}

/// # Safety
/// Every bit pattern is a value, and zeros are 0.
pub unsafe trait Number: Copy + PartialEq + Default {}

unsafe impl Number for f32 {}
unsafe impl Number for f64 {}
unsafe impl Number for u8 {}
unsafe impl Number for i16 {}
