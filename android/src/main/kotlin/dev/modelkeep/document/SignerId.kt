package dev.modelkeep.document

import dev.modelkeep.json.Record
import dev.modelkeep.toHexadecimal

/**
 * A signer whose signature was verified: a key's fingerprint in hexadecimal, and root and name where a chain of
 * certificates stands behind it. Source: spec/trust-v1.md, "Who signed".
 */
internal data class SignerId(val key: String, val root: String? = null, val kind: String? = null, val name: String? = null) {
    override fun toString(): String = if (name == null) "key sha256:$key" else "certificate $kind=$name"

    fun toJson(): Map<String, Any?> {
        if (root == null) return mapOf("key" to key)
        return mapOf("key" to key, "root" to root, "subject" to mapOf("kind" to kind, "value" to name))
    }

    companion object {
        private const val FINGERPRINT = 32
        private val KINDS = listOf("cn", "dns", "email", "uri", "dn").associateWith { it }

        fun fromJson(value: Any?): SignerId = Record.read(value, "device state: signer") {
            val key = hexadecimal("key", FINGERPRINT).toHexadecimal()
            if ("root" !in this && "subject" !in this) return@read SignerId(key)
            val root = hexadecimal("root", FINGERPRINT).toHexadecimal()
            nested("subject") { SignerId(key, root, choice("kind", KINDS), text("value")) }
        }
    }
}
