package dev.modelkeep.trust

import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import kotlin.io.encoding.Base64

/** The text form of public keys (RFC 7468). */
internal object Pem {
    private const val LINE = 64
    private val FORM = Regex("-----BEGIN PUBLIC KEY-----\\s([A-Za-z0-9+/=\\s]+)-----END PUBLIC KEY-----")

    /** Returns the DER in a text that holds one public key, or null. */
    fun decode(text: String): ByteArray? {
        val body = FORM.matchEntire(text.trim())?.groupValues?.get(1) ?: return null
        return try {
            Base64.decode(body.filterNot { it.isWhitespace() })
        } catch (_: IllegalArgumentException) {
            null
        }
    }

    /** Returns the name of a key: hexadecimal SHA-256 of its PEM form. */
    fun fingerprint(der: ByteArray): String =
        Base64.encode(der).chunked(LINE)
            .joinToString("\n", "-----BEGIN PUBLIC KEY-----\n", "\n-----END PUBLIC KEY-----\n")
            .let { sha256(it.encodeToByteArray()).toHexadecimal() }
}
