package dev.modelkeep.keys

import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.UntrustedSignerError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import dev.modelkeep.trust.EcdsaKey
import kotlin.io.encoding.Base64

/**
 * The data key wrapped for one recipient. Source: spec/grant-v1.md, section 1.
 *
 * @property headerBytes the header exactly as it is bound into [wrapped].
 * @property wrapped the encrypted grant secret; its form depends on the type.
 * @property issuer fingerprint of the issuer's key, or null when unsigned.
 */
internal class Grant(
    val header: GrantHeader,
    private val headerBytes: ByteArray,
    val wrapped: ByteArray,
    private val issuer: String? = null,
    private val signature: ByteArray? = null,
) {
    /** What separates this use of the recipient's key from every other: label and digest of the header. */
    val context: ByteArray get() = context(headerBytes)

    /** Returns the canonical encoding. */
    fun toBytes(): ByteArray {
        val extra = if (issuer == null || signature == null) emptyMap() else {
            mapOf("issuer" to issuer, "signature" to Base64.encode(signature))
        }
        return CanonicalJson.encode(signedMembers() + extra)
    }

    /** Checks the issuer's signature against the keys (DER) that the manifest lists. */
    fun checkIssuer(issuers: List<ByteArray>) {
        if (issuer == null || signature == null) {
            throw SignatureError(
                "the grant is not signed, and this bundle accepts grants of listed issuers only",
                "ask the publisher for a signed grant",
            )
        }
        val keys = issuers.map {
            EcdsaKey.fromDer(it) ?: throw MalformedError("a listed grant issuer is not an elliptic-curve public key")
        }
        val key = keys.firstOrNull { it.fingerprint == issuer }
            ?: throw UntrustedSignerError("the grant's issuer is not one that this bundle lists")
        key.verify(signature, PAYLOAD_TYPE, CanonicalJson.encode(signedMembers()))
    }

    private fun signedMembers() =
        mapOf("header" to Base64.encode(headerBytes), "wrapped" to Base64.encode(wrapped))

    companion object {
        const val LARGEST = 8192
        private const val PAYLOAD_TYPE = "application/vnd.modelkeep.grant.v1+json"
        private const val LARGEST_SIGNATURE = 256

        fun context(headerBytes: ByteArray): ByteArray =
            "modelkeep/v1/grant".encodeToByteArray() + sha256(headerBytes)

        /** Parses a grant. Nothing in it is authentic before its wrapped key has been opened. */
        fun parse(data: ByteArray): Grant {
            if (data.size > LARGEST) throw MalformedError("grant: larger than $LARGEST bytes")
            val makeGrant = Record.read(CanonicalJson.decode(data, "grant"), "grant") {
                val header = base64("header", LARGEST)
                val wrapped = base64("wrapped", LARGEST)
                val isSigned = "issuer" in this || "signature" in this
                val issuer = if (isSigned) hexadecimal("issuer", 32).toHexadecimal() else null
                val signature = if (isSigned) base64("signature", LARGEST_SIGNATURE) else null
                return@read { Grant(GrantHeader.parse(header), header, wrapped, issuer, signature) }
            }
            // Only now: a grant of broken form is broken, whatever version its header names.
            return makeGrant()
        }
    }
}
