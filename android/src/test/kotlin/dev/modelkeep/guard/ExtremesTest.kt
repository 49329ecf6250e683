package dev.modelkeep.guard

import dev.modelkeep.Contract
import dev.modelkeep.Tensor
import dev.modelkeep.TensorContract
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource

internal class ExtremesTest {
    /** 2^53 + 1 and 2^63 are what a Double rounds. */
    @ParameterizedTest
    @CsvSource(
        "int64, 9007199254740993, 9007199254740992, range",
        "int64, 9007199254740992, 9007199254740992, -",
        "int64, 9223372036854775807, 9223372036854775808, -",
        "int64, -9223372036854775808, 0, -",
        "uint64, -1, 18446744073709549568, range",
        "uint64, -1, 18446744073709551616, -",
        "uint64, 1, 1, -",
    )
    fun `integers of 64 bits are compared exactly`(dtype: String, value: Long, maximum: Double, code: String) {
        val data = ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder()).putLong(0, value)
        assertEquals(code, outcome(dtype, data, null, maximum))
    }

    /** As it is written in the format: infinities are compared, NaN is not; `finite` is what refuses both. */
    @ParameterizedTest
    @CsvSource("NaN, -", "Infinity, -", "-Infinity, range", "0.5, -", "-1, range")
    fun `what is not finite is compared as far as it can be`(value: Float, code: String) {
        val data = ByteBuffer.allocateDirect(4).order(ByteOrder.nativeOrder()).putFloat(0, value)
        assertEquals(code, outcome("float32", data, 0.0, null))
    }

    @ParameterizedTest
    @CsvSource("float16, 0.1, 0.0999755859375", "float16, 65519.9, 65504", "float16, 65520, Infinity", "float16, 3e-8, 0x1p-24",
        "float16, 2.9e-8, 0", "bfloat16, 0.1, 0.10009765625", "bfloat16, 1e39, Infinity", "float64, 0.1, 0.1",
        "float16, -2049, -2048", "float16, 2051, 2052")
    fun `bounds are rounded as values are`(dtype: String, bound: String, expected: String) {
        assertEquals(expected.toDouble(), Rounding.to(dtype, bound.toDouble()))
        val value = bound.toDouble()
        assertEquals(value.toFloat().toDouble(), Rounding.to("float32", value))
    }

    private fun outcome(dtype: String, data: ByteBuffer, minimum: Double?, maximum: Double?): String {
        val contract = Contract(listOf(TensorContract("x", dtype, listOf(1L), false, minimum, maximum, 64)))
        val findings = ContractCheck.check(contract, mapOf("x" to Tensor(dtype, intArrayOf(1), data)))
        return findings.singleOrNull()?.code ?: "-"
    }
}
