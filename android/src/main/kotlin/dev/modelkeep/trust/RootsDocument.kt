package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal

/**
 * A document about who signs trust files from then on: one of a chain. Source: spec/trust-v1.md, section 5.
 *
 * @property set the name of the chain: digest of its first document's payload.
 * @property keys who signs, by fingerprint.
 * @property removed fingerprints of all keys that ever signed and do not any more.
 * @property digest SHA-256 of the payload, in hexadecimal.
 */
internal class RootsDocument private constructor(
    val number: Long,
    val set: String,
    val keys: Map<String, EcdsaKey>,
    val threshold: Int,
    private val removed: Set<String>,
    val digest: String,
) {
    init {
        if (threshold !in 1..keys.size) throw MalformedError("roots document: a threshold that cannot be reached")
        if ((number == 1L) != (set == digest)) {
            throw MalformedError("roots document: the first one begins a chain, and others name it")
        }
        if (keys.keys.any { it in removed }) throw MalformedError("roots document: a root that was removed comes back")
    }

    /** Checks what a document has to say to follow [before]; its signatures are another matter. */
    fun checkFollows(before: RootsDocument) {
        val gone = before.keys.keys - keys.keys
        if (set != before.set || number != before.number + 1) {
            throw SignatureError("roots document $number does not follow document ${before.number}")
        }
        if (!removed.containsAll(before.removed + gone)) {
            throw SignatureError("roots document $number does not name all keys that were removed")
        }
    }

    companion object {
        private const val MOST_ROOTS = 64
        private const val MOST_REMOVED = 10_000
        private const val DIGEST = 32

        /** Parses a payload; whether its keys signed it is another matter. */
        fun parse(payload: ByteArray): RootsDocument {
            val digest = sha256(payload).toHexadecimal()
            return Record.readClosed(CanonicalJson.decode(payload, "roots document"), "roots document") {
                checkFormat("modelkeep/roots")
                val number = integer("number", 1)
                val threshold = integer("threshold", 1, MOST_ROOTS.toLong()).toInt()
                val set = if ("set" in this) hexadecimal("set", DIGEST).toHexadecimal() else digest
                val keys = items("keys", MOST_ROOTS).map(::pemKey)
                val names = keys.map { it.fingerprint }
                if (names != names.distinct().sorted()) throw fault("keys", "must be in ascending order of fingerprints")
                val removed = ascending("removed", DIGEST, MOST_REMOVED)
                RootsDocument(number, set, keys.associateBy { it.fingerprint }, threshold, removed, digest)
            }
        }
    }
}
