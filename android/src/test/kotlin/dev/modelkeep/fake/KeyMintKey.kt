package dev.modelkeep.fake

import android.hardware.security.keymint.Algorithm
import android.hardware.security.keymint.KeyOrigin
import android.hardware.security.keymint.KeyParameter
import android.hardware.security.keymint.KeyParameterValue
import android.hardware.security.keymint.Tag
import android.system.keystore2.Authorization
import android.system.keystore2.Domain
import android.system.keystore2.KeyDescriptor
import android.system.keystore2.KeyMetadata
import dev.modelkeep.keys.P256
import java.security.KeyFactory
import java.security.KeyPair
import java.security.spec.PKCS8EncodedKeySpec
import java.security.spec.X509EncodedKeySpec
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey

/** A key as the secure world has it: the key itself and the rules it was made with. */
internal class KeyMintKey(
    val id: Long,
    val securityLevel: Int,
    private val parameters: List<KeyParameter>,
    private val imported: ByteArray? = null,
) {
    private val algorithm = parameters.first { it.tag == Tag.ALGORITHM }.value.algorithm
    val secret: SecretKey? = if (algorithm == Algorithm.AES) newSecret() else null
    val pair: KeyPair? = if (algorithm == Algorithm.EC) imported?.let(SoftwareKeys::pair) ?: newPair() else null

    val purposes: List<Int> = parameters.filter { it.tag == Tag.PURPOSE }.map { it.value.keyPurpose }
    val secureUserIds: List<Long> = parameters.filter { it.tag == Tag.USER_SECURE_ID }.map { it.value.longInteger }
    val needsUser: Boolean = !has(Tag.NO_AUTH_REQUIRED)
    val needsUnlockedDevice: Boolean = has(Tag.UNLOCKED_DEVICE_REQUIRED)
    val allowsCallerNonce: Boolean = has(Tag.CALLER_NONCE)
    val timeout: Int? = parameters.firstOrNull { it.tag == Tag.AUTH_TIMEOUT }?.value?.integer

    val metadata: KeyMetadata = KeyMetadata().also {
        it.key = KeyDescriptor().apply { domain = Domain.KEY_ID; nspace = id }
        it.keySecurityLevel = securityLevel
        it.authorizations = (parameters + origin() + sizeOfImported()).map(::authorization).toTypedArray()
        it.certificate = pair?.let { pair -> Der.certificate(pair.public, securityLevel, challenge()) }
    }

    fun has(tag: Int): Boolean = parameters.any { it.tag == tag }

    private fun challenge(): ByteArray? =
        parameters.firstOrNull { it.tag == Tag.ATTESTATION_CHALLENGE }?.value?.blob

    private fun origin() = KeyParameter().apply {
        tag = Tag.ORIGIN
        value = KeyParameterValue.origin(if (imported == null) KeyOrigin.GENERATED else KeyOrigin.IMPORTED)
    }

    /** KeyMint finds out the size of a key that was imported without saying it. */
    private fun sizeOfImported(): List<KeyParameter> = if (has(Tag.KEY_SIZE)) emptyList() else listOf(
        KeyParameter().apply {
            tag = Tag.KEY_SIZE
            value = KeyParameterValue.integer(256)
        },
    )

    private fun authorization(parameter: KeyParameter) = Authorization().apply {
        securityLevel = this@KeyMintKey.securityLevel
        keyParameter = parameter
    }

    private fun newSecret(): SecretKey = KeyGenerator.getInstance("AES").apply { init(256) }.generateKey()

    /** Made by whatever provider comes first, but used by OpenJDK's, which is the secure world here. */
    private fun newPair(): KeyPair {
        val pair = P256.generate()
        val factory = KeyFactory.getInstance("EC", "SunEC")
        return KeyPair(
            factory.generatePublic(X509EncodedKeySpec(pair.public.encoded)),
            factory.generatePrivate(PKCS8EncodedKeySpec(pair.private.encoded)),
        )
    }
}
