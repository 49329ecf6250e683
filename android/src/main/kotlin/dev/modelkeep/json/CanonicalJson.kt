package dev.modelkeep.json

import dev.modelkeep.MalformedError
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

/**
 * Canonical JSON (RFC 8785) restricted to what the formats need, read strictly.
 *
 * Values are `Map<String, Any?>`, `List<Any?>`, `String`, `Boolean`, `Long` and null. There are no
 * floating-point numbers. Source: spec/bundle-v1.md, section 2.
 */
internal object CanonicalJson {
    const val LARGEST_INTEGER = (1L shl 53) - 1
    private const val DEEPEST_NESTING = 31

    /** Parses [data] and refuses it unless it is already in its canonical form. */
    fun decode(data: ByteArray, what: String, mostValues: Int = Int.MAX_VALUE): Any? {
        val value = decodeLenient(data, what, mostValues)
        if (!encode(value).contentEquals(data)) {
            throw MalformedError("$what: JSON is not in canonical form (RFC 8785)")
        }
        return value
    }

    /** Parses JSON written by other tools: any layout, but no duplicate keys and no floats. */
    fun decodeLenient(data: ByteArray, what: String, mostValues: Int = Int.MAX_VALUE): Any? =
        try {
            JsonReader(utf8(data), mostValues).read()
        } catch (error: MalformedError) {
            throw MalformedError("$what: ${error.message}")
        }

    /** Returns the one canonical encoding of [value]. */
    fun encode(value: Any?): ByteArray {
        val text = StringBuilder()
        write(value, text, DEEPEST_NESTING)
        return text.toString().encodeToByteArray()
    }

    private fun write(value: Any?, text: StringBuilder, depth: Int) {
        when (value) {
            null, is Boolean -> text.append(value)
            is Long -> text.append(inRange(value))
            is String -> writeString(value, text)
            is List<*> -> writeArray(value, text, deeper(depth))
            is Map<*, *> -> writeObject(value, text, deeper(depth))
            else -> throw MalformedError("JSON: such values are not allowed")
        }
    }

    private fun deeper(depth: Int): Int {
        if (depth == 0) throw MalformedError("JSON: nested too deep")
        return depth - 1
    }

    private fun writeArray(items: List<*>, text: StringBuilder, depth: Int) {
        text.append('[')
        items.forEachIndexed { index, item ->
            if (index > 0) text.append(',')
            write(item, text, depth)
        }
        text.append(']')
    }

    private fun writeObject(members: Map<*, *>, text: StringBuilder, depth: Int) {
        text.append('{')
        // Kotlin compares strings by UTF-16 code units, which is the order of RFC 8785.
        members.keys.map { it as String }.sorted().forEachIndexed { index, key ->
            if (index > 0) text.append(',')
            writeString(key, text)
            text.append(':')
            write(members[key], text, depth)
        }
        text.append('}')
    }

    private fun writeString(value: String, text: StringBuilder) {
        if (hasLoneSurrogate(value)) throw MalformedError("JSON: a string holds a lone surrogate")
        text.append('"')
        value.forEach { text.append(escaped(it)) }
        text.append('"')
    }

    private fun escaped(char: Char): String =
        when (char) {
            '"' -> "\\\""
            '\\' -> "\\\\"
            '\b' -> "\\b"
            '\t' -> "\\t"
            '\n' -> "\\n"
            '\u000c' -> "\\f"
            '\r' -> "\\r"
            else -> if (char < ' ') "\\u" + char.code.toString(16).padStart(4, '0') else char.toString()
        }

    private fun hasLoneSurrogate(value: String): Boolean {
        var index = 0
        while (index < value.length) {
            val isPair = value[index].isHighSurrogate() && value.getOrNull(index + 1)?.isLowSurrogate() == true
            if (!isPair && value[index].isSurrogate()) return true
            index += if (isPair) 2 else 1
        }
        return false
    }

    fun inRange(value: Long): Long {
        if (value !in -LARGEST_INTEGER..LARGEST_INTEGER) throw MalformedError("JSON: integer beyond 2^53 - 1")
        return value
    }

    private fun utf8(data: ByteArray): String =
        try {
            Charsets.UTF_8.newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT)
                .decode(ByteBuffer.wrap(data))
                .toString()
        } catch (_: CharacterCodingException) {
            throw MalformedError("not valid JSON in UTF-8")
        }
}
