package dev.modelkeep

import android.os.Build
import dev.modelkeep.container.Replacement
import dev.modelkeep.container.storage
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.keys.Hpke
import dev.modelkeep.keys.KeyWrap
import dev.modelkeep.keys.LocalKey
import dev.modelkeep.keys.P256
import dev.modelkeep.keys.SoftwareKey
import dev.modelkeep.keystore.Keystore
import dev.modelkeep.keystore.WrappingKey
import java.io.File
import java.security.KeyFactory
import java.security.SecureRandom
import java.security.interfaces.ECPublicKey
import java.security.spec.PKCS8EncodedKeySpec
import kotlin.io.encoding.Base64

/**
 * A key for devices whose Keystore does not do key agreement (API 23 to 30), or for a fleet's key: a file
 * that an AES key in the Keystore wraps. The key itself is in memory while a model is being opened.
 *
 * @property securityLevel where the wrapping key is held.
 */
public class WrappedIdentity private constructor(
    private val wrappingKey: WrappingKey,
    private val content: Content,
    public val securityLevel: SecurityLevel,
) : Identity() {
    override val type: String get() = content.type
    override val publicValue: ByteArray get() = content.publicValue

    override fun unwrap(wrapped: ByteArray, context: ByteArray): ByteArray? =
        wrappingKey.unwrap(content.wrapped, content.associated).wipedAfter { secret ->
            if (type == Recipient.FLEET) {
                KeyWrap.unwrap(secret, wrapped, context)
            } else {
                Hpke.open(softwareKey(secret), wrapped, context)
            }
        }

    override fun localKey(): LocalKey =
        wrappingKey.unwrap(content.wrapped, content.associated).wipedAfter { secret ->
            if (type == Recipient.FLEET) LocalKey.of(secret) else LocalKey.of(softwareKey(secret))
        }

    override fun recipient(deviceId: String): Recipient {
        if (type == Recipient.FLEET) throw UsageError("a fleet's key has no public half")
        return Recipient.parse(Recipient.line(publicValue, deviceId))
    }

    private fun softwareKey(secret: ByteArray): SoftwareKey {
        val privateKey = platform { KeyFactory.getInstance("EC").generatePrivate(PKCS8EncodedKeySpec(secret)) }
        return SoftwareKey(privateKey, publicValue)
    }

    /**
     * What the file holds: canonical JSON; the type and the public value are bound into the wrapping.
     *
     * @property alias name of the wrapping key in the Keystore.
     */
    private class Content(val alias: String, val type: String, val publicValue: ByteArray, val wrapped: ByteArray) {
        val associated: ByteArray get() = associated(type, publicValue)

        fun toBytes(): ByteArray = CanonicalJson.encode(
            mapOf(
                "alias" to alias,
                "format" to FORMAT,
                "public" to Base64.encode(publicValue),
                "type" to type,
                "version" to 1L,
                "wrapped" to Base64.encode(wrapped),
            ),
        )

        companion object {
            private const val LARGEST = 4096
            private const val FORMAT = "modelkeep/wrapped-key"
            private val TYPES = listOf(Recipient.HPKE_P256, Recipient.FLEET).associateWith { it }

            fun associated(type: String, publicValue: ByteArray): ByteArray =
                "modelkeep/v1/wrapped-key\u0000$type\u0000".encodeToByteArray() + publicValue

            fun read(file: File): Content {
                if (storage { file.length() } > LARGEST) throw MalformedError("wrapped key: too long")
                return parse(storage { file.readBytes() })
            }

            private fun parse(data: ByteArray): Content =
                Record.read(CanonicalJson.decode(data, "wrapped key"), "wrapped key") {
                    choice("format", mapOf(FORMAT to Unit))
                    integer("version", 1, 1)
                    Content(text("alias"), choice("type", TYPES), base64("public", LARGEST), base64("wrapped", LARGEST))
                }
        }
    }

    public companion object {
        /**
         * Makes a new P-256 key, wraps it under a new Keystore key whose name begins with [alias], and writes it to
         * [file], in place of any that is there. The old key is deleted last: if anything fails, it still works.
         *
         * Where [protection] asks for authentication, the user must have authenticated just before.
         *
         * @throws AuthenticationRequiredError show the prompt, then call again.
         * @throws KeyStoreError the Keystore refuses.
         * @throws StorageError the file cannot be written.
         */
        @JvmStatic
        @JvmOverloads
        @Throws(KeepError::class)
        public fun enrol(alias: String, file: File, protection: KeyProtection = KeyProtection()): WrappedIdentity =
            enrol(alias, file, protection, Build.VERSION.SDK_INT)

        internal fun enrol(alias: String, file: File, protection: KeyProtection, apiLevel: Int): WrappedIdentity {
            val pair = P256.generate()
            val publicValue = P256.encode(pair.public as ECPublicKey)
            return pair.private.encoded.wipedAfter {
                keep(alias, file, protection, apiLevel, Recipient.HPKE_P256, publicValue, it)
            }
        }

        /**
         * Wraps a fleet's key under a new Keystore key whose name begins with [alias], and writes it to [file]. Close [identity] and
         * forget the line it came from afterwards.
         *
         * @throws AuthenticationRequiredError show the prompt, then call again.
         * @throws KeyStoreError the Keystore refuses.
         * @throws StorageError the file cannot be written.
         */
        @JvmStatic
        @JvmOverloads
        @Throws(KeepError::class)
        public fun keepFleetKey(
            alias: String,
            file: File,
            identity: FleetIdentity,
            protection: KeyProtection = KeyProtection(),
        ): WrappedIdentity = keep(
            alias, file, protection, Build.VERSION.SDK_INT, Recipient.FLEET, identity.publicValue, identity.key,
        )

        /**
         * Returns the key in [file].
         *
         * @throws KeyMissingError the Keystore key that wraps it is gone, for example since the file came from a backup.
         * @throws StorageError the file cannot be read.
         * @throws MalformedError the file is something else.
         */
        @JvmStatic
        @Throws(KeepError::class)
        public fun open(file: File): WrappedIdentity {
            val content = Content.read(file)
            return of(WrappingKey.open(content.alias), content, Build.VERSION.SDK_INT)
        }

        internal fun open(file: File, protection: KeyProtection): WrappedIdentity =
            open(file).also { it.wrappingKey.checkKept(protection) }

        /** Deletes [file] and the Keystore key that wraps it, as far as they are there. */
        @JvmStatic
        @Throws(KeepError::class)
        public fun delete(file: File) {
            aliasIn(file)?.let(Keystore::delete)
            file.delete()
        }

        private fun keep(
            alias: String,
            file: File,
            protection: KeyProtection,
            apiLevel: Int,
            type: String,
            publicValue: ByteArray,
            secret: ByteArray,
        ): WrappedIdentity {
            val before = aliasIn(file)
            val name = "$alias.${ByteArray(NAME).also(SecureRandom()::nextBytes).toHexadecimal()}"
            val wrappingKey = WrappingKey.generate(name, protection, apiLevel)
            try {
                val wrapped = wrappingKey.wrap(secret, Content.associated(type, publicValue))
                val content = Content(name, type, publicValue, wrapped)
                Replacement.write(file, content.toBytes())
                before?.let(Keystore::delete)
                return of(wrappingKey, content, apiLevel)
            } catch (error: Throwable) {
                if (aliasIn(file) != name) Keystore.delete(name)
                throw error
            }
        }

        /** Returns which Keystore key wraps [file], or null where there is no such file. */
        private fun aliasIn(file: File): String? =
            try {
                if (file.exists()) Content.read(file).alias else null
            } catch (_: MalformedError) {
                null
            }

        private fun of(key: WrappingKey, content: Content, apiLevel: Int) =
            WrappedIdentity(key, content, key.securityLevel(apiLevel))

        private const val NAME = 8
    }
}
