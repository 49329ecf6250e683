package dev.modelkeep.json

import dev.modelkeep.MalformedError

/**
 * Reads one JSON text (RFC 8259) without floating-point numbers and without duplicate keys.
 *
 * @param mostValues how many values it may hold, so that a small text does not become a large heap.
 */
internal class JsonReader(private val text: String, private val mostValues: Int) {
    private var position = 0
    private var values = 0

    /** Returns the value; nothing but white space may surround it. */
    fun read(): Any? {
        val value = value(DEEPEST_NESTING)
        skipSpace()
        if (position != text.length) throw invalid()
        return value
    }

    private fun value(depth: Int): Any? {
        if (++values > mostValues) throw MalformedError("JSON: too many values")
        skipSpace()
        return when (peek()) {
            '{' -> readObject(deeper(depth))
            '[' -> readArray(deeper(depth))
            '"' -> readString()
            't' -> literal("true", true)
            'f' -> literal("false", false)
            'n' -> literal("null", null)
            else -> readInteger()
        }
    }

    private fun deeper(depth: Int): Int {
        if (depth == 0) throw MalformedError("JSON: nested too deep")
        return depth - 1
    }

    private fun readObject(depth: Int): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        forEachItem('{', '}') {
            skipSpace()
            val name = readString()
            skipSpace()
            expect(':')
            if (name in members) throw MalformedError("JSON: duplicate key")
            members[name] = value(depth)
        }
        return members
    }

    private fun readArray(depth: Int): List<Any?> {
        val items = ArrayList<Any?>()
        forEachItem('[', ']') { items.add(value(depth)) }
        return items
    }

    private inline fun forEachItem(open: Char, close: Char, readItem: () -> Unit) {
        expect(open)
        skipSpace()
        if (peek() != close) {
            readItem()
            skipSpace()
            while (peek() == ',') {
                position++
                readItem()
                skipSpace()
            }
        }
        expect(close)
    }

    private fun readString(): String {
        expect('"')
        val result = StringBuilder()
        while (true) {
            val char = next()
            when {
                char == '"' -> return result.toString()
                char == '\\' -> result.append(escape())
                char < ' ' -> throw invalid()
                else -> result.append(char)
            }
        }
    }

    private fun escape(): Char =
        when (val char = next()) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> Char((1..4).fold(0) { code, _ -> code * 16 + hexDigit(next()) })
            else -> throw invalid()
        }

    private fun hexDigit(char: Char): Int =
        when (char) {
            in '0'..'9' -> char - '0'
            in 'a'..'f' -> char - 'a' + 10
            in 'A'..'F' -> char - 'A' + 10
            else -> throw invalid()
        }

    private fun literal(word: String, value: Any?): Any? {
        if (!text.startsWith(word, position)) throw invalid()
        position += word.length
        return value
    }

    private fun readInteger(): Long {
        val match = NUMBER.find(text, position)?.takeIf { it.range.first == position } ?: throw invalid()
        position = match.range.last + 1
        val number = match.value
        if (number.any { it == '.' || it == 'e' || it == 'E' }) {
            throw MalformedError("JSON: floating-point numbers are not allowed")
        }
        if (number.length > LONGEST_INTEGER) throw MalformedError("JSON: integer beyond 2^53 - 1")
        return CanonicalJson.inRange(number.toLong())
    }

    private fun skipSpace() {
        while (peek() in SPACE) position++
    }

    /** Returns the next character, or NUL, which begins nothing, at the end. */
    private fun peek(): Char = text.getOrElse(position) { '\u0000' }

    private fun next(): Char {
        if (position >= text.length) throw invalid()
        return text[position++]
    }

    private fun expect(char: Char) {
        if (next() != char) throw invalid()
    }

    private fun invalid() = MalformedError("not valid JSON in UTF-8")

    private companion object {
        const val DEEPEST_NESTING = 31
        const val LONGEST_INTEGER = 17
        const val SPACE = " \t\n\r"
        val NUMBER = Regex("-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
    }
}
