package dev.modelkeep.keys

import dev.modelkeep.KeyStoreError
import dev.modelkeep.TamperedError
import dev.modelkeep.wipe
import dev.modelkeep.wipedAfter

/**
 * Wraps 32-byte keys so that this device alone can unwrap them: under the agreement of its private key with its
 * own public key, which nobody can compute from the public key. Wrapping to the public key would let whoever
 * knows it plant a model. Source: spec/install-v1.md, section 3.
 */
internal class LocalKey private constructor(private val secret: ByteArray) : AutoCloseable {
    fun wrap(key: ByteArray, context: ByteArray): ByteArray = KeyWrap.wrap(secret, key, context)

    /** Returns the key; wiping it is the caller's. */
    fun unwrap(wrapped: ByteArray, context: ByteArray): ByteArray =
        KeyWrap.unwrap(secret, wrapped, context) ?: throw TamperedError(
            "this was not installed by this device, or was changed since",
            "install the model again",
        )

    /** Wipes the secret. */
    override fun close() = secret.wipe()

    companion object {
        private val LABEL = "modelkeep/v1/local".encodeToByteArray()

        /** Derives the local key from a secret that only this device has; wiping [secret] is the caller's. */
        fun of(secret: ByteArray): LocalKey = LocalKey(Hkdf.derive(secret, null, LABEL))

        /** Returns the local key of a device whose key is [key], with one agreement. */
        fun of(key: AgreementKey): LocalKey {
            val own = P256.decode(key.publicValue) ?: throw KeyStoreError("the key is not a key of P-256")
            return key.agree(own).wipedAfter(::of)
        }
    }
}
