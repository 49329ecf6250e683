package dev.modelkeep.trust

import dev.modelkeep.SignatureError
import dev.modelkeep.platform
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import java.security.KeyFactory
import java.security.PublicKey
import java.security.Signature
import java.security.SignatureException
import java.security.interfaces.ECPublicKey
import java.security.spec.InvalidKeySpecException
import java.security.spec.X509EncodedKeySpec
import kotlin.io.encoding.Base64

/**
 * A P-256, P-384 or P-521 key that verifies DSSE signatures; the curve decides the hash.
 * Source: DSSE protocol v1.0; spec/bundle-v1.md, section 4.
 */
internal class EcdsaKey private constructor(private val key: ECPublicKey, private val curve: Curve) {
    /** Hexadecimal SHA-256 of the PEM form: the hint of a signature made with a bare key. */
    val fingerprint: String = sha256(pem(key.encoded)).toHexadecimal()

    /** Checks a DSSE signature (DER) over [payload]. */
    fun verify(signature: ByteArray, payloadType: String, payload: ByteArray) {
        val isGood = platform {
            val verifier = Signature.getInstance(curve.signature)
            verifier.initVerify(key)
            verifier.update("DSSEv1 ${payloadType.length} $payloadType ${payload.size} ".encodeToByteArray())
            verifier.update(payload)
            try {
                verifier.verify(signature)
            } catch (_: SignatureException) {
                // Not a signature in DER.
                false
            }
        }
        if (!isGood) throw SignatureError("the signature does not verify")
    }

    companion object {
        private const val LINE = 64

        /** Returns the key, or null when it is of another kind or on another curve. */
        fun of(key: PublicKey): EcdsaKey? {
            if (key !is ECPublicKey) return null
            return Curve.of(key.params)?.let { EcdsaKey(key, it) }
        }

        /** Returns the key in a DER SubjectPublicKeyInfo, or null. */
        fun fromDer(der: ByteArray): EcdsaKey? =
            try {
                of(platform { KeyFactory.getInstance("EC") }.generatePublic(X509EncodedKeySpec(der)))
            } catch (_: InvalidKeySpecException) {
                null
            }

        /** Returns the key in a PEM SubjectPublicKeyInfo, or null. */
        fun fromPem(pem: String): EcdsaKey? {
            val body = PEM.matchEntire(pem.trim())?.groupValues?.get(1) ?: return null
            val der = try {
                Base64.decode(body.filterNot { it.isWhitespace() })
            } catch (_: IllegalArgumentException) {
                return null
            }
            return fromDer(der)
        }

        private fun pem(der: ByteArray): ByteArray =
            Base64.encode(der).chunked(LINE)
                .joinToString("\n", "-----BEGIN PUBLIC KEY-----\n", "\n-----END PUBLIC KEY-----\n")
                .encodeToByteArray()

        private val PEM = Regex("-----BEGIN PUBLIC KEY-----\\s([A-Za-z0-9+/=\\s]+)-----END PUBLIC KEY-----")
    }
}
