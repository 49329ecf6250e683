package dev.modelkeep.trust

import java.security.cert.CertificateParsingException
import java.security.cert.X509Certificate

/**
 * A name of a certificate with its kind: `cn`, `dns`, `email`, `uri`, or `dn` for the whole one. A mail address that looks
 * like a common name is another name.
 */
internal data class TypedSubject(val kind: String, val name: String) {
    override fun toString() = "$kind=$name"

    companion object {
        const val LONGEST = 1024
        private val KINDS = setOf("cn", "email", "dns", "uri", "dn")

        /** Reads `CN=NAME` and the like, or returns null. */
        fun parse(text: String): TypedSubject? {
            val kind = text.substringBefore('=').lowercase()
            val name = text.substringAfter('=', "")
            return if (kind in KINDS && name.isNotEmpty()) TypedSubject(kind, name) else null
        }
    }
}

/** The names of a certificate, the one that it goes by first. */
internal object CertificateNames {
    private const val COMMON_NAME = "2.5.4.3"

    /** Numbers of alternative names, as Java gives them. */
    private val ALTERNATIVES = mapOf(1 to "email", 2 to "dns", 6 to "uri")

    fun of(certificate: X509Certificate): List<TypedSubject> {
        val subject = subjectOf(certificate)
        val common = subject?.parts.orEmpty().flatten().filter { it.type == COMMON_NAME }.map { "cn" to it.value }
        val names = common + alternatives(certificate) + ("dn" to subject?.toString().orEmpty())
        return names.map { (kind, name) -> TypedSubject(kind, name.take(TypedSubject.LONGEST)) }
    }

    /** Returns the whole name for people. */
    fun display(certificate: X509Certificate): String = subjectOf(certificate)?.let { "'${it.toString().take(200)}'" } ?: "an unreadable subject"

    private fun subjectOf(certificate: X509Certificate) = DistinguishedName.parse(certificate.subjectX500Principal.encoded)

    private fun alternatives(certificate: X509Certificate): List<Pair<String, String>> =
        try {
            certificate.subjectAlternativeNames.orEmpty().mapNotNull { (number, value) ->
                ALTERNATIVES[number]?.let { it to value as String }
            }
        } catch (_: CertificateParsingException) {
            emptyList()
        }
}
