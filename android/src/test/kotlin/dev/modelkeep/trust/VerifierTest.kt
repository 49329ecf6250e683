package dev.modelkeep.trust

import dev.modelkeep.CertificateRoots
import dev.modelkeep.ExpiredError
import dev.modelkeep.KeepError
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.RollbackError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.UntrustedSignerError
import dev.modelkeep.UsageError
import dev.modelkeep.Verifier
import dev.modelkeep.WrongModelError
import dev.modelkeep.container.Container
import dev.modelkeep.container.Names
import dev.modelkeep.document.SignerId
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.state.DeviceState
import dev.modelkeep.vectors.Vector
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Whom a verifier can be made to believe, and for whom a device remembers what it installed. */
internal class VerifierTest {
    @TempDir
    lateinit var folder: File
    private val vector = vector("sha256-leaves")

    private fun vector(name: String) = Vector.all(File("../vectors/v1")).first { it.name == name }

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
    }

    @Test
    fun `a verifier that would believe nobody, or anybody, is not made`() {
        val key = listOf(vector.publisher)
        val makes = listOf(
            { Verifier(emptyList(), "acme/detector") }, { Verifier(listOf("no key"), "acme/detector") }, { Verifier(key, "") },
            { Verifier(key, "acme/*") }, { Verifier(key, "acme/detector", -1) }, { Verifier(key, "acme/detector", 0, -1) },
        )
        makes.forEachIndexed { index, make -> assertThrows(UsageError::class.java, { make() }, "$index") }
    }

    private inline fun <reified E : KeepError> refused(verifier: Verifier) {
        vector.identity().use { assertThrows(E::class.java) { SecureModelLoader(it, verifier, null).open(vector.bundle) } }
    }

    @Test
    fun `model, epoch and age are what the verifier wants`() {
        val key = listOf(vector.publisher)
        val manifest = Vector.manifest(vector)
        refused<WrongModelError>(Verifier(key, "acme/other"))
        refused<RollbackError>(Verifier(key, "acme/detector", manifest.epoch + 1))
        refused<ExpiredError>(Verifier(key, "acme/detector", maximumAgeSeconds = 9, clock = { manifest.sealedAt + 10 }))
        val exact = Verifier(key, "acme/detector", manifest.epoch, 9, clock = { manifest.sealedAt + 9 })
        vector.identity().use { SecureModelLoader(it, exact, null).open(vector.bundle).close() }
    }

    @Test
    fun `what authorities vouched for is remembered for them, and for no others`() {
        val vector = vector("certificate")
        val roots = CertificateRoots(vector.publisher)
        val identity = vector.identity() as KeystoreIdentity
        SecureModelLoader(identity, vector.verifier(), folder).install(vector.bundle, File(folder, "installed.keep"))
        val contents = DeviceState(folder, identity.publicValue, identity::localKey).use { it.look() }
        val signer = contents.models.getValue("acme/detector").marks.single().signer
        fun floor(roots: List<CertificateRoots>) =
            contents.floor("acme/detector", Verifier(emptyList(), "acme/detector", roots = roots).judge).bundle
        val (kind, name) = listOf(signer.kind!!, signer.name!!)
        assertTrue(floor(listOf(roots)) != null)
        assertTrue(floor(listOf(CertificateRoots(vector.publisher, "$kind=$name"))) != null)
        assertEquals(null, floor(listOf(CertificateRoots(vector.publisher, "$kind=$name x"))))
        val otherKind = if (kind == "dns") "uri" else "dns"
        assertEquals(null, floor(listOf(CertificateRoots(vector.publisher, "$otherKind=$name"))))
        for (revoked in listOf(signer.key, signer.root!!)) {
            assertEquals(null, floor(listOf(CertificateRoots(vector.publisher, revokedKeys = setOf(revoked)))))
        }
        assertFalse(roots.vouches(SignerId(signer.key)))
        assertFalse(roots.vouches(signer.copy(root = "00".repeat(32))))
    }

    @Test
    fun `a timestamp does not keep a certificate alive here, and is said not to be read`() {
        val vector = vector("certificate")
        val document = Container.openBundle(vector.bundle).use { CanonicalJson.decodeLenient(it.read(Names.SIGNATURE), "signature") } as Map<*, *>
        val stamps = mapOf("timestampVerificationData" to mapOf("rfc3161Timestamps" to emptyList<Any>()))
        val stamped = document + ("verificationMaterial" to (document["verificationMaterial"] as Map<*, *>) + stamps)
        vector.verifier().verifyStatement(CanonicalJson.encode(stamped))
        val later = vector.verifier { vector.now + 100L * 365 * 86_400 }
        for ((signature, isSaid) in listOf(document to false, stamped to true)) {
            val error = assertThrows(ExpiredError::class.java) { later.verifyStatement(CanonicalJson.encode(signature)) }
            assertEquals(isSaid, error.hint.orEmpty().startsWith("its timestamp is not read on Android"))
        }
    }

    @Test
    fun `a certificate of somebody else's authority`() {
        val vector = vector("certificate")
        val revoking = CertificateRoots(vector.publisher, "CN=somebody else")
        val verifier = Verifier(emptyList(), Verifier.UNSAFE_ANY_MODEL, clock = { vector.now }, roots = listOf(revoking))
        vector.identity().use { assertThrows(UntrustedSignerError::class.java) { SecureModelLoader(it, verifier, null).open(vector.bundle) } }
        // A key that is trusted by itself needs no certificate: what authorities say of it changes nothing.
        val keyed = Verifier(listOf(this.vector.publisher), Verifier.UNSAFE_ANY_MODEL, clock = { vector.now }, roots = listOf(revoking))
        vector.identity().use { SecureModelLoader(it, keyed, null).open(vector.bundle).close() }
    }
}
