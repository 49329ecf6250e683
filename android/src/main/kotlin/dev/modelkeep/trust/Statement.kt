package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import java.security.MessageDigest

/**
 * What a bundle's signature says. Source: spec/bundle-v1.md, section 4; in-toto Statement v1.
 *
 * @property resources SHA-256 digest of every signed file, by name.
 */
internal class Statement private constructor(val resources: Map<String, ByteArray>) {
    companion object {
        private const val STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
        private const val PREDICATE_TYPE = "https://model_signing/signature/v1.0"
        private const val MOST_RESOURCES = 1 shl 18
        private const val DIGEST = 32

        /** Parses a statement. The signature over [data] must have been verified before. */
        fun parse(data: ByteArray): Statement =
            Record.read(CanonicalJson.decodeLenient(data, "statement"), "statement") {
                checkTypes(this)
                val root = rootDigest(this)
                val resources = nested("predicate") {
                    nested("serialization", ::checkSerialization)
                    resources(this)
                }
                if (!digestOf(resources.values).contentEquals(root)) {
                    throw MalformedError("statement: the root digest is not the digest of the resources")
                }
                Statement(resources)
            }

        private fun checkTypes(record: Record) {
            val isModel = record.text("_type") == STATEMENT_TYPE
            if (!isModel || record.text("predicateType") != PREDICATE_TYPE) {
                throw SignatureError(
                    "the signature covers another kind of document than a model",
                    "sign with modelkeep or with model_signing 1.0 or newer",
                )
            }
        }

        private fun rootDigest(record: Record): ByteArray {
            val subjects = record.items("subject", MOST_RESOURCES)
            if (subjects.size != 1) throw record.fault("subject", "must list exactly one subject")
            return Record.read(subjects[0], "statement: subject") {
                text("name")
                nested("digest") { hexadecimal("sha256", DIGEST) }
            }
        }

        private fun checkSerialization(record: Record) {
            record.choice("method", mapOf("files" to Unit))
            record.choice("hash_type", mapOf("sha256" to Unit))
            if (record.boolean("allow_symlinks")) throw record.fault("allow_symlinks", "must be false")
            // Files that other verifiers are told to skip; here nothing is.
            if ("ignore_paths" in record && record.items("ignore_paths", MOST_RESOURCES).any { it !is String }) {
                throw record.fault("ignore_paths", "must list strings")
            }
        }

        private fun resources(predicate: Record): Map<String, ByteArray> {
            val pairs = predicate.items("resources", MOST_RESOURCES).map { item ->
                Record.read(item, "statement: resource") {
                    choice("algorithm", mapOf("sha256" to Unit))
                    text("name", 4096) to hexadecimal("digest", DIGEST)
                }
            }
            val names = pairs.map { it.first.split('/') }
            if (names.zipWithNext().any { (first, second) -> compare(first, second) >= 0 }) {
                throw predicate.fault("resources", "must list each name once, in order")
            }
            return pairs.toMap()
        }

        /** Compares part by part, as paths sort: `a/b` comes before `a.b`. */
        private fun compare(first: List<String>, second: List<String>): Int {
            val parts = first.zip(second).map { (one, other) -> one.compareTo(other) }
            return parts.firstOrNull { it != 0 } ?: first.size.compareTo(second.size)
        }

        private fun digestOf(digests: Collection<ByteArray>): ByteArray {
            val root = MessageDigest.getInstance("SHA-256")
            digests.forEach(root::update)
            return root.digest()
        }
    }
}
