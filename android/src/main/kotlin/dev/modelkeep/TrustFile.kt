package dev.modelkeep

import dev.modelkeep.document.Manifest
import dev.modelkeep.document.ReleaseOrder
import dev.modelkeep.document.SignerId
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.keys.Constraints
import dev.modelkeep.state.SeenTrust
import dev.modelkeep.trust.EcdsaKey
import dev.modelkeep.trust.Envelope
import dev.modelkeep.trust.EnvelopeKind
import dev.modelkeep.trust.Publisher
import dev.modelkeep.trust.SignedRelease
import dev.modelkeep.trust.ascending
import dev.modelkeep.trust.checkFormat
import java.io.ByteArrayInputStream
import java.security.cert.CertificateException
import java.security.cert.CertificateFactory

/**
 * What a device believes about publishers: which keys may sign which models, and what does not count any more. Hand it to
 * [Verifier]. Source: spec/trust-v1.md.
 *
 * @property number grows with every new file.
 * @property expires last second at which it counts, since 1970-01-01 UTC.
 */
public class TrustFile private constructor(record: Record, private val roots: Roots) {
    public val number: Long = record.integer("number")
    public val expires: Long = record.integer("expires", highest = Constraints.LATEST_TIME)
    private val publishers = record.items("publishers", MOST_PUBLISHERS).map(Publisher::read)
    private val revokedKeys: Set<String>
    private val revokedBundles: Set<String>
    internal val void = record.ascending("void", BUNDLE, MOST_REVOKED)
    private val floors = floors(record)

    init {
        val (keys, bundles) = record.nested("revoked") {
            ascending("keys", FINGERPRINT, MOST_REVOKED) to ascending("bundles", BUNDLE, MOST_REVOKED)
        }
        revokedKeys = keys
        revokedBundles = bundles
        // Authorities of time: this library reads no timestamps.
        record.items("authorities", MOST_AUTHORITIES).forEach(::checkCertificate)
        // Sigstore's trusted root: this library verifies no identities, and does not take files apart that name some.
        val root = if ("sigstore_root" in record) record.text("sigstore_root", LARGEST_SIGSTORE_ROOT) else null
        if (root == "" || root == null && publishers.any { it.isIdentity }) {
            throw record.fault("sigstore_root", "must not be missing or empty where publishers are identities")
        }
        val named = if ("roots" in record) record.nested("roots") { hexadecimal("set", FINGERPRINT) to integer("number", 1) } else null
        roots.checkNamed(named?.first?.toHexadecimal(), named?.second ?: 0)
    }

    /** The keys that count, by fingerprint. */
    internal val keys: Map<String, EcdsaKey>
        get() = publishers.mapNotNull { it.key }.associateBy { it.fingerprint }.filterKeys { it !in revokedKeys }

    internal val seen: SeenTrust
        get() = SeenTrust(number, roots.keys.keys, roots.threshold, roots.newest?.set, roots.documents)

    internal fun floor(model: String): ReleaseOrder? = floors[model]

    internal fun vouches(model: String, signer: SignerId): Boolean =
        signer.key !in revokedKeys && publishers.any { it.isBehind(signer) && it.signs(model) }

    /** Returns which of the roots signed a ticket, if they are enough. */
    internal fun checkSigned(ticket: Envelope): Set<String> = ticket.checkSigned(roots.keys, roots.threshold)

    internal fun isRevoked(key: String): Boolean = key in revokedKeys

    internal fun checkTime(now: Long) {
        if (now > expires) throw ExpiredError("the trust file has expired", "get a newer one from the publisher")
    }

    /** Applies all limits to a release that [signer] signed. */
    internal fun check(release: SignedRelease, signer: SignerId, now: Long) {
        checkTime(now)
        if (release.bundle in revokedBundles || release.bundle in void) {
            throw RefusedError("bundle ${release.bundle} is revoked", "get a newer release of the model")
        }
        val allowed = signer.key !in revokedKeys &&
            publishers.any { it.isBehind(signer) && it.maySign(release) }
        if (!allowed) {
            throw UntrustedSignerError(
                "$signer may not sign model '${release.model}' of family '${release.family}' at the time of sealing",
                "ask the publisher, or get a newer trust file",
            )
        }
    }

    public companion object {
        private const val MOST_PUBLISHERS = 1024
        private const val MOST_REVOKED = 10_000
        private const val MOST_FLOORS = 10_000
        private const val MOST_AUTHORITIES = 16
        private const val LARGEST_SIGSTORE_ROOT = 262_144
        private const val FINGERPRINT = 32
        private const val BUNDLE = 16

        /**
         * Reads a trust file, whose signatures are verified before anything in it is looked at.
         *
         * @param minimum lowest number that counts, where no state remembers it.
         * @throws SignatureError too few of the roots signed this, or a document that it brings along.
         * @throws RollbackError an older file, or one of roots that were replaced since.
         * @throws MalformedError not a trust file.
         */
        @JvmStatic
        @JvmOverloads
        @Throws(KeepError::class)
        public fun read(data: ByteArray, roots: Roots, minimum: Long = 0): TrustFile {
            val envelope = Envelope.parse(data, EnvelopeKind.TRUST)
            val followed = roots.following(envelope.documents)
            envelope.checkSigned(followed.keys, followed.threshold)
            val trust = Record.readClosed(CanonicalJson.decode(envelope.payload, "trust file"), "trust file") {
                checkFormat("modelkeep/trust")
                TrustFile(this, followed)
            }
            if (trust.number < minimum) {
                throw RollbackError("trust file ${trust.number} is older than $minimum, which was seen before")
            }
            return trust
        }

        private fun checkCertificate(item: Any?) {
            try {
                val text = (item as? String).orEmpty().encodeToByteArray()
                CertificateFactory.getInstance("X.509").generateCertificate(ByteArrayInputStream(text))
            } catch (_: CertificateException) {
                throw MalformedError("trust file: an authority is not a PEM certificate")
            }
        }

        private fun floors(record: Record): Map<String, ReleaseOrder> {
            val pairs = record.items("floors", MOST_FLOORS).map { item ->
                Record.readClosed(item, "trust file: floor") {
                    val model = text("model")
                    if (!Manifest.isModelId(model)) throw fault("model", "is not a model id")
                    model to ReleaseOrder(integer("epoch"), integer("sealed_at", highest = Constraints.LATEST_TIME))
                }
            }
            val names = pairs.map { it.first }
            // Model ids are ASCII, so that this is the order of code points.
            if (names != names.distinct().sorted()) throw record.fault("floors", "must name each model once, in ascending order")
            return pairs.toMap()
        }
    }
}
