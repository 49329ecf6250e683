package dev.modelkeep.trust

/**
 * The name of a certificate's subject. Written as RFC 4514 says, with the short names of that document, so that every
 * reader of this format writes the same: Java's own text differs in escapes and in attributes that it does not know.
 *
 * @property parts from the outermost to the innermost; mostly of one attribute each.
 */
internal class DistinguishedName private constructor(val parts: List<List<Attribute>>) {
    /** @property type object identifier with dots. */
    class Attribute(val type: String, val value: String)

    override fun toString(): String = parts.reversed().joinToString(",") { part ->
        part.joinToString("+") { "${SHORT_NAMES[it.type] ?: it.type}=${escape(it.value)}" }
    }

    companion object {
        private const val SEQUENCE = 0x30
        private const val SET = 0x31
        private const val IDENTIFIER = 0x06
        private val SHORT_NAMES = mapOf(
            "2.5.4.3" to "CN", "2.5.4.7" to "L", "2.5.4.8" to "ST", "2.5.4.10" to "O", "2.5.4.11" to "OU",
            "2.5.4.6" to "C", "2.5.4.9" to "STREET", "0.9.2342.19200300.100.1.25" to "DC", "0.9.2342.19200300.100.1.1" to "UID",
        )
        private val CHARSETS = mapOf(
            0x0c to Charsets.UTF_8, 0x12 to Charsets.US_ASCII, 0x13 to Charsets.US_ASCII, 0x14 to Charsets.ISO_8859_1,
            0x16 to Charsets.US_ASCII, 0x1a to Charsets.US_ASCII, 0x1c to Charsets.UTF_32BE, 0x1e to Charsets.UTF_16BE,
        )

        /** Returns the name in DER, or null where it cannot be read. */
        fun parse(der: ByteArray): DistinguishedName? =
            try {
                DistinguishedName(Der(der).take(SEQUENCE).all { take(SET).all { attribute(take(SEQUENCE)) } })
            } catch (_: IllegalArgumentException) {
                null
            } catch (_: IndexOutOfBoundsException) {
                null
            }

        private fun attribute(der: Der): Attribute {
            val type = identifier(der.take(IDENTIFIER).bytes)
            val charset = requireNotNull(CHARSETS[der.tag]) { "not a text" }
            return Attribute(type, decode(der.take(der.tag).bytes, charset))
        }

        private fun decode(bytes: ByteArray, charset: java.nio.charset.Charset): String {
            val text = String(bytes, charset)
            // What cannot be decoded does not come back.
            require(text.toByteArray(charset).contentEquals(bytes)) { "not a text" }
            return text
        }

        private fun identifier(bytes: ByteArray): String {
            val numbers = ArrayList<Long>()
            var number = 0L
            for (byte in bytes) {
                number = (number shl 7) or (byte.toLong() and 0x7f)
                if (byte >= 0) numbers += number.also { number = 0 }
            }
            val first = minOf(numbers[0] / 40, 2)
            return (listOf(first, numbers[0] - 40 * first) + numbers.drop(1)).joinToString(".")
        }

        private fun escape(value: String): String {
            val escaped = value.map { if (it in "\\\"+,;<>") "\\$it" else if (it == '\u0000') "\\00" else "$it" }.joinToString("")
            val begun = if (value.startsWith("#") || value.startsWith(" ") && escaped.length > 1) "\\$escaped" else escaped
            return if (begun.endsWith(" ")) begun.dropLast(1) + "\\ " else begun
        }
    }
}

/** Reads DER that a certificate parser has seen before, element by element. */
private class Der(val bytes: ByteArray) {
    private var position = 0
    val tag: Int get() = bytes[position].toInt() and 0xff

    fun take(expected: Int): Der {
        require(tag == expected) { "another element" }
        position++
        val length = length()
        return Der(bytes.copyOfRange(position, position + length)).also { position += length }
    }

    fun <T> all(read: Der.() -> T): List<T> {
        val found = ArrayList<T>()
        while (position < bytes.size) found += read()
        return found
    }

    private fun length(): Int {
        val first = bytes[position++].toInt() and 0xff
        if (first < 0x80) return first
        var length = 0
        repeat(first and 0x7f) { length = (length shl 8) or (bytes[position++].toInt() and 0xff) }
        require(length in 0..bytes.size - position) { "cut short" }
        return length
    }
}
