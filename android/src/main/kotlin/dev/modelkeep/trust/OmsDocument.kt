package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import java.io.ByteArrayInputStream
import java.security.cert.CertificateException
import java.security.cert.CertificateFactory

/**
 * A parsed signature document of OpenSSF Model Signing; nothing in it is verified yet.
 * Source: OpenSSF Model Signing specification 1.0, Sigstore bundle v0.3, DSSE v1.0;
 * spec/bundle-v1.md, section 4.
 *
 * @property payload the signed statement, exactly as received.
 * @property signature ECDSA signature in DER.
 * @property hint claims which key signed; null when it does not say.
 * @property certificateKey the key of the signing certificate, where there is a certificate chain.
 */
internal class OmsDocument private constructor(
    val payload: ByteArray,
    val signature: ByteArray,
    val hint: String?,
    val certificateKey: EcdsaKey?,
) {
    companion object {
        const val PAYLOAD_TYPE = "application/vnd.in-toto+json"
        private const val MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
        private const val LARGEST = 8 shl 20
        private const val LARGEST_CERTIFICATE = 1 shl 16
        private const val LARGEST_SIGNATURE = 1024

        /** Nobody vouches for this document yet. */
        private const val MOST_VALUES = 10_000
        private const val MOST_CERTIFICATES = 16

        /** Takes a signature document apart without trusting any of it. */
        fun parse(document: ByteArray): OmsDocument {
            if (document.size > LARGEST) throw MalformedError("signature: larger than 8 MiB")
            return Record.read(CanonicalJson.decodeLenient(document, "signature", MOST_VALUES), "signature") {
                choice("mediaType", mapOf(MEDIA_TYPE to Unit))
                val (hint, key) = nested("verificationMaterial") { material(this) }
                val (payload, signature) = nested("dsseEnvelope") { envelope(this) }
                OmsDocument(payload, signature, hint, key)
            }
        }

        private fun material(record: Record): Pair<String?, EcdsaKey?> {
            // Transparency log entries and timestamps prove nothing here: time comes from the verifier.
            record.skip("tlogEntries", "timestampVerificationData")
            if ("certificate" in record) {
                throw SignatureError(
                    "signed with a Sigstore identity, which needs Sigstore's online trust root",
                    "sign with a private key",
                )
            }
            if ("x509CertificateChain" in record) return null to record.nested("x509CertificateChain", ::leafKey)
            return record.nested("publicKey") {
                skip("rawBytes", "keyDetails")
                hint(this)
            } to null
        }

        private fun hint(record: Record): String? {
            if ("hint" !in record) return null
            val hint = record.anything("hint") ?: return null
            if (hint !is String || hint.length > 128 || hint.any { it < ' ' || it > '~' }) {
                throw record.fault("hint", "must be a short printable string or null")
            }
            return hint.ifEmpty { null }
        }

        private fun leafKey(record: Record): EcdsaKey {
            val items = record.items("certificates", MOST_CERTIFICATES)
            if (items.isEmpty()) throw record.fault("certificates", "must not be empty")
            val certificates = items.map { item ->
                Record.read(item, "signature: certificate") { base64("rawBytes", LARGEST_CERTIFICATE) }
            }
            val certificate = try {
                CertificateFactory.getInstance("X.509").generateCertificate(ByteArrayInputStream(certificates[0]))
            } catch (_: CertificateException) {
                throw MalformedError("signature: not an X.509 certificate in DER form")
            }
            return EcdsaKey.of(certificate.publicKey)
                ?: throw SignatureError("the signing certificate is not for a P-256, P-384 or P-521 key")
        }

        private fun envelope(record: Record): Pair<ByteArray, ByteArray> {
            record.choice("payloadType", mapOf(PAYLOAD_TYPE to Unit))
            val payload = record.base64("payload", LARGEST)
            val signatures = record.items("signatures", 1)
            if (signatures.isEmpty()) throw SignatureError("the signature document holds no signature")
            return Record.read(signatures[0], "signature: envelope") {
                skip("keyid")
                payload to base64("sig", LARGEST_SIGNATURE)
            }
        }
    }
}
