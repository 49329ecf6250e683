package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.toHexadecimal

/** What a payload is: the signature covers it, so that none stands for another. */
internal enum class EnvelopeKind(val type: String, val words: String) {
    TRUST("application/vnd.modelkeep.trust.v1+json", "trust file"),
    ROOTS("application/vnd.modelkeep.roots.v1+json", "roots document"),
    TICKET("application/vnd.modelkeep.ticket.v1+json", "ticket"),
}

/**
 * The envelope of what roots sign; nothing in it is verified. Source: spec/trust-v1.md, section 1.
 *
 * @property payload what is signed, exactly as it was received.
 * @property documents the roots documents that it brings along; no signature of this one covers them.
 */
internal class Envelope private constructor(
    private val kind: EnvelopeKind,
    val payload: ByteArray,
    private val signatures: List<Pair<String, ByteArray>>,
    val documents: List<Envelope>,
) {
    /** Returns which of [keys] (by fingerprint) signed the payload, if they are enough different ones. */
    fun checkSigned(keys: Map<String, EcdsaKey>, threshold: Int): Set<String> {
        val signed = signatures.filter { (name, value) -> keys[name]?.let { holds(it, value) } ?: false }
        val signers = signed.map { it.first }.toSet()
        if (signers.size < threshold) {
            throw SignatureError("the ${kind.words} is signed by ${signers.size} of its roots, and $threshold are needed")
        }
        return signers
    }

    private fun holds(key: EcdsaKey, signature: ByteArray): Boolean =
        try {
            key.verify(signature, kind.type, payload)
            true
        } catch (_: SignatureError) {
            false
        }

    companion object {
        private const val LARGEST = 2 shl 20
        private const val MOST_SIGNATURES = 64
        private const val MOST_DOCUMENTS = 64
        private const val LARGEST_SIGNATURE = 160
        private const val MOST_VALUES = 50_000

        /** Takes a file apart without trusting any of it. */
        fun parse(data: ByteArray, kind: EnvelopeKind): Envelope {
            if (data.size > LARGEST) throw MalformedError("trust file: larger than 2 MiB")
            return read(CanonicalJson.decode(data, "trust file", MOST_VALUES), kind)
        }

        private fun read(value: Any?, kind: EnvelopeKind): Envelope = Record.read(value, "trust file") {
            if (text("payloadType") != kind.type) throw SignatureError("the file is a document of another kind")
            val payload = base64("payload", LARGEST)
            val signatures = items("signatures", MOST_SIGNATURES).map(::signature)
            Envelope(kind, payload, signatures, documents(this))
        }

        private fun documents(record: Record): List<Envelope> {
            if ("documents" !in record) return emptyList()
            val documents = record.items("documents", MOST_DOCUMENTS).map { read(it, EnvelopeKind.ROOTS) }
            if (documents.isEmpty() || documents.any { it.documents.isNotEmpty() }) {
                throw record.fault("documents", "must list roots documents, which bring none along")
            }
            return documents
        }

        private fun signature(item: Any?) = Record.read(item, "trust file: signature") {
            hexadecimal("key", 32).toHexadecimal() to base64("signature", LARGEST_SIGNATURE)
        }
    }
}
