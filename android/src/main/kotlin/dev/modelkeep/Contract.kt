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
 * @property maximumBytes largest size of the whole input in bytes.
 * @property mayBeEmpty an input without elements is accepted.
 * @property isOptional the input may be missing.
 * @property isSequence the input is a list of what is described here; such inputs cannot be checked on Android.
 * @property keys element type of a map's keys, or null where the input is an array; maps cannot be checked on Android.
 * @property quantization what the input's integers stand for, or null; not checked.
 */
public class TensorContract internal constructor(
    public val name: String,
    public val dtype: String,
    public val shape: List<Long?>?,
    public val finite: Boolean,
    public val minimum: Double?,
    public val maximum: Double?,
    public val maximumBytes: Long,
    public val mayBeEmpty: Boolean = false,
    public val isOptional: Boolean = false,
    public val isSequence: Boolean = false,
    public val keys: String? = null,
    public val quantization: Quantization? = null,
)

/** How integers stand for real numbers: [scale] times what they are above [zeroPoint]. */
public class Quantization internal constructor(public val scale: Double, public val zeroPoint: Long)

/**
 * What a model accepts; signed with the model and checked before every run.
 *
 * @property inputs all inputs, in the order in which the model lists them.
 */
public class Contract internal constructor(public val inputs: List<TensorContract>)

/**
 * One way to run a model.
 *
 * @property path path of the file that a runtime is handed.
 * @property function which function of that file is run, where it has several; TFLite calls it a signature.
 * @property format what the file is, for example `tflite`.
 * @property contract what inputs must look like, or null when nobody says.
 */
public class Entry internal constructor(
    public val path: String,
    public val function: String?,
    public val format: String,
    public val contract: Contract?,
) {
    /** The path, and the function behind a `#`. */
    public val name: String get() = if (function == null) path else "$path#$function"
}
