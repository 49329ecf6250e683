package dev.modelkeep.guard

import kotlin.math.abs
import kotlin.math.sign

/**
 * The nearest number of a smaller floating-point type, ties to even: a value that was clipped to a bound keeps it.
 * Source: spec/bundle-v1.md, section 9; IEEE 754 section 4.3.1.
 */
internal object Rounding {
    private class Type(val fraction: Int, val lowestExponent: Int, val largest: Double)

    private val TYPES = mapOf(
        "float16" to Type(10, -14, 65504.0),
        "bfloat16" to Type(7, -126, Math.scalb(2 - Math.scalb(1.0, -7), 127)),
        "float32" to Type(23, -126, Float.MAX_VALUE.toDouble()),
    )

    /** Returns [value] as [dtype] holds it; types that are not smaller than a Double hold it as it is. */
    fun to(dtype: String, value: Double): Double {
        val type = TYPES[dtype] ?: return value
        val unit = maxOf(Math.getExponent(value), type.lowestExponent) - type.fraction
        val rounded = Math.scalb(Math.rint(Math.scalb(value, -unit)), unit)
        return if (abs(rounded) > type.largest) sign(value) * Double.POSITIVE_INFINITY else rounded
    }
}
