//! What is usual for one input, and how surprising the features of a frame are: the same numbers as
//! `modelkeep.guard.rules` and `modelkeep.guard.tails`.

use crate::features::{MISSING, UNIT};

/// At most so surprising.
const MOST: f64 = 1_073_741_824.0;
const EVEN: f64 = std::f64::consts::LN_2;
const EXPONENTIAL: f64 = 1e-6;
/// Surprises are cut to multiples of 1 / GRAIN.
const GRAIN: f64 = 1_048_576.0;

/// What is usual of one feature to one side of its median; see `Tails.sides`.
#[derive(Clone, Copy)]
pub struct Side {
    pub reach: f64,
    pub divisor: f64,
    pub slope: f64,
    pub first: f64,
    pub exponent: f64,
    pub scale: f64,
}

impl Side {
    fn surprise(&self, distance: f64) -> f64 {
        let excess = distance - self.reach;
        if excess > 0.0 {
            return self.beyond(excess);
        }
        if distance > 0.0 {
            EVEN + self.slope * (distance / self.divisor)
        } else {
            0.0
        }
    }

    fn beyond(&self, excess: f64) -> f64 {
        let height = excess / self.scale;
        let more = if self.exponent > 0.0 {
            (self.exponent * height).ln_1p() / self.exponent.max(EXPONENTIAL)
        } else {
            height
        };
        (self.first + more).min(MOST)
    }
}

/// What is usual of one feature.
#[derive(Clone, Copy)]
pub struct Tails {
    pub median: f64,
    pub below: Side,
    pub above: Side,
}

impl Tails {
    fn surprise(&self, number: f64) -> f64 {
        if number == MISSING {
            return 0.0;
        }
        let offset = number - self.median;
        let side = if offset > 0.0 { &self.above } else { &self.below };
        (side.surprise(offset.abs()) * GRAIN).floor() / GRAIN
    }
}

/// Which features are usual together.
pub struct Joint {
    pub mean: Vec<f64>,
    /// Column by column, all of the same length.
    pub whitening: Vec<f64>,
}

/// What is usual for frames of one input.
pub struct Usual {
    /// Of every feature, and behind them of how far they are from going together.
    pub tails: Vec<Tails>,
    pub joint: Option<Joint>,
}

impl Usual {
    /// Writes how far features are from going together behind them, where that is looked at.
    pub fn join(&self, numbers: &mut [f64]) {
        let Some(joint) = &self.joint else { return };
        let count = joint.mean.len();
        let mut white = vec![0.0; count];
        for (place, column) in joint.whitening.chunks_exact(count).enumerate() {
            let number = numbers[place];
            let number = if number == MISSING { self.tails[place].median } else { number };
            let offset = number / UNIT - joint.mean[place];
            white.iter_mut().zip(column).for_each(|(sum, factor)| *sum += factor * offset);
        }
        let square: f64 = white.iter().map(|number| number * number).sum();
        numbers[count] = (square.sqrt() * UNIT).round_ties_even();
    }

    /// Writes how surprising each number is.
    pub fn surprise(&self, numbers: &[f64], surprises: &mut [f64]) {
        for ((tails, &number), surprise) in self.tails.iter().zip(numbers).zip(surprises) {
            *surprise = tails.surprise(number);
        }
    }
}
