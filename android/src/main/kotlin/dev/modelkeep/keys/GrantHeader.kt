package dev.modelkeep.keys

import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.toHexadecimal

/** What a grant says openly. Source: spec/grant-v1.md, section 1. */
internal class GrantHeader(
    val bundle: ByteArray,
    val type: String,
    val keyId: ByteArray,
    val constraints: Constraints,
) {
    fun toBytes(): ByteArray =
        CanonicalJson.encode(
            mapOf(
                "bundle" to bundle.toHexadecimal(),
                "constraints" to constraints.toJson(),
                "key_id" to keyId.toHexadecimal(),
                "type" to type,
                "version" to 1L,
            ),
        )

    companion object {
        const val PASSPHRASE = "passphrase"
        private const val KEY_ID = 16
        private val TYPE = Regex("[a-z0-9][a-z0-9-]{0,63}")

        /** Parses a header; its truth shows only when the wrapped key opens under it. */
        fun parse(data: ByteArray): GrantHeader =
            Record.read(CanonicalJson.decode(data, "grant header"), "grant header") {
                checkVersion(this)
                val type = text("type", 64)
                if (!TYPE.matches(type)) throw fault("type", "is not the name of a recipient type")
                val bundle = hexadecimal("bundle", 16)
                val keyId = hexadecimal("key_id", KEY_ID)
                val constraints = Constraints.read(anything("constraints"))
                if (type == PASSPHRASE) nested("scrypt", ::checkScrypt)
                GrantHeader(bundle, type, keyId, constraints)
            }

        /** Returns the bytes by which a key finds its grants within one bundle. */
        fun keyId(bundle: ByteArray, type: String, publicValue: ByteArray): ByteArray {
            val message = "modelkeep/v1/key-id\u0000$type\u0000".encodeToByteArray() + publicValue
            return Hkdf.hmac(bundle, message).copyOf(KEY_ID)
        }

        private fun checkVersion(record: Record) {
            val version = record.integer("version")
            if (version != 1L) {
                throw UnsupportedVersionError("grant: format version $version is not supported", "update modelkeep")
            }
        }

        private fun checkScrypt(record: Record) {
            record.integer("r", 8, 8)
            record.integer("p", 1, 1)
            record.hexadecimal("salt", 16)
            record.integer("log_n", 14, 20)
        }
    }
}
