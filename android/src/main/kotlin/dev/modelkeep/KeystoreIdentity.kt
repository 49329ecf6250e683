package dev.modelkeep

import android.content.Context
import android.content.pm.PackageManager
import android.os.Build
import android.security.keystore.KeyInfo
import android.security.keystore.KeyProperties
import dev.modelkeep.keys.AgreementKey
import dev.modelkeep.keys.Hpke
import dev.modelkeep.keys.LocalKey
import dev.modelkeep.keys.P256
import dev.modelkeep.keys.SoftwareKey
import dev.modelkeep.keystore.Keystore
import java.security.KeyFactory
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.MessageDigest
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

    override fun recipient(deviceId: String): Recipient = Recipient.parse(Recipient.line(publicValue, deviceId))

    /**
     * Has the hardware agree with a key in memory and with its own public key, as opening does, and compares. [enrol] does
     * it where no authentication is needed; where it is, do it once after the first prompt.
     *
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws KeyStoreError this device's agreement is not one: use [WrappedIdentity].
     */
    @Throws(KeepError::class)
    public fun selfTest() {
        val peer = SoftwareKey(P256.generate())
        val ours = key.agree(checkNotNull(P256.decode(peer.publicValue)))
        val theirs = peer.agree(checkNotNull(P256.decode(publicValue)))
        if (!MessageDigest.isEqual(ours, theirs)) {
            throw KeyStoreError("the Keystore of this device does not agree as it should", "use WrappedIdentity")
        }
        localKey().close()
    }

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
        @Throws(KeepError::class)
        public fun enrol(alias: String, protection: KeyProtection = KeyProtection()): KeystoreIdentity =
            enrol(alias, protection, Build.VERSION.SDK_INT)

        internal fun enrol(alias: String, protection: KeyProtection, apiLevel: Int): KeystoreIdentity {
            if (apiLevel < Build.VERSION_CODES.S) {
                throw UsageError("key agreement in the Keystore needs API 31", "use WrappedIdentity")
            }
            generate(alias, protection, apiLevel)
            try {
                val identity = open(alias)
                Keystore.checkLevel(identity.securityLevel, protection)
                if (protection.authentication == Authentication.NONE) identity.selfTest()
                return identity
            } catch (error: KeepError) {
                Keystore.delete(alias)
                throw error
            }
        }

        private fun generate(alias: String, protection: KeyProtection, apiLevel: Int): KeyPair = Keystore.generate(
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

        /**
         * Returns whether this device's secure world does key agreement itself. Where it does not, Android does it in
         * software, and [WrappedIdentity] is the better choice.
         */
        @JvmStatic
        public fun isSupported(context: Context): Boolean =
            Build.VERSION.SDK_INT >= Build.VERSION_CODES.S &&
                context.packageManager.hasSystemFeature(PackageManager.FEATURE_HARDWARE_KEYSTORE, AGREEMENT_SINCE)

        /**
         * Returns the key under [alias].
         *
         * @throws KeyInvalidatedError the key is gone for good: [enrol] again.
         * @throws KeyMissingError there is no such key.
         * @throws KeyStoreError the key is of another kind than [enrol] makes.
         */
        @JvmStatic
        @Throws(KeepError::class)
        public fun open(alias: String): KeystoreIdentity = open(alias) { Keystore.checkKind(it, PURPOSES) }

        internal fun open(alias: String, protection: KeyProtection): KeystoreIdentity = open(alias) {
            Keystore.checkKind(it, PURPOSES)
            Keystore.checkKept(it, protection)
        }

        internal fun open(alias: String, check: (KeyInfo) -> Unit): KeystoreIdentity {
            val store = Keystore.load()
            val privateKey = Keystore.calling { store.getKey(alias, null) } as? PrivateKey
                ?: throw KeyMissingError("the Keystore has no key of this name")
            val chain = certificates(store, alias)
            val publicKey = chain.firstOrNull()?.publicKey as? ECPublicKey
                ?: throw KeyStoreError("the key of this name is of another kind", "choose another name")
            val key = KeystoreKey(privateKey, P256.encode(publicKey))
            val info = info(privateKey).also(check)
            return KeystoreIdentity(key, Keystore.securityLevel(info, Build.VERSION.SDK_INT), chain)
        }

        /** Deletes the key under [alias], if there is one; models granted to it open no more. */
        @JvmStatic
        @Throws(KeepError::class)
        public fun delete(alias: String): Unit = Keystore.delete(alias)

        private fun certificates(store: KeyStore, alias: String): List<X509Certificate> =
            Keystore.calling { store.getCertificateChain(alias) }.orEmpty().filterIsInstance<X509Certificate>()

        private fun info(key: PrivateKey): KeyInfo = Keystore.calling {
            KeyFactory.getInstance(key.algorithm, Keystore.PROVIDER).getKeySpec(key, KeyInfo::class.java)
        }

        private const val PURPOSES = KeyProperties.PURPOSE_AGREE_KEY

        /** KeyMint 1.0 counts as 100; Keymaster before it knows no agreement. */
        private const val AGREEMENT_SINCE = 100
    }
}
