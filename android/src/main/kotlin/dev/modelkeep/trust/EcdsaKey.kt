package dev.modelkeep.trust

import dev.modelkeep.SignatureError
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import java.security.AlgorithmParameters
import java.security.GeneralSecurityException
import java.security.KeyFactory
import java.security.PublicKey
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import java.security.spec.ECParameterSpec
import java.security.spec.X509EncodedKeySpec
import kotlin.io.encoding.Base64

/**
 * A P-256, P-384 or P-521 key that verifies DSSE signatures; the curve decides the hash.
 * Source: DSSE protocol v1.0; spec/bundle-v1.md, section 4.
 */
internal class EcdsaKey private constructor(private val key: ECPublicKey, private val algorithm: String) {
    /** Hexadecimal SHA-256 of the PEM form: the hint of a signature made with a bare key. */
    val fingerprint: String = sha256(pem(key.encoded)).toHexadecimal()

    /** Checks a DSSE signature (DER) over [payload]. */
    fun verify(signature: ByteArray, payloadType: String, payload: ByteArray) {
        val isGood = try {
            Signature.getInstance(algorithm).run {
                initVerify(key)
                update("DSSEv1 ${payloadType.length} $payloadType ${payload.size} ".encodeToByteArray())
                update(payload)
                verify(signature)
            }
        } catch (_: GeneralSecurityException) {
            false
        }
        if (!isGood) throw SignatureError("the signature does not verify")
    }

    companion object {
        private const val LINE = 64
        private val ALGORITHMS = mapOf(
            "secp256r1" to "SHA256withECDSA",
            "secp384r1" to "SHA384withECDSA",
            "secp521r1" to "SHA512withECDSA",
        )

        /** Returns the key, or null when it is of another kind or on another curve. */
        fun of(key: PublicKey): EcdsaKey? {
            if (key !is ECPublicKey) return null
            val curve = ALGORITHMS.keys.firstOrNull { isOn(key.params, it) } ?: return null
            return EcdsaKey(key, ALGORITHMS.getValue(curve))
        }

        /** Returns the key in a DER SubjectPublicKeyInfo, or null. */
        fun fromDer(der: ByteArray): EcdsaKey? =
            try {
                of(KeyFactory.getInstance("EC").generatePublic(X509EncodedKeySpec(der)))
            } catch (_: GeneralSecurityException) {
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

        private fun isOn(params: ECParameterSpec, curve: String): Boolean {
            val named = AlgorithmParameters.getInstance("EC").run {
                init(ECGenParameterSpec(curve))
                getParameterSpec(ECParameterSpec::class.java)
            }
            return params.curve == named.curve && params.generator == named.generator && params.order == named.order
        }

        private fun pem(der: ByteArray): ByteArray =
            Base64.encode(der).chunked(LINE)
                .joinToString("\n", "-----BEGIN PUBLIC KEY-----\n", "\n-----END PUBLIC KEY-----\n")
                .encodeToByteArray()

        private val PEM = Regex("-----BEGIN PUBLIC KEY-----\\s([A-Za-z0-9+/=\\s]+)-----END PUBLIC KEY-----")
    }
}
