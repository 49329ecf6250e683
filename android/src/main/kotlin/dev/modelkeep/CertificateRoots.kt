package dev.modelkeep

import dev.modelkeep.document.SignerId
import dev.modelkeep.trust.CertificateNames
import dev.modelkeep.trust.ChainRules
import dev.modelkeep.trust.Pem
import dev.modelkeep.trust.TypedSubject
import java.io.ByteArrayInputStream
import java.math.BigInteger
import java.security.GeneralSecurityException
import java.security.cert.CertPathBuilder
import java.security.cert.CertStore
import java.security.cert.CertificateException
import java.security.cert.CertificateFactory
import java.security.cert.CollectionCertStoreParameters
import java.security.cert.PKIXBuilderParameters
import java.security.cert.PKIXCertPathBuilderResult
import java.security.cert.TrustAnchor
import java.security.cert.X509CertSelector
import java.security.cert.X509Certificate
import java.util.Date

/**
 * Certificate authorities whose certificates may sign models; hand it to [Verifier]. The signing certificate must be one
 * for signing code: its extended key usages have codeSigning, and so have those of every authority that states any.
 * Source: RFC 5280; path building is that of the platform.
 *
 * @param pem the authorities, one after the other: the text that begins with `-----BEGIN CERTIFICATE-----`.
 * @param subject a name that the signing certificate must carry, with its kind: `CN=acme models`,
 *   `EMAIL=models@acme.example`, `DNS=`, `URI=` or `DN=` (RFC 4514). Null accepts everyone to whom the authorities gave a
 *   certificate for signing code.
 * @param revokedSerials serial numbers that no certificate of a chain may have.
 * @param revokedKeys fingerprints of keys (hexadecimal SHA-256 of the PEM form) that no certificate of a chain may have.
 * @throws UsageError no certificate, one with name constraints, or a subject without its kind.
 */
public class CertificateRoots @JvmOverloads @Throws(KeepError::class) constructor(
    pem: String,
    subject: String? = null,
    private val revokedSerials: Set<BigInteger> = emptySet(),
    private val revokedKeys: Set<String> = emptySet(),
) {
    private val roots = parse(pem)
    private val fingerprints = roots.map { Pem.fingerprint(it.publicKey.encoded) }.toSet()
    private val subject = subject?.let { TypedSubject.parse(it) ?: throw noKind() }

    /** Accepts a chain (signing certificate first) at a time in seconds since 1970, and returns who signed. */
    internal fun check(certificates: List<X509Certificate>, now: Long): SignerId {
        val signing = certificates[0]
        val chain = path(certificates, Date(now * 1000))
        if (chain.any(::isRevoked)) throw UntrustedSignerError("certificate of ${CertificateNames.display(signing)} is revoked")
        val name = CertificateNames.of(signing).firstOrNull { subject == null || it == subject }
            ?: throw UntrustedSignerError("signed by ${CertificateNames.display(signing)}, not by $subject")
        return SignerId(fingerprint(signing), fingerprint(chain.last()), name.kind, name.name)
    }

    /** Returns whether what [signer] once signed counts, whatever the time and the certificate. */
    internal fun vouches(signer: SignerId): Boolean =
        signer.root != null && signer.root in fingerprints && signer.root !in revokedKeys && signer.key !in revokedKeys &&
            (subject == null || signer.kind == subject.kind && signer.name == subject.name)

    private fun isRevoked(certificate: X509Certificate) =
        certificate.serialNumber in revokedSerials || fingerprint(certificate) in revokedKeys

    /** Returns the certificates from the signing one to a root. */
    private fun path(certificates: List<X509Certificate>, time: Date): List<X509Certificate> {
        val signing = certificates[0]
        try {
            ChainRules.checkSigning(signing, time)
            if (signing in roots) return listOf(signing)
            val result = platformBuilder().build(parameters(certificates, time)) as PKIXCertPathBuilderResult
            return result.certPath.certificates.map { it as X509Certificate } + result.trustAnchor.trustedCert
        } catch (error: GeneralSecurityException) {
            throw unfit(signing, time, error)
        }
    }

    private fun parameters(certificates: List<X509Certificate>, time: Date): PKIXBuilderParameters {
        val anchors = roots.filter { ChainRules.mayIssue(it, time) }.map { TrustAnchor(it, null) }.toSet()
        if (anchors.isEmpty()) throw CertificateException("no root counts at that time")
        val signing = X509CertSelector().apply { certificate = certificates[0] }
        return PKIXBuilderParameters(anchors, signing).apply {
            addCertStore(CertStore.getInstance("Collection", CollectionCertStoreParameters(certificates)))
            addCertPathChecker(ChainRules(certificates[0], time))
            date = time
            isRevocationEnabled = false
            maxPathLength = LONGEST_PATH
        }
    }

    private fun unfit(signing: X509Certificate, time: Date, error: GeneralSecurityException): RefusedError {
        val name = CertificateNames.display(signing)
        if (time.before(signing.notBefore) || time.after(signing.notAfter)) {
            return ExpiredError("certificate of $name is valid from ${signing.notBefore} to ${signing.notAfter}, not on $time")
        }
        return UntrustedSignerError("certificate of $name does not lead to a trusted root", "the reason was: ${error.message}")
    }

    private companion object {
        /** Authorities between the signing certificate and the root. */
        private const val LONGEST_PATH = 8
        private const val NAME_CONSTRAINTS = "2.5.29.30"

        fun platformBuilder(): CertPathBuilder = platform { CertPathBuilder.getInstance("PKIX") }

        fun fingerprint(certificate: X509Certificate) = Pem.fingerprint(certificate.publicKey.encoded)

        fun parse(pem: String): List<X509Certificate> {
            val found = try {
                CertificateFactory.getInstance("X.509").generateCertificates(ByteArrayInputStream(pem.encodeToByteArray()))
            } catch (_: CertificateException) {
                emptyList()
            }
            if (found.isEmpty()) throw UsageError("no certificates in PEM form", "expected -----BEGIN CERTIFICATE-----")
            return found.map { it as X509Certificate }.onEach(::checkUnconstrained)
        }

        // The platform's path building leaves the constraints of roots aside.
        fun checkUnconstrained(root: X509Certificate) {
            if (root.getExtensionValue(NAME_CONSTRAINTS) == null) return
            throw UsageError("a root with name constraints is not supported", "pin the subject, and take another root")
        }

        fun noKind() = UsageError(
            "a subject needs its kind", "write CN=NAME, EMAIL=ADDRESS, DNS=NAME, URI=ADDRESS or DN=WHOLE-NAME",
        )
    }
}
