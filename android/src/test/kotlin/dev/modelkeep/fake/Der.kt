package dev.modelkeep.fake

import java.math.BigInteger
import java.security.PublicKey

/** Just enough DER to write the certificate that KeyMint gives with a key. */
internal object Der {
    /**
     * Returns a certificate for [key]. Its signature is zeros, as KeyMint's is for a key that cannot sign and
     * was made without a challenge; with a [challenge] it carries an attestation extension that holds it.
     */
    fun certificate(key: PublicKey, securityLevel: Int, challenge: ByteArray?): ByteArray {
        val algorithm = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
        val name = sequence(set(sequence(oid(0x55, 0x04, 0x03) + tagged(0x0c, "Android Keystore Key".toByteArray()))))
        val validity = sequence(time("700101000000Z") + time("480101000000Z"))
        val extensions = challenge?.let { tagged(0xa3, sequence(attestation(it, securityLevel))) } ?: ByteArray(0)
        val version = tagged(0xa0, integer(2))
        val body = sequence(version + integer(1) + algorithm + name + validity + name + key.encoded + extensions)
        return sequence(body + algorithm + tagged(0x03, ByteArray(9)))
    }

    /** Source: "Key and ID attestation" of the Android documentation, KeyDescription. */
    private fun attestation(challenge: ByteArray, securityLevel: Int): ByteArray {
        val level = tagged(0x0a, byteArrayOf(securityLevel.toByte()))
        val octets = tagged(0x04, challenge) + tagged(0x04, ByteArray(0))
        val empty = sequence(ByteArray(0))
        val description = sequence(integer(300) + level + integer(300) + level + octets + empty + empty)
        val id = oid(0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x01, 0x11)
        return sequence(id + tagged(0x04, description))
    }

    private fun sequence(content: ByteArray) = tagged(0x30, content)

    private fun set(content: ByteArray) = tagged(0x31, content)

    private fun time(text: String) = tagged(0x17, text.toByteArray())

    private fun integer(value: Long) = tagged(0x02, BigInteger.valueOf(value).toByteArray())

    private fun oid(vararg bytes: Int) = tagged(0x06, ByteArray(bytes.size) { bytes[it].toByte() })

    private fun tagged(tag: Int, content: ByteArray): ByteArray {
        val length = when {
            content.size < 0x80 -> byteArrayOf(content.size.toByte())
            content.size < 0x100 -> byteArrayOf(0x81.toByte(), content.size.toByte())
            else -> byteArrayOf(0x82.toByte(), (content.size shr 8).toByte(), content.size.toByte())
        }
        return byteArrayOf(tag.toByte()) + length + content
    }
}
