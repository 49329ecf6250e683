package dev.modelkeep.keystore

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyInfo
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.security.keystore.StrongBoxUnavailableException
import android.security.keystore.UserNotAuthenticatedException
import dev.modelkeep.fake.FakePhone
import java.security.InvalidAlgorithmParameterException
import java.security.KeyFactory
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.spec.ECGenParameterSpec
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyAgreement
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test

/** What the framework's own Keystore provider does on the fake phone: what all other tests stand on. */
@Tag("platform")
internal class AospProviderTest {
    private lateinit var phone: FakePhone

    @BeforeEach
    fun switchOn() {
        phone = FakePhone().switchOn()
    }

    @Test
    fun `a key cannot be used before the user authenticated`() {
        val key = aesKey { userWithin30Seconds() }
        assertThrows(UserNotAuthenticatedException::class.java) { encrypt(key) }
    }

    @Test
    fun `an authentication counts for 30 seconds`() {
        val key = aesKey { userWithin30Seconds() }
        phone.authenticate()
        val (nonce, sealed) = encrypt(key)
        phone.now += 29
        assertArrayEquals(PLAIN, decrypt(key, nonce, sealed))
        phone.now += 2
        assertThrows(UserNotAuthenticatedException::class.java) { decrypt(key, nonce, sealed) }
    }

    @Test
    fun `a nonce of the caller is refused`() {
        val key = aesKey()
        val error = assertThrows(InvalidAlgorithmParameterException::class.java) {
            cipher().init(Cipher.ENCRYPT_MODE, key, GCMParameterSpec(128, ByteArray(12)))
        }
        assertEquals("Caller-provided IV not permitted", error.message)
    }

    @Test
    fun `a new biometric invalidates a key for biometrics alone`() {
        val key = aesKey {
            setUserAuthenticationRequired(true)
            setUserAuthenticationParameters(30, KeyProperties.AUTH_BIOMETRIC_STRONG)
        }
        phone.authenticate()
        encrypt(key)
        phone.enrolBiometric()
        phone.authenticate()
        assertThrows(KeyPermanentlyInvalidatedException::class.java) { encrypt(key) }
    }

    @Test
    fun `a new biometric leaves a key that the credential also unlocks`() {
        val key = aesKey { userWithin30Seconds() }
        phone.enrolBiometric()
        phone.authenticate()
        encrypt(key)
        phone.replaceScreenLock()
        phone.authenticate()
        assertThrows(KeyPermanentlyInvalidatedException::class.java) { encrypt(key) }
    }

    @Test
    fun `a phone without a security chip says so`() {
        assertThrows(StrongBoxUnavailableException::class.java) { aesKey { setIsStrongBoxBacked(true) } }
    }

    @Test
    fun `a flipped bit is noticed`() {
        val key = aesKey()
        val (nonce, sealed) = encrypt(key)
        sealed[0] = (sealed[0].toInt() xor 1).toByte()
        assertThrows(AEADBadTagException::class.java) { decrypt(key, nonce, sealed) }
    }

    @Test
    fun `a key for agreement cannot be exported and says where it is`() {
        val pair = agreementKey()
        assertNull(pair.private.encoded)
        val info = KeyFactory.getInstance("EC", "AndroidKeyStore").getKeySpec(pair.private, KeyInfo::class.java)
        assertEquals(KeyProperties.SECURITY_LEVEL_TRUSTED_ENVIRONMENT, info.securityLevel)
        assertEquals(KeyProperties.PURPOSE_AGREE_KEY, info.purposes)
    }

    @Test
    fun `an agreement takes two calls and the clean-up of the framework`() {
        val pair = agreementKey()
        val peer = KeyPairGenerator.getInstance("EC", "SunEC").apply { initialize(CURVE) }.generateKeyPair()
        phone.forgetCalls()
        val shared = KeyAgreement.getInstance("ECDH", "AndroidKeyStore").run {
            init(pair.private)
            doPhase(peer.public, true)
            generateSecret()
        }
        assertEquals(listOf("createOperation", "finish", "abort"), phone.calls)
        val other = KeyAgreement.getInstance("ECDH", "SunEC").run {
            init(peer.private)
            doPhase(KeyFactory.getInstance("EC", "SunEC").translateKey(pair.public), true)
            generateSecret()
        }
        assertArrayEquals(other, shared)
    }

    private fun KeyGenParameterSpec.Builder.userWithin30Seconds() {
        setUserAuthenticationRequired(true)
        val types = KeyProperties.AUTH_BIOMETRIC_STRONG or KeyProperties.AUTH_DEVICE_CREDENTIAL
        setUserAuthenticationParameters(30, types)
    }

    private fun aesKey(specify: KeyGenParameterSpec.Builder.() -> Unit = {}): SecretKey {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder("aes", purposes)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .apply(specify)
            .build()
        return KeyGenerator.getInstance("AES", "AndroidKeyStore").apply { init(spec) }.generateKey()
    }

    private fun agreementKey(): KeyPair {
        val spec = KeyGenParameterSpec.Builder("ecdh", KeyProperties.PURPOSE_AGREE_KEY)
            .setAlgorithmParameterSpec(CURVE)
            .build()
        return KeyPairGenerator.getInstance("EC", "AndroidKeyStore").apply { initialize(spec) }.generateKeyPair()
    }

    private fun cipher() = Cipher.getInstance("AES/GCM/NoPadding")

    private fun encrypt(key: SecretKey): Pair<ByteArray, ByteArray> {
        val cipher = cipher()
        cipher.init(Cipher.ENCRYPT_MODE, key)
        return cipher.iv to cipher.doFinal(PLAIN)
    }

    private fun decrypt(key: SecretKey, nonce: ByteArray, sealed: ByteArray): ByteArray =
        cipher().apply { init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(128, nonce)) }.doFinal(sealed)

    private companion object {
        val PLAIN = "weights".toByteArray()
        val CURVE = ECGenParameterSpec("secp256r1")
    }
}
