package dev.modelkeep

import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.trust.Dsse
import dev.modelkeep.trust.OmsDocument
import dev.modelkeep.trust.Pem
import java.security.KeyFactory
import java.security.NoSuchAlgorithmException
import java.security.Provider
import java.security.Signature
import java.security.SignatureException
import java.security.spec.X509EncodedKeySpec

/**
 * An ML-DSA-65 public key whose second signature every bundle must have; hand it to [Verifier]. It holds where ECDSA no
 * longer does. Source: spec/bundle-v1.md, section 4.1; FIPS 204.
 *
 * @param pem the key, as `modelkeep keys create --kind ml-dsa-65` printed it.
 * @param provider who computes ML-DSA: `BouncyCastleProvider()` of `bcprov-jdk18on`, 1.79 or newer. Null asks the installed ones.
 * @throws UsageError not an ML-DSA-65 public key.
 * @throws PlatformError no provider has ML-DSA.
 */
public class SecondKey @JvmOverloads @Throws(KeepError::class) constructor(pem: String, private val provider: Provider? = null) {
    private val der = Pem.decode(pem)?.takeIf(::isOurs) ?: throw UsageError("not an ML-DSA-65 public key", "pass the public key of the second signer")
    private val fingerprint = Pem.fingerprint(der)
    private val key = withMlDsa {
        val factory = if (provider == null) KeyFactory.getInstance(NAME) else KeyFactory.getInstance(NAME, provider)
        factory.generatePublic(X509EncodedKeySpec(der))
    }

    /** Checks the second signature over the statement [payload], or says that it is missing. */
    internal fun verify(document: ByteArray?, payload: ByteArray) {
        if (document == null) throw SignatureError("the bundle has no second signature", "seal it with a second signer")
        val (claimed, value) = parse(document)
        if (claimed != fingerprint) {
            throw UntrustedSignerError("the second signature is of key sha256:$claimed, which is not trusted here")
        }
        if (!verifies(value, payload)) throw SignatureError("the second signature does not verify")
    }

    private fun verifies(value: ByteArray, payload: ByteArray): Boolean = withMlDsa {
        val signature = if (provider == null) Signature.getInstance(NAME) else Signature.getInstance(NAME, provider)
        signature.initVerify(key)
        signature.update(Dsse.encode(OmsDocument.PAYLOAD_TYPE, payload))
        try {
            signature.verify(value)
        } catch (_: SignatureException) {
            false
        }
    }

    private companion object {
        private const val NAME = "ML-DSA-65"
        private const val MEDIA_TYPE = "application/vnd.modelkeep.signature.v1+json"
        private const val SIGNATURE = 3309
        private const val LARGEST = 128 shl 10

        /** What a SubjectPublicKeyInfo of such a key begins with (RFC 9881), and how long it is. */
        private const val PREFIX = "308207b2300b0609608648016503040312038207a100"
        private const val LENGTH = 1974

        fun isOurs(der: ByteArray): Boolean = der.size == LENGTH && der.toHexadecimal().startsWith(PREFIX)

        fun parse(document: ByteArray): Pair<String, ByteArray> {
            if (document.size > LARGEST) throw MalformedError("second signature: too long")
            return Record.read(CanonicalJson.decode(document, "second signature"), "second signature") {
                choice("mediaType", mapOf(MEDIA_TYPE to Unit))
                choice("algorithm", mapOf("ml-dsa-65" to Unit))
                hexadecimal("key", 32).toHexadecimal() to base64("signature", SIGNATURE)
            }
        }

        inline fun <T> withMlDsa(action: () -> T): T =
            try {
                platform(action)
            } catch (error: PlatformError) {
                if (error.cause is NoSuchAlgorithmException) throw PlatformError(error.cause!!, "pass a provider that has ML-DSA, for example BouncyCastleProvider()")
                throw error
            }
    }
}
