package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import java.io.ByteArrayInputStream
import java.security.cert.CertificateException
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate

/**
 * A parsed signature document of OpenSSF Model Signing; nothing in it is verified yet.
 * Source: OpenSSF Model Signing specification 1.0, Sigstore bundle v0.3, DSSE v1.0;
 * spec/bundle-v1.md, section 4.
 *
 * @property payload the signed statement, exactly as received.
 * @property signature ECDSA signature in DER.
 * @property hint claims which key signed; null when it does not say.
 * @property certificates claimed certificates, the signing one first; empty for a bare key.
 * @property hasTimestamps it brings timestamps of authorities, which this library does not read.
 */
internal class OmsDocument private constructor(
    val payload: ByteArray,
    val signature: ByteArray,
    val hint: String?,
    val certificates: List<X509Certificate>,
    val hasTimestamps: Boolean,
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
                var hasTimestamps = false
                val (hint, certificates) = nested("verificationMaterial") {
                    hasTimestamps = "timestampVerificationData" in this
                    material(this)
                }
                val (payload, signature) = nested("dsseEnvelope") { envelope(this) }
                OmsDocument(payload, signature, hint, certificates, hasTimestamps)
            }
        }

        private fun material(record: Record): Pair<String?, List<X509Certificate>> {
            // Transparency log entries and timestamps prove nothing here: time comes from the verifier.
            record.skip("tlogEntries", "timestampVerificationData")
            if ("certificate" in record) {
                throw SignatureError(
                    "signed with a Sigstore identity, which is not verified on Android",
                    "sign for Android with a private key or with a certificate chain",
                )
            }
            if ("x509CertificateChain" in record) return null to record.nested("x509CertificateChain", ::chain)
            return record.nested("publicKey") {
                skip("rawBytes", "keyDetails")
                hint(this)
            } to emptyList()
        }

        private fun hint(record: Record): String? {
            if ("hint" !in record) return null
            val hint = record.anything("hint") ?: return null
            if (hint !is String || hint.length > 128 || hint.any { it < ' ' || it > '~' }) {
                throw record.fault("hint", "must be a short printable string or null")
            }
            return hint.ifEmpty { null }
        }

        private fun chain(record: Record): List<X509Certificate> {
            val items = record.items("certificates", MOST_CERTIFICATES)
            if (items.isEmpty()) throw record.fault("certificates", "must not be empty")
            return items.map(::certificate)
        }

        private fun certificate(item: Any?): X509Certificate {
            val data = Record.read(item, "signature: certificate") { base64("rawBytes", LARGEST_CERTIFICATE) }
            return try {
                CertificateFactory.getInstance("X.509").generateCertificate(ByteArrayInputStream(data)) as X509Certificate
            } catch (_: CertificateException) {
                throw MalformedError("signature: not an X.509 certificate in DER form")
            }
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
