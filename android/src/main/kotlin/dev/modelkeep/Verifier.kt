package dev.modelkeep

import dev.modelkeep.document.Manifest
import dev.modelkeep.document.ReleaseOrder
import dev.modelkeep.document.SignerId
import dev.modelkeep.state.Judge
import dev.modelkeep.state.SeenTrust
import dev.modelkeep.trust.EcdsaKey
import dev.modelkeep.trust.Envelope
import dev.modelkeep.trust.EnvelopeKind
import dev.modelkeep.trust.OmsDocument
import dev.modelkeep.trust.SignedRelease
import dev.modelkeep.trust.Statement
import dev.modelkeep.trust.Ticket
import dev.modelkeep.trust.VerifiedTicket

/**
 * Whom a device believes, and which releases it accepts from them.
 *
 * @throws UsageError nobody is trusted, or an argument is not of its form.
 */
public class Verifier private constructor(
    private val keys: Map<String, EcdsaKey>,
    private val trust: TrustFile?,
    private val model: String,
    private val minimumEpoch: Long,
    private val maximumAgeSeconds: Long?,
    internal val clock: Clock,
    internal val requireInstalled: Boolean,
    private val second: SecondKey?,
    private val roots: List<CertificateRoots> = emptyList(),
) {
    init {
        if (keys.isEmpty() && roots.isEmpty()) throw UsageError("a verifier trusts somebody", "pass the publisher's public key")
        if (model != UNSAFE_ANY_MODEL && !Manifest.isModelId(model)) {
            throw UsageError("not a model id", "for example acme/detector")
        }
        if (minimumEpoch < 0 || (maximumAgeSeconds ?: 0) < 0) throw UsageError("limits are not negative")
    }

    /**
     * Trusts keys by themselves.
     *
     * @param publishers public keys of the publisher, each as a PEM SubjectPublicKeyInfo (P-256, P-384 or P-521).
     * @param model the model id expected, or [UNSAFE_ANY_MODEL].
     * @param minimumEpoch lowest epoch accepted, whatever the device remembers.
     * @param maximumAgeSeconds longest time since sealing, or null.
     * @param requireInstalled open installations only; bundles are there to be installed.
     * @param clock present time in seconds since 1970-01-01 UTC; the system's by default.
     * @param second a key whose second signature every bundle must have as well, or null.
     * @param roots authorities whose certificates may sign, beside or in place of [publishers].
     */
    @JvmOverloads
    @Throws(KeepError::class)
    public constructor(
        publishers: List<String>,
        model: String,
        minimumEpoch: Long = 0,
        maximumAgeSeconds: Long? = null,
        requireInstalled: Boolean = false,
        clock: (() -> Long)? = null,
        second: SecondKey? = null,
        roots: List<CertificateRoots> = emptyList(),
    ) : this(
        publishers.map(::parseKey).associateBy { it.fingerprint },
        null,
        model,
        minimumEpoch,
        maximumAgeSeconds,
        clock?.let { Clock(it) } ?: Clock.system(),
        requireInstalled,
        second,
        roots,
    )

    /** Trusts one publisher. */
    @Throws(KeepError::class)
    public constructor(publisher: String, model: String) : this(listOf(publisher), model)

    /** Trusts the publishers of a trust file, within their limits. The parameters are those of the other constructor. */
    @JvmOverloads
    @Throws(KeepError::class)
    public constructor(
        trust: TrustFile,
        model: String,
        minimumEpoch: Long = 0,
        maximumAgeSeconds: Long? = null,
        requireInstalled: Boolean = false,
        clock: (() -> Long)? = null,
        second: SecondKey? = null,
    ) : this(
        trust.keys,
        trust,
        model,
        minimumEpoch,
        maximumAgeSeconds,
        clock?.let { Clock(it) } ?: Clock.system(),
        requireInstalled,
        second,
    )

    /** Whom this verifier believes, whatever the time. */
    internal val judge: Judge = object : Judge {
        override fun vouches(model: String, signer: SignerId): Boolean =
            trust?.vouches(model, signer) ?: (signer.key in keys || roots.any { it.vouches(signer) })

        override fun voids(bundle: String): Boolean = trust != null && bundle in trust.void

        override fun floor(model: String): ReleaseOrder? = trust?.floor(model)
    }

    /** What of the trust file a device remembers; null without one. */
    internal val seen: SeenTrust? get() = trust?.seen

    /** Returns the time that a device which knows [known] may remember. */
    internal fun persistable(known: Long): Long = clock.noEarlierThan(known).persistable(trust?.expires)

    /** Returns the same verifier with a clock that says no less than [moment]. */
    internal fun noEarlierThan(moment: Long) = Verifier(
        keys, trust, model, minimumEpoch, maximumAgeSeconds, clock.noEarlierThan(moment), requireInstalled, second, roots,
    )

    /** Returns what a ticket says, and whose word it is; no clock is asked. */
    internal fun verifyTicket(data: ByteArray): VerifiedTicket {
        val envelope = Envelope.parse(data, EnvelopeKind.TICKET)
        val signers = trust?.checkSigned(envelope) ?: envelope.checkSigned(keys, 1)
        return VerifiedTicket(Ticket.parse(envelope.payload), signers)
    }

    internal class VerifiedStatement(val resources: Map<String, ByteArray>, val signer: SignerId)

    internal fun verifyStatement(document: ByteArray, secondDocument: ByteArray? = null): VerifiedStatement {
        trust?.checkTime(clock.forEnds())
        if (document.isEmpty()) throw SignatureError("the bundle is not signed", "seal it with a signer")
        val parsed = OmsDocument.parse(document)
        val signer = if (parsed.certificates.isEmpty()) verifyByKey(parsed) else verifyByChain(parsed)
        second?.verify(secondDocument, parsed.payload)
        return VerifiedStatement(Statement.parse(parsed.payload).resources, signer)
    }

    /** Applies model, epoch, age and the trust file to a manifest whose digest is verified. */
    internal fun check(manifest: Manifest, signer: SignerId) {
        if (model != UNSAFE_ANY_MODEL && manifest.model != model) {
            throw WrongModelError("this is model '${manifest.model}', not '$model'")
        }
        if (manifest.epoch < minimumEpoch) {
            throw RollbackError("epoch ${manifest.epoch} is below $minimumEpoch, the lowest one accepted")
        }
        val now = clock.forEnds(manifest.sealedAt)
        if (maximumAgeSeconds != null && now - manifest.sealedAt > maximumAgeSeconds) {
            throw ExpiredError("sealed ${now - manifest.sealedAt} seconds ago, too long", "get a newer release of the model")
        }
        val bundle = manifest.bundle.toHexadecimal()
        trust?.check(SignedRelease(manifest.model, manifest.family, manifest.sealedAt, bundle), signer, now)
    }

    internal fun now(manifest: Manifest) = Now(clock.forBegins(), clock.forEnds(manifest.sealedAt))

    private fun verifyByKey(document: OmsDocument): SignerId {
        // The hint is not signed: it only chooses among keys that are trusted anyway.
        val candidates = keys.values.filter { document.hint == null || it.fingerprint == document.hint }
        if (candidates.isEmpty()) throw untrusted(document.hint)
        val key = candidates.firstOrNull { verifies(it, document) } ?: throw SignatureError("the signature does not verify")
        return SignerId(key.fingerprint)
    }

    private fun verifyByChain(document: OmsDocument): SignerId {
        val key = EcdsaKey.of(document.certificates[0].publicKey)
            ?: throw SignatureError("the signing certificate is not for a P-256, P-384 or P-521 key")
        // A key that is trusted by itself needs no certificate.
        val signer = if (key.fingerprint in keys) SignerId(key.fingerprint) else checkChain(document, key)
        key.verify(document.signature, OmsDocument.PAYLOAD_TYPE, document.payload)
        return signer
    }

    private fun checkChain(document: OmsDocument, key: EcdsaKey): SignerId {
        var refusal: RefusedError = untrusted(key.fingerprint)
        for (each in roots) {
            try {
                return each.check(document.certificates, clock.forEnds())
            } catch (error: ExpiredError) {
                refusal = if (document.hasTimestamps) ExpiredError(error.message!!, UNREAD_TIMESTAMPS) else error
            } catch (error: RefusedError) {
                refusal = error
            }
        }
        throw refusal
    }

    private fun verifies(key: EcdsaKey, document: OmsDocument): Boolean =
        try {
            key.verify(document.signature, OmsDocument.PAYLOAD_TYPE, document.payload)
            true
        } catch (_: SignatureError) {
            false
        }

    private fun untrusted(key: String?): UntrustedSignerError {
        if (key != null && trust?.isRevoked(key) == true) {
            return UntrustedSignerError("signed by a key that is revoked", "get a newer release of the model")
        }
        return UntrustedSignerError(
            "signed by somebody who is not trusted here",
            "check that this is the publisher you expect, then add its key or root to the verifier",
        )
    }

    public companion object {
        /** Accepts every model of a trusted publisher: one model can then be passed off as another. */
        public const val UNSAFE_ANY_MODEL: String = "*"

        private const val UNREAD_TIMESTAMPS =
            "its timestamp is not read on Android: sign with a certificate that lasts, or with a key that is trusted by itself"

        internal fun parseKey(pem: String): EcdsaKey =
            EcdsaKey.fromPem(pem) ?: throw UsageError(
                "not a public key that can be trusted",
                "expected a P-256, P-384 or P-521 key: the text that begins with -----BEGIN PUBLIC KEY-----",
            )
    }
}
