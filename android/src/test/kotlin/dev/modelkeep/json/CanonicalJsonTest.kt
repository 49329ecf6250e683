package dev.modelkeep.json

import dev.modelkeep.MalformedError
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

internal class CanonicalJsonTest {
    /** As deep as the specification says, whichever reader. */
    @Test
    fun `nesting ends at 31`() {
        for (core in listOf("", "1", "null")) {
            val deepest = ("[".repeat(31) + core + "]".repeat(31)).encodeToByteArray()
            CanonicalJson.decode(deepest, "text")
            CanonicalJson.decodeLenient(deepest, "text")
            val deeper = ("[".repeat(32) + core + "]".repeat(32)).encodeToByteArray()
            assertThrows(MalformedError::class.java) { CanonicalJson.decode(deeper, "text") }
            assertThrows(MalformedError::class.java) { CanonicalJson.decodeLenient(deeper, "text") }
        }
    }

    @Test
    fun `a closed document has nothing beside its members`() {
        val members = mapOf("name" to "x", "ext" to emptyMap<String, Any?>())
        Record.read(members, "open") { text("name") }
        assertThrows(MalformedError::class.java) { Record.readClosed(members, "closed") { text("name") } }
        val nested = mapOf("inner" to members)
        assertThrows(MalformedError::class.java) { Record.readClosed(nested, "closed") { nested("inner") { text("name") } } }
    }
}
