package dev.modelkeep.fuzz

import dev.modelkeep.KeepError
import dev.modelkeep.MalformedError
import dev.modelkeep.json.CanonicalJson
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.ValueSource

/** What a fuzzer finds late: documents that are right but for one member, and texts that are nearly JSON. */
@Tag("platform")
internal class ReadersTest {
    @Test
    fun `a document with one odd member is read or refused`() {
        val beginnings = Seeds.beginnings()
        var tried = 0
        Readers.all.zip(beginnings).forEach { (reader, inputs) ->
            for (document in inputs.take(2).mapNotNull(::parsed)) {
                for (odd in changed(document, 0)) {
                    tried += 1
                    accepted(reader, CanonicalJson.encode(odd))
                }
            }
        }
        assertTrue(tried > 1000, "$tried")
    }

    @ParameterizedTest
    @ValueSource(
        strings = [
            "", " ", "[", "]", "[1", "[1,", "[1,]", "[1 2]", "{", "{}x", "{1:2}", "{\"a\"", "{\"a\" 1}", "{\"a\":1,}", "{\"a\":1 \"b\":2}",
            "{\"a\":1,\"a\":2}", "nul", "tru", "falsy", "-", "01", "-01", "1.", "1e", "1e+", "+1", ".5", "NaN", "\"", "\"\\", "\"\\q\"",
            "\"\\u12\"", "\"\\u12g4\"", "\"\u0001\"", "\uFEFF1", "1 1",
        ],
    )
    fun `what is not JSON is refused`(text: String) {
        assertThrows(MalformedError::class.java) { CanonicalJson.decodeLenient(text.encodeToByteArray(), "text") }
        assertThrows(MalformedError::class.java) { CanonicalJson.decode(text.encodeToByteArray(), "text") }
    }

    @ParameterizedTest
    @ValueSource(
        strings = [
            " 1", "1 ", "[1, 2]", "{\"b\":1,\"a\":2}", "\"\\u0041\"", "\"\\/\"", "-0", "1.0", "1e5", "9223372036854775808", "-9223372036854775809",
            "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        ],
    )
    fun `what is JSON in another form than the one is refused where that counts`(text: String) {
        assertThrows(MalformedError::class.java) { CanonicalJson.decode(text.encodeToByteArray(), "text") }
    }

    @Test
    fun `escapes and whitespace are read where that does not count`() {
        val text = "{ \"a\" : [ true , false , null , \"\\b\\f\\n\\r\\t\\\"\\\\\\/\\ud83d\\ude00\" ] }\n"
        val expected = mapOf("a" to listOf(true, false, null, "\b\u000c\n\r\t\"\\/\ud83d\ude00"))
        assertEquals(expected, CanonicalJson.decodeLenient(text.encodeToByteArray(), "text"))
        for (bytes in listOf(byteArrayOf(0x22, -1, 0x22), ByteArray(5000) { '['.code.toByte() })) {
            assertThrows(MalformedError::class.java) { CanonicalJson.decodeLenient(bytes, "text") }
        }
    }

    private fun parsed(input: ByteArray): Any? =
        try {
            CanonicalJson.decodeLenient(input, "document")
        } catch (_: KeepError) {
            null
        }

    private fun accepted(reader: (ByteArray) -> Any?, input: ByteArray): Boolean =
        try {
            reader(input)
            true
        } catch (_: KeepError) {
            false
        }

    /** Gives the value with every part of it left out, replaced, or joined by a stranger. */
    private fun changed(value: Any?, depth: Int): Sequence<Any?> = sequence {
        yieldAll(ODD)
        if (value is Map<*, *>) {
            yield(value + ("stranger" to 1L))
            for ((name, member) in value) {
                yield(value - name)
                changed(member, depth + 1).forEach { yield(value + (name to it)) }
            }
        }
        if (value is List<*>) {
            yield(value + value)
            for ((index, item) in value.withIndex().take(3)) {
                yield(value.filterIndexed { other, _ -> other != index })
                changed(item, depth + 1).forEach { odd -> yield(value.mapIndexed { other, old -> if (other == index) odd else old }) }
            }
        }
    }

    private companion object {
        val ODD = listOf(null, true, -1L, 0L, CanonicalJson.LARGEST_INTEGER, "", "x", "x".repeat(2000), "AA==", "ff", emptyList<Any>(), listOf(1L), emptyMap<String, Any>())
    }
}
