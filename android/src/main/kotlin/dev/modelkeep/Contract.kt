package dev.modelkeep

/**
 * What one input must look like. Source: spec/bundle-v1.md, section 9.
 *
 * @property name input name as the runtime knows it.
 * @property dtype element type, for example `float32` or `uint8`.
 * @property shape fixed lengths, null where free; null instead of a list when even the rank is free.
 * @property finite NaN and infinities are refused.
 * @property minimum lowest value accepted, or null.
 * @property maximum highest value accepted, or null.
 * @property maximumBytes largest size of the whole tensor in bytes.
 */
public class TensorContract internal constructor(
    public val name: String,
    public val dtype: String,
    public val shape: List<Long?>?,
    public val finite: Boolean,
    public val minimum: Double?,
    public val maximum: Double?,
    public val maximumBytes: Long,
)

/**
 * What a model accepts; signed with the model and checked before every run.
 *
 * @property inputs all inputs, in the order in which the model lists them.
 */
public class Contract internal constructor(public val inputs: List<TensorContract>)
