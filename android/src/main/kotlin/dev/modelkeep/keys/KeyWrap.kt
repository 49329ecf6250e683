package dev.modelkeep.keys

import dev.modelkeep.platform
import dev.modelkeep.wipedAfter
import java.security.InvalidKeyException
import javax.crypto.Cipher
import javax.crypto.spec.SecretKeySpec

/**
 * AES-256 key wrap (RFC 3394) under a shared secret. It has no associated data, so the wrapping key
 * itself depends on the context. Source: spec/grant-v1.md, section 4.2.
 */
internal object KeyWrap {
    private const val BLOCK = 8
    private const val SHORTEST = 3 * BLOCK

    fun wrap(shared: ByteArray, secret: ByteArray, context: ByteArray): ByteArray =
        platform { cipher(Cipher.WRAP_MODE, shared, context).wrap(SecretKeySpec(secret, "AES")) }

    /** Returns the unwrapped bytes, or null when they do not unwrap. */
    fun unwrap(shared: ByteArray, wrapped: ByteArray, context: ByteArray): ByteArray? {
        if (wrapped.size < SHORTEST || wrapped.size % BLOCK != 0) return null
        return platform {
            val cipher = cipher(Cipher.UNWRAP_MODE, shared, context)
            try {
                cipher.unwrap(wrapped, "AES", Cipher.SECRET_KEY).encoded
            } catch (_: InvalidKeyException) {
                null
            }
        }
    }

    private fun cipher(mode: Int, shared: ByteArray, context: ByteArray): Cipher =
        Hkdf.expand(shared, context, 32).wipedAfter { key ->
            Cipher.getInstance("AESWrap").also { it.init(mode, SecretKeySpec(key, "AES")) }
        }
}
