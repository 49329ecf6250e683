package dev.modelkeep.keystore

import android.security.keystore.KeyInfo
import android.security.keystore.KeyProperties
import dev.modelkeep.KeyMissingError
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeyStoreError
import dev.modelkeep.SecurityLevel
import dev.modelkeep.TamperedError
import dev.modelkeep.UsageError
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.SecretKeyFactory
import javax.crypto.spec.GCMParameterSpec

/** An AES-256-GCM key in the Keystore that wraps small secrets as `nonce[12] | ciphertext | tag[16]`. */
internal class WrappingKey private constructor(private val key: SecretKey) {
    fun wrap(secret: ByteArray, associated: ByteArray): ByteArray = Keystore.calling {
        val cipher = cipher()
        // No nonce of ours: the Keystore insists on choosing it.
        cipher.init(Cipher.ENCRYPT_MODE, key)
        cipher.updateAAD(associated)
        cipher.iv + cipher.doFinal(secret)
    }

    /** Returns the secret; wiping it is the caller's. */
    fun unwrap(wrapped: ByteArray, associated: ByteArray): ByteArray = Keystore.calling {
        if (wrapped.size < NONCE + TAG) throw TamperedError("the wrapped key is damaged", HINT)
        val cipher = cipher()
        cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(8 * TAG, wrapped, 0, NONCE))
        cipher.updateAAD(associated)
        try {
            cipher.doFinal(wrapped, NONCE, wrapped.size - NONCE)
        } catch (_: AEADBadTagException) {
            throw TamperedError("the wrapped key is damaged", HINT)
        }
    }

    fun checkKept(protection: KeyProtection) = Keystore.checkKept(info(), protection)

    fun securityLevel(apiLevel: Int): SecurityLevel = Keystore.securityLevel(info(), apiLevel)

    private fun info(): KeyInfo = Keystore.calling {
        val factory = SecretKeyFactory.getInstance(key.algorithm, Keystore.PROVIDER)
        factory.getKeySpec(key, KeyInfo::class.java) as KeyInfo
    }

    private fun cipher() = Cipher.getInstance("AES/GCM/NoPadding")

    companion object {
        private const val NONCE = 12
        private const val TAG = 16
        private const val HINT = "enrol again"
        private const val PURPOSES = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT

        fun generate(alias: String, protection: KeyProtection, apiLevel: Int): WrappingKey {
            if (protection.attestationChallenge != null) {
                throw UsageError("a wrapping key has no attestation", "leave the challenge out")
            }
            val key = Keystore.generate(
                alias,
                PURPOSES,
                protection,
                apiLevel,
                {
                    setKeySize(256)
                    setBlockModes(KeyProperties.BLOCK_MODE_GCM)
                    setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
                },
            ) { spec ->
                KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, Keystore.PROVIDER).run {
                    init(spec)
                    generateKey()
                }
            }
            return WrappingKey(key).also { made ->
                try {
                    Keystore.checkLevel(made.securityLevel(apiLevel), protection)
                } catch (error: KeyStoreError) {
                    Keystore.delete(alias)
                    throw error
                }
            }
        }

        fun open(alias: String): WrappingKey {
            val store = Keystore.load()
            val key = Keystore.calling { store.getKey(alias, null) } as? SecretKey
                ?: throw KeyMissingError("the Keystore has no key of this name")
            return WrappingKey(key).also { Keystore.checkKind(it.info(), PURPOSES) }
        }
    }
}
