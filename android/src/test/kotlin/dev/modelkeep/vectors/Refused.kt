package dev.modelkeep.vectors

import dev.modelkeep.KeepError
import dev.modelkeep.MalformedError
import dev.modelkeep.json.CanonicalJson
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue

/** What a reader must refuse: a document that is right but for one thing, and the words that have to name that thing. */
internal class Refused(
    private val words: String,
    private val document: Any?,
    private val error: Class<out KeepError> = MalformedError::class.java,
) {
    fun check(read: (ByteArray) -> Any?) {
        val found = assertThrows(error, { read(CanonicalJson.encode(document)) }, words)
        assertTrue(words in found.message!!, "'$words' is not in '${found.message}'")
    }
}
