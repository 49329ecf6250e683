package dev.modelkeep.trust

import dev.modelkeep.SignatureError
import dev.modelkeep.platform
import java.security.KeyFactory
import java.security.PublicKey
import java.security.Signature
import java.security.SignatureException
import java.security.interfaces.ECPublicKey
import java.security.spec.InvalidKeySpecException
import java.security.spec.X509EncodedKeySpec

/**
 * A P-256, P-384 or P-521 key that verifies DSSE signatures; the curve decides the hash.
 * Source: DSSE protocol v1.0; spec/bundle-v1.md, section 4.
 */
internal class EcdsaKey private constructor(private val key: ECPublicKey, private val curve: Curve) {
    /** Hexadecimal SHA-256 of the PEM form: the hint of a signature made with a bare key. */
    val fingerprint: String = Pem.fingerprint(key.encoded)

    /** Checks a DSSE signature (DER) over [payload]. */
    fun verify(signature: ByteArray, payloadType: String, payload: ByteArray) {
        val isGood = platform {
            val verifier = Signature.getInstance(curve.signature)
            verifier.initVerify(key)
            verifier.update(Dsse.encode(payloadType, payload))
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
        fun fromPem(pem: String): EcdsaKey? = Pem.decode(pem)?.let(::fromDer)
    }
}

/** What a signature of the protocol DSSE covers. */
internal object Dsse {
    fun encode(payloadType: String, payload: ByteArray): ByteArray =
        "DSSEv1 ${payloadType.length} $payloadType ${payload.size} ".encodeToByteArray() + payload
}
