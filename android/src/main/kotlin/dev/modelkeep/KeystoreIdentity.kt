package dev.modelkeep

import android.os.Build
import android.security.keystore.KeyInfo
import android.security.keystore.KeyProperties
import dev.modelkeep.keys.AgreementKey
import dev.modelkeep.keys.Hpke
import dev.modelkeep.keys.LocalKey
import dev.modelkeep.keys.P256
import dev.modelkeep.keystore.Keystore
import java.security.KeyFactory
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.PrivateKey
import java.security.cert.X509Certificate
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import javax.crypto.KeyAgreement

/**
 * A P-256 key that was made in this device's Keystore and never leaves it. Opening a model asks the hardware
 * for one ECDH agreement, however large the model. Needs API 31; before that, see [WrappedIdentity].
 *
 * @property securityLevel where the key is held.
 * @property certificateChain the key's attestation, leaf first, for a server to check; without a challenge it
 *   holds just the public key.
 */
public class KeystoreIdentity private constructor(
    private val key: KeystoreKey,
    public val securityLevel: SecurityLevel,
    public val certificateChain: List<X509Certificate>,
) : Identity() {
    override val type: String get() = Recipient.HPKE_P256
    override val publicValue: ByteArray get() = key.publicValue

    override fun unwrap(wrapped: ByteArray, context: ByteArray): ByteArray? = Hpke.open(key, wrapped, context)

    override fun localKey(): LocalKey = LocalKey.of(key)

    /**
     * Returns the public key as one line of text, for `modelkeep seal -r` and `modelkeep grant -r`.
     *
     * @param deviceId name of the device, which only the holder of the grant will see; may be empty.
     */
    @JvmOverloads
    public fun recipient(deviceId: String = ""): Recipient = Recipient.parse(Recipient.line(publicValue, deviceId))

    private class KeystoreKey(private val privateKey: PrivateKey, override val publicValue: ByteArray) :
        AgreementKey {
        override fun agree(peer: ECPublicKey): ByteArray = Keystore.calling {
            KeyAgreement.getInstance("ECDH", Keystore.PROVIDER).run {
                init(privateKey)
                doPhase(peer, true)
                generateSecret()
            }
        }
    }

    public companion object {
        /**
         * Makes a new key under [alias], in place of any that is there, and returns it. Models open with it
         * after a publisher granted them to [recipient].
         *
         * @throws UsageError the device is older than API 31.
         * @throws KeyStoreError the Keystore refuses, for example because the device has no screen lock.
         */
        @JvmStatic
        @JvmOverloads
        public fun enrol(alias: String, protection: KeyProtection = KeyProtection()): KeystoreIdentity =
            enrol(alias, protection, Build.VERSION.SDK_INT)

        internal fun enrol(alias: String, protection: KeyProtection, apiLevel: Int): KeystoreIdentity {
            if (apiLevel < Build.VERSION_CODES.S) {
                throw UsageError("key agreement in the Keystore needs API 31", "use WrappedIdentity")
            }
            Keystore.generate(
                alias,
                KeyProperties.PURPOSE_AGREE_KEY,
                protection,
                apiLevel,
                { setAlgorithmParameterSpec(ECGenParameterSpec("secp256r1")) },
            ) { spec ->
                KeyPairGenerator.getInstance(KeyProperties.KEY_ALGORITHM_EC, Keystore.PROVIDER).run {
                    initialize(spec)
                    generateKeyPair()
                }
            }
            return open(alias)
        }

        /**
         * Returns the key under [alias].
         *
         * @throws KeyInvalidatedError the key is gone for good: [enrol] again.
         * @throws KeyStoreError there is no such key.
         */
        @JvmStatic
        public fun open(alias: String): KeystoreIdentity {
            val store = Keystore.load()
            val privateKey = Keystore.calling { store.getKey(alias, null) } as? PrivateKey
                ?: throw KeyStoreError("the Keystore has no key of this name", "enrol first")
            val chain = certificates(store, alias)
            val publicKey = chain.firstOrNull()?.publicKey as? ECPublicKey
                ?: throw KeyStoreError("the key of this name is of another kind", "choose another name")
            val key = KeystoreKey(privateKey, P256.encode(publicKey))
            return KeystoreIdentity(key, securityLevel(privateKey), chain)
        }

        /** Deletes the key under [alias], if there is one; models granted to it open no more. */
        @JvmStatic
        public fun delete(alias: String): Unit = Keystore.delete(alias)

        private fun certificates(store: KeyStore, alias: String): List<X509Certificate> =
            Keystore.calling { store.getCertificateChain(alias) }.orEmpty().filterIsInstance<X509Certificate>()

        private fun securityLevel(key: PrivateKey): SecurityLevel = Keystore.calling {
            val factory = KeyFactory.getInstance(key.algorithm, Keystore.PROVIDER)
            Keystore.securityLevel(factory.getKeySpec(key, KeyInfo::class.java), Build.VERSION.SDK_INT)
        }
    }
}
