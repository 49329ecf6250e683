package dev.modelkeep

import dev.modelkeep.trust.EcdsaKey
import dev.modelkeep.trust.Envelope
import dev.modelkeep.trust.EnvelopeKind
import dev.modelkeep.trust.RootsDocument

/**
 * Who signs trust files: keys that a device was given one by one, or a chain of documents about them, which a device that
 * knows one document follows to the newest. Source: spec/trust-v1.md, section 5.
 */
public class Roots private constructor(
    internal val keys: Map<String, EcdsaKey>,
    internal val threshold: Int,
    internal val newest: RootsDocument? = null,
    /** Digest of each document that was followed, by its number. */
    internal val documents: Map<Long, String> = emptyMap(),
) {
    /** Follows the chain along the documents that a trust file brings: from the first to the newest. */
    internal fun following(brought: List<Envelope>): Roots {
        if (newest == null || brought.isEmpty()) return this
        val chain = brought.drop(1).fold(of(brought[0]), Roots::after)
        checkKnown(newest, chain)
        return chain
    }

    private fun after(envelope: Envelope): Roots {
        val following = of(envelope)
        following.newest!!.checkFollows(newest!!)
        envelope.checkSigned(keys, threshold)
        return Roots(following.keys, following.threshold, following.newest, documents + following.documents)
    }

    private fun checkKnown(known: RootsDocument, chain: Roots) {
        if (chain.documents.keys.max() < known.number) throw replaced()
        if ((chain.documents[known.number] ?: known.digest) != known.digest) {
            throw SignatureError(
                "there are two roots documents with number ${known.number}",
                "somebody has signed both: report it to the publisher, and trust neither",
            )
        }
    }

    /** Checks that a trust file is one of these roots' own; loose keys are not named anywhere. */
    internal fun checkNamed(set: String?, number: Long) {
        if (newest == null) return
        if (set != newest.set || number > newest.number) {
            throw SignatureError("the trust file is not one of these roots", "ask the publisher for theirs")
        }
        if (number < newest.number) throw replaced()
        // The chain is named by its first document: who is not shown that one cannot know whose it is.
        if (FIRST !in documents) {
            throw SignatureError(
                "the trust file does not bring its roots documents from the first one on",
                "make it with the newest roots document, which has those before it inside",
            )
        }
    }

    private fun replaced() = RollbackError("the trust file is of roots that were replaced since", "bring a newer one")

    public companion object {
        /**
         * Takes keys that were given one by one.
         *
         * @param keys each as a PEM SubjectPublicKeyInfo (P-256, P-384 or P-521).
         * @param threshold how many of them must have signed a trust file.
         * @throws UsageError no keys, or a threshold that cannot be reached.
         */
        @JvmStatic
        @JvmOverloads
        @Throws(KeepError::class)
        public fun ofKeys(keys: List<String>, threshold: Int = 1): Roots {
            val named = keys.map(Verifier::parseKey).associateBy { it.fingerprint }
            if (threshold !in 1..named.size) {
                throw UsageError("the threshold of a trust file lies between 1 and the number of different roots")
            }
            return Roots(named, threshold)
        }

        /**
         * Takes a document of a chain, any one, as it was given to the device.
         *
         * @throws SignatureError its own roots have not signed it.
         * @throws MalformedError not a roots document.
         */
        @JvmStatic
        @Throws(KeepError::class)
        public fun ofDocument(data: ByteArray): Roots = of(Envelope.parse(data, EnvelopeKind.ROOTS))

        private const val FIRST = 1L

        private fun of(envelope: Envelope): Roots {
            val document = RootsDocument.parse(envelope.payload)
            envelope.checkSigned(document.keys, document.threshold)
            return Roots(document.keys, document.threshold, document, mapOf(document.number to document.digest))
        }
    }
}
