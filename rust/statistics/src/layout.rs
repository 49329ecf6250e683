//! How rows lie in buffers.

/// How a row lies in a buffer: as lines one after the other, each of interleaved channels.
///
/// A line begins behind one chunk, which ends with the first column once more, and has at least one
/// chunk behind it.
#[derive(Clone, Copy)]
pub struct Layout {
    pub lines: usize,
    pub columns: usize,
    /// Interleaved channels of a line.
    pub channels: usize,
    /// Elements of a line that are looked at side by side, as a chunk.
    pub lanes: usize,
    /// Elements of a line, and the same filled up to whole chunks.
    pub length: usize,
    pub grid: usize,
    /// Elements from one line to the next.
    pub stride: usize,
    /// After so many chunks the same lane belongs to the same channel again.
    pub period: usize,
    /// How far elements of neighbouring channels are apart.
    pub to_next_channel: usize,
}

impl Layout {
    pub fn new(lines: usize, columns: usize, channels: usize, lanes: usize) -> Self {
        let length = columns * channels;
        let grid = length.next_multiple_of(lanes);
        let stride = grid + 2 * lanes;
        let period = channels / greatest_common_divisor(channels, lanes);
        let to_next_channel = if lines > 1 { stride } else { 1 };
        Layout { lines, columns, channels, lanes, length, grid, stride, period, to_next_channel }
    }

    /// Returns the channel of a lane.
    pub fn channel(&self, line: usize, phase: usize, lane: usize) -> usize {
        line + (phase * self.lanes + lane) % self.channels
    }

    /// Returns which chunks of every line have the same lanes.
    pub fn span(&self, phase: usize) -> Span {
        let chunks = self.grid / self.lanes;
        let rest = self.lanes - (self.grid - self.length);
        let has_last = phase == (chunks - 1) % self.period;
        Span {
            chunks: chunks.saturating_sub(phase).div_ceil(self.period),
            filled: if has_last { rest } else { self.lanes },
        }
    }
}

/// Chunks of a line with the same lanes, and how many lanes of the last one belong to the line.
#[derive(Clone, Copy)]
pub struct Span {
    pub chunks: usize,
    pub filled: usize,
}

fn greatest_common_divisor(mut one: usize, mut other: usize) -> usize {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
