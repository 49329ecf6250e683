package dev.modelkeep.guard

import dev.modelkeep.Tensor
import java.nio.ByteBuffer

/**
 * Lowest and highest number of a tensor, NaN left out, and how many are not finite. Real and imaginary parts
 * of complex numbers count as numbers of their own.
 */
internal class Extremes private constructor(val lowest: Double, val highest: Double, val notFinite: Int) {
    companion object {
        private const val UNSIGNED_BYTE = 0xff
        private const val UNSIGNED_SHORT = 0xffff
        private const val UNSIGNED_INT = 0xffffffffL

        fun of(tensor: Tensor): Extremes {
            val data = tensor.view()
            val read = reader(tensor.dtype)
            var lowest = Double.POSITIVE_INFINITY
            var highest = Double.NEGATIVE_INFINITY
            var notFinite = 0
            while (data.hasRemaining()) {
                val value = read(data)
                if (value < lowest) lowest = value
                if (value > highest) highest = value
                if (value.isNaN() || value.isInfinite()) notFinite++
            }
            return Extremes(lowest, highest, notFinite)
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
                "uint32" -> { data -> (data.getInt().toLong() and UNSIGNED_INT).toDouble() }
                "int64" -> { data -> data.getLong().toDouble() }
                else -> { data -> data.getLong().toULong().toDouble() }
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
