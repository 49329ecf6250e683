package dev.modelkeep.guard

import dev.modelkeep.Tensor
import java.math.BigDecimal
import java.nio.ByteBuffer

/**
 * Lowest and highest number of a tensor, NaN left out, and how many are not finite. Real and imaginary parts
 * of complex numbers count as numbers of their own. Integers of 64 bits are compared exactly.
 */
internal class Extremes private constructor(
    val notFinite: Int,
    private val lowest: Comparable<Double>,
    private val highest: Comparable<Double>,
) {
    fun isBelow(bound: Double): Boolean = lowest < bound

    fun isAbove(bound: Double): Boolean = highest > bound

    /** An integer that a Double may not hold. */
    private class Exact(private val value: BigDecimal) : Comparable<Double> {
        override fun compareTo(other: Double): Int =
            if (other.isInfinite()) -other.compareTo(0.0) else value.compareTo(BigDecimal(other))
    }

    companion object {
        private const val UNSIGNED_BYTE = 0xff
        private const val UNSIGNED_SHORT = 0xffff
        private const val UNSIGNED_INT = 0xffffffffL

        fun of(tensor: Tensor): Extremes =
            when (tensor.dtype) {
                "int64" -> ofLongs(tensor.view(), 0) { BigDecimal(it) }
                "uint64" -> ofLongs(tensor.view(), Long.MIN_VALUE) { BigDecimal(it.toULong().toString()) }
                else -> ofNumbers(tensor.view(), reader(tensor.dtype))
            }

        private fun ofNumbers(data: ByteBuffer, read: (ByteBuffer) -> Double): Extremes {
            var lowest = Double.POSITIVE_INFINITY
            var highest = Double.NEGATIVE_INFINITY
            var notFinite = 0
            while (data.hasRemaining()) {
                val value = read(data)
                if (value < lowest) lowest = value
                if (value > highest) highest = value
                if (value.isNaN() || value.isInfinite()) notFinite++
            }
            return Extremes(notFinite, lowest, highest)
        }

        /** The [offset] turns the order of unsigned integers into that of signed ones. */
        private fun ofLongs(data: ByteBuffer, offset: Long, exact: (Long) -> BigDecimal): Extremes {
            var lowest = Long.MAX_VALUE
            var highest = Long.MIN_VALUE
            while (data.hasRemaining()) {
                val value = data.getLong() xor offset
                if (value < lowest) lowest = value
                if (value > highest) highest = value
            }
            return Extremes(0, Exact(exact(lowest xor offset)), Exact(exact(highest xor offset)))
        }

        private fun reader(dtype: String): (ByteBuffer) -> Double =
            when (dtype) {
                "float32", "complex64" -> { data -> data.getFloat().toDouble() }
                "float64", "complex128" -> ByteBuffer::getDouble
                "float16" -> { data -> half(data.getShort().toInt()) }
                // The upper half of a float32.
                "bfloat16" -> { data -> Float.fromBits(data.getShort().toInt() shl 16).toDouble() }
                "int8" -> { data -> data.get().toDouble() }
                "bool", "uint8" -> { data -> (data.get().toInt() and UNSIGNED_BYTE).toDouble() }
                "int16" -> { data -> data.getShort().toDouble() }
                "uint16" -> { data -> (data.getShort().toInt() and UNSIGNED_SHORT).toDouble() }
                "int32" -> { data -> data.getInt().toDouble() }
                else -> { data -> (data.getInt().toLong() and UNSIGNED_INT).toDouble() }
            }

        /** Returns the number that 16 bits stand for (IEEE 754 binary16). */
        private fun half(bits: Int): Double {
            val sign = if (bits and 0x8000 != 0) -1.0 else 1.0
            val exponent = bits shr 10 and 0x1f
            val fraction = bits and 0x3ff
            return sign * when (exponent) {
                0 -> Math.scalb(fraction.toDouble(), -24)
                0x1f -> if (fraction == 0) Double.POSITIVE_INFINITY else Double.NaN
                else -> Math.scalb((fraction or 0x400).toDouble(), exponent - 25)
            }
        }
    }
}
