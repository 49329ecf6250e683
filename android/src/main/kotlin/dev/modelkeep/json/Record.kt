package dev.modelkeep.json

import dev.modelkeep.MalformedError
import kotlin.io.encoding.Base64

/**
 * Takes typed members out of a parsed JSON object: what is missing, of the wrong kind or left over
 * is refused, except `ext`, where other tools may keep what they like; in documents that are closed, that too.
 */
internal class Record private constructor(value: Any?, private val what: String, private val closed: Boolean) {
    private val members: MutableMap<String, Any?>

    init {
        val map = value as? Map<*, *> ?: throw MalformedError("$what: expected a JSON object")
        members = map.entries.associateTo(LinkedHashMap()) { (key, member) -> key as String to member }
    }

    operator fun contains(name: String): Boolean = name in members

    fun fault(name: String, problem: String) = MalformedError("$what: member '$name' $problem")

    /** Takes a string of at most [longest] characters. */
    fun text(name: String, longest: Int = 1024): String {
        val value = anything(name) as? String ?: throw fault(name, "must be a string")
        if (value.codePointCount(0, value.length) > longest) {
            throw fault(name, "is longer than $longest characters")
        }
        return value
    }

    fun integer(name: String, lowest: Long = 0, highest: Long = CanonicalJson.LARGEST_INTEGER): Long {
        val value = anything(name) as? Long
        if (value == null || value !in lowest..highest) {
            throw fault(name, "must be an integer from $lowest to $highest")
        }
        return value
    }

    fun boolean(name: String): Boolean =
        anything(name) as? Boolean ?: throw fault(name, "must be true or false")

    /** Takes [length] bytes written as lower-case hexadecimal. */
    fun hexadecimal(name: String, length: Int): ByteArray {
        val text = text(name, 2 * length)
        val bytes = bytesFromHexadecimal(text)
        if (bytes == null || bytes.size != length) {
            throw fault(name, "must be ${2 * length} lower-case hexadecimal digits")
        }
        return bytes
    }

    /** Takes at most [longest] bytes written as padded, canonical base64 (RFC 4648 section 4). */
    fun base64(name: String, longest: Int): ByteArray {
        val text = text(name, 4 * ((longest + 2) / 3))
        val bytes = try {
            Base64.decode(text)
        } catch (_: IllegalArgumentException) {
            throw fault(name, "is not base64")
        }
        // One text per value, so that a changed text is a changed value.
        if (Base64.encode(bytes) != text) throw fault(name, "is not canonical base64")
        return bytes
    }

    /** Takes a string and returns what it stands for in [choices]. */
    fun <T> choice(name: String, choices: Map<String, T>): T {
        val text = text(name)
        if (text !in choices) throw fault(name, "is '$text', which this version does not know")
        return choices.getValue(text)
    }

    fun items(name: String, longest: Int): List<Any?> {
        val value = anything(name) as? List<*> ?: throw fault(name, "must be an array")
        if (value.size > longest) throw fault(name, "has more than $longest items")
        return value
    }

    /** Takes a nested object and reads it with [read]. */
    fun <T> nested(name: String, read: Record.() -> T): T = read(anything(name), "$what: $name", closed, read)

    /** Takes a member of any kind; for the few places where null has a meaning. */
    fun anything(name: String): Any? {
        if (name !in members) throw fault(name, "is missing")
        return members.remove(name)
    }

    /** Takes a member that may be null; anything else by [take], a method of this record. */
    fun <T> nullable(name: String, take: (String) -> T): T? {
        if (name in members && members[name] == null) {
            members.remove(name)
            return null
        }
        return take(name)
    }

    /** Takes members that say nothing here, where present. */
    fun skip(vararg names: String) = names.forEach { members.remove(it) }

    /** Returns the first name, in order, that is not one of [known]. */
    fun firstUnknown(known: Set<String>): String? = members.keys.filter { it !in known }.minOrNull()

    private fun finish() {
        if (!closed && "ext" in members && members.remove("ext") !is Map<*, *>) throw fault("ext", "must be an object")
        members.keys.minOrNull()?.let { throw fault(it, "is not known to this version") }
    }

    companion object {
        /** Reads an object with [read] and then refuses the members that nobody took. */
        fun <T> read(value: Any?, what: String, read: Record.() -> T): T = read(value, what, false, read)

        /** Does the same with a document that is closed: whoever signs it has seen all of it, `ext` included. */
        fun <T> readClosed(value: Any?, what: String, read: Record.() -> T): T = read(value, what, true, read)

        private fun <T> read(value: Any?, what: String, closed: Boolean, read: Record.() -> T): T {
            val record = Record(value, what, closed)
            return record.read().also { record.finish() }
        }
    }
}

/** Returns the bytes that [text] stands for, or null unless it is lower-case hexadecimal. */
internal fun bytesFromHexadecimal(text: String): ByteArray? {
    if (text.length % 2 != 0 || text.any { it !in "0123456789abcdef" }) return null
    return ByteArray(text.length / 2) { text.substring(2 * it, 2 * it + 2).toInt(16).toByte() }
}
