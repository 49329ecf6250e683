package dev.modelkeep

import dev.modelkeep.container.storage
import dev.modelkeep.keystore.Keystore
import dev.modelkeep.memory.ModelMemory
import dev.modelkeep.payload.BadTag
import dev.modelkeep.payload.decryptInto
import java.io.File
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.util.concurrent.atomic.AtomicBoolean
import javax.crypto.Cipher
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/**
 * Reads model files that were encrypted the way most tutorials show, for migration:
 * `nonce[12] | ciphertext | tag[16]` under AES-GCM, without associated data. Source: RFC 5116 section 5.2.
 *
 * With a key in the Keystore every 32 KiB of the file is a call into the secure world and the whole model
 * lies on the heap meanwhile. Do this once, and use [SecureModelLoader] from then on.
 */
public class LegacyModel private constructor(private val memory: ModelMemory) : AutoCloseable {
    private val isOpen = AtomicBoolean(true)

    /**
     * Returns the plaintext as a read-only direct buffer in native byte order.
     *
     * @throws UsageError the model is closed.
     */
    @Throws(KeepError::class)
    public fun buffer(): ByteBuffer {
        if (!isOpen.get()) throw UsageError("this model is closed", "open it again")
        return memory.readable()
    }

    /** Wipes the memory; harmless when repeated. */
    override fun close() {
        if (isOpen.getAndSet(false)) memory.close()
    }

    public companion object {
        private const val NONCE = 12
        private const val TAG = 16

        /**
         * Decrypts a file in memory.
         *
         * @param key an AES key, in memory or in the Keystore.
         * @throws StorageError the file cannot be read.
         * @throws MalformedError too short to be such a file.
         * @throws TamperedError the key is wrong or the file was changed.
         * @throws AuthenticationRequiredError show the prompt, then call again.
         */
        @JvmStatic
        @Throws(KeepError::class, InterruptedException::class)
        public fun open(file: File, key: SecretKey): LegacyModel = storage { FileInputStream(file) }.use { stream ->
            val size = storage { stream.channel.size() } - NONCE - TAG
            if (size < 0) throw MalformedError("too short for nonce, ciphertext and tag")
            if (size > Int.MAX_VALUE - TAG) throw UsageError("a file of 2 GiB or more is not read in one piece")
            val nonce = ByteArray(NONCE)
            // A copy of our own: a mapped file could change between the check of the tag and the decryption.
            val sealed = ModelMemory.allocate(size + TAG)
            sealed.use {
                storage { fill(stream, ByteBuffer.wrap(nonce)) }
                storage { fill(stream, sealed.writable()) }
                LegacyModel(decrypt(key, nonce, sealed.readable(), size))
            }
        }

        private fun decrypt(key: SecretKey, nonce: ByteArray, sealed: ByteBuffer, size: Long): ModelMemory {
            val memory = ModelMemory.allocate(size)
            try {
                decrypt(key, nonce, sealed, memory.writable())
                return memory
            } catch (error: Throwable) {
                memory.close()
                throw error
            }
        }

        private fun decrypt(key: SecretKey, nonce: ByteArray, sealed: ByteBuffer, plain: ByteBuffer) {
            val cipher = Keystore.calling {
                Cipher.getInstance("AES/GCM/NoPadding").also {
                    it.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(8 * TAG, nonce))
                }
            }
            try {
                Keystore.calling { cipher.decryptInto(sealed, plain) }
            } catch (_: BadTag) {
                throw TamperedError("the file does not decrypt: wrong key, or it was changed")
            }
        }

        private fun fill(stream: FileInputStream, target: ByteBuffer) {
            while (target.hasRemaining()) {
                if (stream.channel.read(target) < 0) throw MalformedError("the file ends early")
            }
        }
    }
}
