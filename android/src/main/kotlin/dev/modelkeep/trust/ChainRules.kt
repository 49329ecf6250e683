package dev.modelkeep.trust

import java.security.cert.CertPathValidatorException
import java.security.cert.Certificate
import java.security.cert.CertificateException
import java.security.cert.PKIXCertPathChecker
import java.security.cert.X509Certificate
import java.security.interfaces.ECPublicKey
import java.security.interfaces.RSAPublicKey
import java.util.Date

/**
 * What a chain must fulfil beyond what the platform checks: certificates for signing code, from authorities that may give
 * those, with keys and signatures that are not too weak. Source: spec/bundle-v1.md, section 4.
 */
internal class ChainRules(private val signing: X509Certificate, private val time: Date) : PKIXCertPathChecker() {
    override fun init(forward: Boolean) {
        if (forward) throw CertPathValidatorException("forward checking is not supported")
    }

    override fun isForwardCheckingSupported(): Boolean = false

    override fun getSupportedExtensions(): Set<String> = setOf(EXTENDED_KEY_USAGE)

    override fun check(certificate: Certificate, unresolvedCriticalExtensions: MutableCollection<String>) {
        unresolvedCriticalExtensions.remove(EXTENDED_KEY_USAGE)
        val isSigning = certificate == signing
        if (!isSigning && !mayIssue(certificate as X509Certificate, time)) {
            throw CertPathValidatorException("an issuer's certificate is for other uses than signing code")
        }
    }

    companion object {
        private const val EXTENDED_KEY_USAGE = "2.5.29.37"
        private const val CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
        private const val ANY_USAGE = "2.5.29.37.0"
        private const val DIGITAL_SIGNATURE = 0
        private const val CERTIFICATE_SIGNATURE = 5
        private const val SHORTEST_RSA = 2048

        /** ECDSA and RSA (of both paddings) with SHA-256, SHA-384 or SHA-512. */
        private val SIGNATURES = setOf(
            "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4",
            "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13",
        )

        /** Checks a certificate that signs models. */
        fun checkSigning(certificate: X509Certificate, time: Date) {
            certificate.checkValidity(time)
            val usages = certificate.extendedKeyUsage ?: throw CertificateException("it does not say that its key signs code")
            val fault = when {
                certificate.basicConstraints >= 0 -> "it is an authority"
                CODE_SIGNING !in usages -> "its extended key usage lacks codeSigning"
                !allows(certificate, DIGITAL_SIGNATURE) -> "its key usage lacks digitalSignature"
                certificate.sigAlgOID !in SIGNATURES -> "its signature is too weak"
                else -> return
            }
            throw CertificateException(fault)
        }

        /** Returns whether an authority may give certificates for signing code. */
        fun mayIssue(authority: X509Certificate, time: Date): Boolean =
            try {
                authority.checkValidity(time)
                val usages = authority.extendedKeyUsage
                authority.basicConstraints >= 0 && allows(authority, CERTIFICATE_SIGNATURE) && isStrong(authority) &&
                    (usages == null || CODE_SIGNING in usages || ANY_USAGE in usages)
            } catch (_: CertificateException) {
                false
            }

        private fun allows(certificate: X509Certificate, bit: Int): Boolean = certificate.keyUsage?.getOrElse(bit) { false } ?: true

        private fun isStrong(authority: X509Certificate): Boolean {
            val key = authority.publicKey
            val isKeyStrong = key is ECPublicKey && Curve.of(key.params) != null ||
                key is RSAPublicKey && key.modulus.bitLength() >= SHORTEST_RSA
            return isKeyStrong && authority.sigAlgOID in SIGNATURES
        }
    }
}
