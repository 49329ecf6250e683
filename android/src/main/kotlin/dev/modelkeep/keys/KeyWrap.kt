package dev.modelkeep.keys

import dev.modelkeep.wipedAfter
import java.security.GeneralSecurityException
import javax.crypto.Cipher
import javax.crypto.spec.SecretKeySpec

/**
 * AES-256 key wrap (RFC 3394) under a shared secret. It has no associated data, so the wrapping key
 * itself depends on the context. Source: spec/grant-v1.md, section 4.2.
 */
internal object KeyWrap {
    fun wrap(shared: ByteArray, secret: ByteArray, context: ByteArray): ByteArray =
        cipher(Cipher.WRAP_MODE, shared, context).wrap(SecretKeySpec(secret, "AES"))

    /** Returns the unwrapped bytes, or null when they do not unwrap. */
    fun unwrap(shared: ByteArray, wrapped: ByteArray, context: ByteArray): ByteArray? =
        try {
            cipher(Cipher.UNWRAP_MODE, shared, context).unwrap(wrapped, "AES", Cipher.SECRET_KEY).encoded
        } catch (_: GeneralSecurityException) {
            null
        }

    private fun cipher(mode: Int, shared: ByteArray, context: ByteArray): Cipher =
        Hkdf.expand(shared, context, 32).wipedAfter { key ->
            Cipher.getInstance("AESWrap").also { it.init(mode, SecretKeySpec(key, "AES")) }
        }
}
