package dev.modelkeep.document

import dev.modelkeep.Contract
import dev.modelkeep.Quantization
import dev.modelkeep.TensorContract
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import kotlin.math.abs

/** Reads the member `inputs` of an inner manifest. Source: spec/bundle-v1.md, section 9. */
internal object InputContracts {
    private const val MOST_INPUTS = 1024
    private const val MOST_DIMENSIONS = 64
    private const val MANTISSA_BITS = 52

    private val DTYPES = listOf(
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
        "float32", "float64", "bfloat16", "complex64", "complex128", "string",
        "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    ).associateWith { it }
    private val KEYS = listOf("int64", "string").associateWith { it }
    private val FLOAT = Regex("-?0x[01]\\.[0-9a-f]{1,13}p[+-][0-9]{1,4}")

    /** Takes the member `inputs`, if it is there. */
    fun read(record: Record): Contract? = if ("inputs" in record) Contract(inputs(record)) else null

    private fun inputs(record: Record): List<TensorContract> {
        val inputs = record.items("inputs", MOST_INPUTS).map { item ->
            Record.read(item, "inner manifest: input") { tensor(this) }
        }
        if (inputs.distinctBy { it.name }.size != inputs.size) {
            throw record.fault("inputs", "names an input twice")
        }
        return inputs
    }

    private fun tensor(record: Record) = TensorContract(
        name = record.text("name"),
        dtype = record.choice("dtype", DTYPES),
        shape = shape(record),
        finite = record.boolean("finite"),
        minimum = bound(record, "minimum"),
        maximum = bound(record, "maximum"),
        maximumBytes = record.integer("maximum_bytes"),
        mayBeEmpty = switch(record, "empty"),
        isOptional = switch(record, "optional"),
        isSequence = switch(record, "sequence"),
        keys = if ("keys" in record) record.choice("keys", KEYS) else null,
        quantization = quantization(record),
    )

    fun switch(record: Record, name: String): Boolean {
        if (name !in record) return false
        if (!record.boolean(name)) throw record.fault(name, "is left out where it is false")
        return true
    }

    private fun quantization(record: Record): Quantization? {
        if ("quantization" !in record) return null
        return record.nested("quantization") {
            val scale = bound(this, "scale") ?: throw fault("scale", "is missing")
            Quantization(scale, integer("zero_point", -CanonicalJson.LARGEST_INTEGER))
        }
    }

    private fun shape(record: Record): List<Long?>? {
        val value = record.anything("shape") ?: return null
        if (value !is List<*> || value.size > MOST_DIMENSIONS) {
            throw record.fault("shape", "must be null or an array")
        }
        return value.map { length ->
            if (length != null && (length !is Long || length < 0)) {
                throw record.fault("shape", "must hold nulls and integers that are not negative")
            }
            length
        }
    }

    fun bound(record: Record, name: String): Double? {
        if (name !in record) return null
        val text = record.text(name, 64)
        val value = if (FLOAT.matches(text)) text.toDouble() else Double.NaN
        // Equality of the texts leaves one spelling per value.
        if (!value.isFinite() || hexadecimal(value) != text) {
            throw record.fault(name, "is not a finite float in canonical hexadecimal form")
        }
        return value
    }

    /** Returns the form that `float.hex` of Python prints: all 13 digits of the mantissa. */
    private fun hexadecimal(value: Double): String {
        val sign = if (value.toRawBits() < 0) "-" else ""
        if (value == 0.0) return "${sign}0x0.0p+0"
        val mantissa = (value.toRawBits() and ((1L shl MANTISSA_BITS) - 1)).toString(16).padStart(13, '0')
        if (abs(value) < java.lang.Double.MIN_NORMAL) return "${sign}0x0.${mantissa}p-1022"
        val exponent = Math.getExponent(value)
        return "${sign}0x1.${mantissa}p${if (exponent < 0) "-" else "+"}${abs(exponent)}"
    }
}
