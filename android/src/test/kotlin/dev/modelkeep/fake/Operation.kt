package dev.modelkeep.fake

import android.hardware.security.keymint.ErrorCode
import android.hardware.security.keymint.KeyPurpose
import java.security.KeyFactory
import java.security.spec.X509EncodedKeySpec
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyAgreement
import javax.crypto.spec.GCMParameterSpec

/** One use of a key in the secure world, from its creation to `finish`. */
internal abstract class Operation {
    /** After `finish` or `abort` every further call fails. */
    var isOver = false

    /** The nonce that the secure world chose, or null. */
    open val nonce: ByteArray? = null

    open fun updateAad(data: ByteArray): Unit = FakePhone.fail(ErrorCode.UNSUPPORTED_TAG)

    open fun update(data: ByteArray): ByteArray? = FakePhone.fail(ErrorCode.UNSUPPORTED_TAG)

    abstract fun finish(data: ByteArray?): ByteArray
}

/** ECDH: gets the peer's SubjectPublicKeyInfo and gives the x coordinate of the shared point. */
internal class Agreement(private val key: KeyMintKey, private val isRight: Boolean) : Operation() {
    override fun finish(data: ByteArray?): ByteArray {
        val peer = KeyFactory.getInstance("EC", "SunEC").generatePublic(X509EncodedKeySpec(data))
        return KeyAgreement.getInstance("ECDH", "SunEC").run {
            init(key.pair!!.private)
            doPhase(peer, true)
            if (isRight) generateSecret() else ByteArray(32)
        }
    }
}

/** AES-GCM, in either direction. */
internal class Encryption(key: KeyMintKey, purpose: Int, callerNonce: ByteArray?) : Operation() {
    private val cipher = Cipher.getInstance("AES/GCM/NoPadding", "SunJCE")

    init {
        if (purpose == KeyPurpose.ENCRYPT) {
            cipher.init(Cipher.ENCRYPT_MODE, key.secret)
        } else {
            cipher.init(Cipher.DECRYPT_MODE, key.secret, GCMParameterSpec(128, callerNonce))
        }
    }

    override val nonce: ByteArray? = if (purpose == KeyPurpose.ENCRYPT) cipher.iv else null

    override fun updateAad(data: ByteArray) = cipher.updateAAD(data)

    override fun update(data: ByteArray): ByteArray? = cipher.update(data)

    override fun finish(data: ByteArray?): ByteArray =
        try {
            cipher.doFinal(data ?: ByteArray(0))
        } catch (_: AEADBadTagException) {
            FakePhone.fail(ErrorCode.VERIFICATION_FAILED)
        }
}
