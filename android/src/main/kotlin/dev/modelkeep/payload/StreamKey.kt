package dev.modelkeep.payload

import dev.modelkeep.TamperedError
import dev.modelkeep.bigEndian
import dev.modelkeep.document.Suite
import dev.modelkeep.keys.Hkdf
import dev.modelkeep.platform
import dev.modelkeep.wipe
import dev.modelkeep.wipedAfter
import java.nio.ByteBuffer
import java.security.Key
import java.security.NoSuchAlgorithmException
import java.security.SecureRandom
import java.security.spec.AlgorithmParameterSpec
import javax.crypto.Cipher
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.IvParameterSpec
import javax.crypto.spec.SecretKeySpec

/**
 * The key of one stream; [cipher] gives one thread the means to decrypt or encrypt segments with it.
 * Source: spec/bundle-v1.md, section 5.
 */
internal class StreamKey private constructor(
    private val suite: Suite,
    private val key: Key,
    private val prefix: ByteArray,
) {
    fun cipher() = SegmentCipher(suite, key, prefix)

    companion object {
        private const val SALT = 32
        private val LABEL = "modelkeep/v1/stream".encodeToByteArray()
        private val INSTALLED_LABEL = "modelkeep/v1/installed".encodeToByteArray()

        /** Derives the key from the 40 [header] bytes of the stream. */
        fun derive(suite: Suite, payloadKey: ByteArray, associated: ByteArray, header: ByteArray): StreamKey {
            if (header[0].toInt() != StreamLayout.HEADER) throw TamperedError("payload: a stream header is damaged")
            val salt = header.copyOfRange(1, 1 + SALT)
            val algorithm = if (suite == Suite.AES256_GCM_HKDF_1MB) "AES" else "ChaCha20"
            val key = Hkdf.derive(payloadKey, salt, associated).wipedAfter { SecretKeySpec(it, algorithm) }
            return StreamKey(suite, key, header.copyOfRange(1 + SALT, StreamLayout.HEADER))
        }

        /** Returns the associated data of member [index]: role 0 is the inner manifest, role 1 a file. */
        fun associatedData(suite: Suite, bundle: ByteArray, index: Int): ByteArray =
            LABEL + place(suite, bundle, index)

        /** Returns the associated data of an installed stream. Source: spec/install-v1.md, section 4. */
        fun installedAssociatedData(suite: Suite, installation: ByteArray, index: Int): ByteArray =
            INSTALLED_LABEL + place(suite, installation, index)

        /** Returns the 40 bytes that a new stream begins with. */
        fun newHeader(): ByteArray {
            val random = ByteArray(StreamLayout.HEADER - 1).also(SecureRandom()::nextBytes)
            return byteArrayOf(StreamLayout.HEADER.toByte()) + random
        }

        private fun place(suite: Suite, owner: ByteArray, index: Int): ByteArray {
            val role: Byte = if (index == 0) 0 else 1
            return byteArrayOf(suite.number.toByte()) + owner + role + bigEndian(index.toLong(), 4)
        }
    }
}

/** Decrypts or encrypts segments of one stream; for one thread. */
internal class SegmentCipher(private val suite: Suite, private val key: Key, private val prefix: ByteArray) {
    private val cipher = platform { newCipher(suite) }

    /** Decrypts segment [index] from [sealed] into [plain], which is 16 bytes shorter and wiped on failure. */
    fun decrypt(index: Int, isLast: Boolean, sealed: ByteBuffer, plain: ByteBuffer) {
        val target = plain.slice()
        try {
            platform {
                cipher.init(Cipher.DECRYPT_MODE, key, parameters(index, isLast))
                cipher.decryptInto(sealed, plain)
            }
        } catch (error: Throwable) {
            target.wipe()
            throw if (error is BadTag) TamperedError("payload: segment $index does not decrypt") else error
        }
    }

    /** Encrypts what remains of [plain] as segment [index] into [sealed]; each segment once. */
    fun encrypt(index: Int, isLast: Boolean, plain: ByteBuffer, sealed: ByteBuffer) {
        platform {
            cipher.init(Cipher.ENCRYPT_MODE, key, parameters(index, isLast))
            cipher.doFinal(plain, sealed)
        }
    }

    private fun parameters(index: Int, isLast: Boolean): AlgorithmParameterSpec {
        val nonce = prefix + bigEndian(index.toLong(), 4) + (if (isLast) 1 else 0).toByte()
        if (suite == Suite.CHACHA20_POLY1305_HKDF_1MB) return IvParameterSpec(nonce)
        return GCMParameterSpec(8 * StreamLayout.TAG, nonce)
    }

    private companion object {
        fun newCipher(suite: Suite): Cipher {
            if (suite == Suite.AES256_GCM_HKDF_1MB) return Cipher.getInstance("AES/GCM/NoPadding")
            // The first name is Android's, from API 28 on, the second one OpenJDK's.
            return try {
                Cipher.getInstance("ChaCha20/Poly1305/NoPadding")
            } catch (_: NoSuchAlgorithmException) {
                Cipher.getInstance("ChaCha20-Poly1305")
            }
        }
    }
}
