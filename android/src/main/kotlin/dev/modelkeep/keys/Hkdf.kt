package dev.modelkeep.keys

import dev.modelkeep.wipe
import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec

/** HKDF with SHA-256 (RFC 5869). */
internal object Hkdf {
    private const val HASH = 32

    /** Returns 32 bytes; no [salt] means 32 zero bytes, as RFC 5869 has it. */
    fun derive(input: ByteArray, salt: ByteArray?, info: ByteArray): ByteArray {
        val key = extract(salt ?: ByteArray(0), input)
        return expand(key, info, HASH).also { key.wipe() }
    }

    fun extract(salt: ByteArray, input: ByteArray): ByteArray =
        hmac(if (salt.isEmpty()) ByteArray(HASH) else salt, input)

    /** Returns the first [length] bytes, 32 at most. */
    fun expand(key: ByteArray, info: ByteArray, length: Int): ByteArray =
        hmac(key, info + 1).copyOf(length)

    fun hmac(key: ByteArray, message: ByteArray): ByteArray =
        Mac.getInstance("HmacSHA256").run {
            init(SecretKeySpec(key, "HmacSHA256"))
            doFinal(message)
        }
}
