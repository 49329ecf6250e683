package dev.modelkeep.keys

import dev.modelkeep.bigEndian
import dev.modelkeep.platform
import dev.modelkeep.wipe
import dev.modelkeep.wipedAfter
import java.security.interfaces.ECPublicKey
import javax.crypto.BadPaddingException
import javax.crypto.Cipher
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec

/**
 * HPKE (RFC 9180): base mode, single shot, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, empty
 * associated data. The private key is asked for one ECDH agreement and nothing else.
 */
internal object Hpke {
    private val KEM_SUITE = "KEM".encodeToByteArray() + bigEndian(0x0010, 2)
    private val SUITE = "HPKE".encodeToByteArray() + bigEndian(0x0010, 2) + bigEndian(1, 2) + bigEndian(2, 2)
    private val VERSION = "HPKE-v1".encodeToByteArray()
    private val NOTHING = ByteArray(0)
    private const val TAG = 16

    /** Returns the plaintext of [sealed], which is the sender's point and the ciphertext, or null. */
    fun open(key: AgreementKey, sealed: ByteArray, info: ByteArray): ByteArray? {
        if (sealed.size < P256.POINT + TAG) return null
        val sender = sealed.copyOf(P256.POINT)
        val point = P256.decode(sender) ?: return null
        val shared = key.agree(point).wipedAfter { sharedSecret(it, sender + key.publicValue) }
        return platform {
            val cipher = shared.wipedAfter { cipher(Cipher.DECRYPT_MODE, it, info) }
            try {
                cipher.doFinal(sealed, P256.POINT, sealed.size - P256.POINT)
            } catch (_: BadPaddingException) {
                null
            }
        }
    }

    /** Returns [plain] sealed to the recipient's public key: the sender's point and the ciphertext. */
    fun seal(recipient: ECPublicKey, plain: ByteArray, info: ByteArray): ByteArray {
        val ephemeral = SoftwareKey(P256.generate())
        val context = ephemeral.publicValue + P256.encode(recipient)
        val shared = ephemeral.agree(recipient).wipedAfter { sharedSecret(it, context) }
        val sealed = platform { shared.wipedAfter { cipher(Cipher.ENCRYPT_MODE, it, info) }.doFinal(plain) }
        return ephemeral.publicValue + sealed
    }

    /** ExtractAndExpand of RFC 9180 section 4.1. */
    private fun sharedSecret(agreed: ByteArray, context: ByteArray): ByteArray =
        extract(KEM_SUITE, NOTHING, "eae_prk", agreed)
            .wipedAfter { expand(KEM_SUITE, it, "shared_secret", context, 32) }

    /** KeySchedule of RFC 9180 section 5.1 and the cipher of the only message. */
    private fun cipher(mode: Int, shared: ByteArray, info: ByteArray): Cipher {
        val context = byteArrayOf(0) + extract(SUITE, NOTHING, "psk_id_hash", NOTHING) +
            extract(SUITE, NOTHING, "info_hash", info)
        val secret = extract(SUITE, shared, "secret", NOTHING)
        val key = expand(SUITE, secret, "key", context, 32)
        val nonce = expand(SUITE, secret, "base_nonce", context, 12)
        return Cipher.getInstance("AES/GCM/NoPadding").also {
            it.init(mode, SecretKeySpec(key, "AES"), GCMParameterSpec(8 * TAG, nonce))
            secret.wipe()
            key.wipe()
        }
    }

    private fun extract(suite: ByteArray, salt: ByteArray, label: String, input: ByteArray): ByteArray =
        Hkdf.extract(salt, VERSION + suite + label.encodeToByteArray() + input)

    private fun expand(suite: ByteArray, key: ByteArray, label: String, info: ByteArray, length: Int): ByteArray {
        val labeled = bigEndian(length.toLong(), 2) + VERSION + suite + label.encodeToByteArray() + info
        return Hkdf.expand(key, labeled, length)
    }
}
