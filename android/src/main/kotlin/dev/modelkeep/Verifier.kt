package dev.modelkeep

import dev.modelkeep.document.Manifest
import dev.modelkeep.trust.EcdsaKey
import dev.modelkeep.trust.OmsDocument
import dev.modelkeep.trust.Statement

/**
 * Whom a device believes, and which releases it accepts from them.
 *
 * @param publishers public keys of the publisher, each as a PEM SubjectPublicKeyInfo (P-256, P-384 or P-521).
 * @param model the model id expected, or [UNSAFE_ANY_MODEL].
 * @param minimumEpoch lowest epoch accepted: keep the highest one seen, so that nothing older comes back.
 * @param maximumAgeSeconds longest time since sealing, or null.
 * @param clock present time in seconds since 1970-01-01 UTC.
 * @throws UsageError nobody is trusted, or an argument is not of its form.
 */
public class Verifier @JvmOverloads constructor(
    publishers: List<String>,
    private val model: String,
    private val minimumEpoch: Long = 0,
    private val maximumAgeSeconds: Long? = null,
    private val clock: () -> Long = { System.currentTimeMillis() / 1000 },
) {
    private val keys: Map<String, EcdsaKey> = publishers.map(::parse).associateBy { it.fingerprint }

    init {
        if (keys.isEmpty()) throw UsageError("a verifier trusts somebody", "pass the publisher's public key")
        if (model != UNSAFE_ANY_MODEL && !Manifest.isModelId(model)) {
            throw UsageError("not a model id", "for example acme/detector")
        }
        if (minimumEpoch < 0 || (maximumAgeSeconds ?: 0) < 0) throw UsageError("limits are not negative")
    }

    /** Takes one publisher. */
    public constructor(publisher: String, model: String) : this(listOf(publisher), model)

    internal class VerifiedStatement(val resources: Map<String, ByteArray>, val signer: String)

    internal fun verifyStatement(document: ByteArray): VerifiedStatement {
        if (document.isEmpty()) throw SignatureError("the bundle is not signed", "seal it with a signer")
        val parsed = OmsDocument.parse(document)
        val key = if (parsed.certificateKey == null) verifyByKey(parsed) else verifyByCertificate(parsed)
        return VerifiedStatement(Statement.parse(parsed.payload).resources, "key sha256:${key.fingerprint}")
    }

    /** Applies model, epoch and age to a manifest whose digest is verified. */
    internal fun check(manifest: Manifest) {
        if (model != UNSAFE_ANY_MODEL && manifest.model != model) {
            throw WrongModelError("this is model '${manifest.model}', not '$model'")
        }
        if (manifest.epoch < minimumEpoch) {
            throw RollbackError("epoch ${manifest.epoch} is below $minimumEpoch, the lowest one accepted")
        }
        val age = now(manifest) - manifest.sealedAt
        if (maximumAgeSeconds != null && age > maximumAgeSeconds) {
            throw ExpiredError("sealed $age seconds ago, too long", "get a newer release of the model")
        }
    }

    /** Returns the clock's time, or the time that the publisher signed if the clock is behind it. */
    internal fun now(manifest: Manifest): Long = maxOf(clock(), manifest.sealedAt)

    private fun verifyByKey(document: OmsDocument): EcdsaKey {
        // The hint is not signed: it only chooses among keys that are trusted anyway.
        val candidates = keys.values.filter { document.hint == null || it.fingerprint == document.hint }
        if (candidates.isEmpty()) throw untrusted()
        return candidates.firstOrNull { verifies(it, document) }
            ?: throw SignatureError("the signature does not verify")
    }

    private fun verifyByCertificate(document: OmsDocument): EcdsaKey {
        // A key that is trusted by itself needs no certificate; roots are not supported here.
        val key = keys[document.certificateKey?.fingerprint] ?: throw untrusted()
        key.verify(document.signature, OmsDocument.PAYLOAD_TYPE, document.payload)
        return key
    }

    private fun verifies(key: EcdsaKey, document: OmsDocument): Boolean =
        try {
            key.verify(document.signature, OmsDocument.PAYLOAD_TYPE, document.payload)
            true
        } catch (_: SignatureError) {
            false
        }

    private fun untrusted() = UntrustedSignerError(
        "signed by somebody who is not trusted here",
        "check that this is the publisher you expect, then add the key to the verifier",
    )

    private fun parse(pem: String): EcdsaKey =
        EcdsaKey.fromPem(pem) ?: throw UsageError(
            "not a public key that can be trusted",
            "expected a P-256, P-384 or P-521 key: the text that begins with -----BEGIN PUBLIC KEY-----",
        )

    public companion object {
        /** Accepts every model of a trusted publisher: one model can then be passed off as another. */
        public const val UNSAFE_ANY_MODEL: String = "*"
    }
}
