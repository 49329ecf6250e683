package dev.modelkeep.trust

import dev.modelkeep.KeepError
import dev.modelkeep.MalformedError
import dev.modelkeep.RefusedError
import dev.modelkeep.RollbackError
import dev.modelkeep.Roots
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.SignatureError
import dev.modelkeep.TrustFile
import dev.modelkeep.UsageError
import dev.modelkeep.Verifier
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.keys.Constraints
import dev.modelkeep.sha256
import dev.modelkeep.state.DeviceState
import dev.modelkeep.toHexadecimal
import dev.modelkeep.vectors.Vector
import java.io.File
import java.security.KeyPair
import java.security.KeyPairGenerator
import java.security.Signature
import java.security.spec.ECGenParameterSpec
import kotlin.io.encoding.Base64
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Trust files and roots, signed here: what a verifier makes of them, and what a device remembers of them. */
internal class TrustFileTest {
    @TempDir
    lateinit var folder: File

    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "sha256-leaves" }
    private val bundleId = Vector.manifest(vector).bundle.toHexadecimal()

    private class Key {
        private val pair: KeyPair = KeyPairGenerator.getInstance("EC").run {
            initialize(ECGenParameterSpec("secp256r1"))
            generateKeyPair()
        }
        val pem = Base64.encode(pair.public.encoded).chunked(64)
            .joinToString("\n", "-----BEGIN PUBLIC KEY-----\n", "\n-----END PUBLIC KEY-----\n")
        val fingerprint = sha256(pem.encodeToByteArray()).toHexadecimal()

        fun sign(type: String, payload: ByteArray): ByteArray = Signature.getInstance("SHA256withECDSA").run {
            initSign(pair.private)
            update("DSSEv1 ${type.length} $type ${payload.size} ".encodeToByteArray() + payload)
            sign()
        }
    }

    private val root = Key()

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
    }

    private fun envelope(kind: EnvelopeKind, payload: ByteArray, keys: List<Key>, documents: List<Any?> = emptyList()): Map<String, Any?> {
        val signatures = keys.map { mapOf("key" to it.fingerprint, "signature" to Base64.encode(it.sign(kind.type, payload))) }
        val members = mapOf("payloadType" to kind.type, "payload" to Base64.encode(payload), "signatures" to signatures)
        return if (documents.isEmpty()) members else members + ("documents" to documents)
    }

    private fun payload(number: Long, changes: Map<String, Any?> = emptyMap()): ByteArray {
        val publisher = mapOf(
            "key" to vector.publisher, "models" to listOf("acme/*"), "families" to listOf("*"),
            "not_before" to 0L, "not_after" to Constraints.LATEST_TIME,
        )
        val members = mapOf(
            "format" to "modelkeep/trust", "version" to 1L, "number" to number, "expires" to vector.now + 1000,
            "publishers" to listOf(publisher), "void" to emptyList<String>(), "floors" to emptyList<Any>(),
            "revoked" to mapOf("keys" to emptyList<String>(), "bundles" to emptyList<String>()),
            "authorities" to emptyList<String>(),
        ) + changes
        return CanonicalJson.encode(members)
    }

    private fun trust(
        number: Long = 1,
        changes: Map<String, Any?> = emptyMap(),
        keys: List<Key> = listOf(root),
        roots: Roots = Roots.ofKeys(listOf(root.pem)),
        documents: List<Any?> = emptyList(),
    ) = TrustFile.read(CanonicalJson.encode(envelope(EnvelopeKind.TRUST, payload(number, changes), keys, documents)), roots)

    private fun publisher(vararg changes: Pair<String, Any?>) = mapOf(
        "publishers" to listOf(
            mapOf(
                "key" to vector.publisher, "models" to listOf("acme/*"), "families" to listOf("*"),
                "not_before" to 0L, "not_after" to Constraints.LATEST_TIME,
            ) + changes,
        ),
    )

    private val device by lazy { vector.identity() }

    private fun loader(trust: TrustFile, now: Long = vector.now) =
        SecureModelLoader(device, Verifier(trust, "acme/detector", clock = { now }), File(folder, "states"))

    private fun outcome(trust: TrustFile, now: Long = vector.now): String? =
        try {
            loader(trust, now).open(vector.bundle).close()
            null
        } catch (error: KeepError) {
            error.javaClass.simpleName
        }

    @Test
    fun `publishers sign within their limits`() {
        assertEquals(null, outcome(trust()))
        assertEquals(null, outcome(trust(changes = publisher("models" to listOf("acme/detector")))))
        assertEquals(null, outcome(trust(changes = publisher("models" to listOf("*")))))
        val untrusted = listOf(
            publisher("models" to listOf("acme/other")), publisher("models" to listOf("acm/*")),
            publisher("families" to listOf("audio")), publisher("not_after" to 1L),
        )
        for (changes in untrusted) assertEquals("UntrustedSignerError", outcome(trust(changes = changes)))
        assertThrows(MalformedError::class.java) { trust(changes = publisher("models" to emptyList<String>())) }
        assertThrows(MalformedError::class.java) { trust(changes = publisher("models" to listOf("/*"))) }
    }

    @Test
    fun `what is revoked, void, below a floor or expired does not open`() {
        fun revoked(keys: List<String>, bundles: List<String>) = mapOf("revoked" to mapOf("keys" to keys, "bundles" to bundles))
        assertEquals("RefusedError", outcome(trust(changes = revoked(emptyList(), listOf(bundleId)))))
        assertEquals("RefusedError", outcome(trust(changes = mapOf("void" to listOf(bundleId)))))
        val fingerprint = sha256(vector.publisher.encodeToByteArray()).toHexadecimal()
        assertEquals("UsageError", outcome(trust(changes = revoked(listOf(fingerprint), emptyList()))))
        val floor = mapOf("model" to "acme/detector", "epoch" to 7_000L, "sealed_at" to 0L)
        assertEquals("RollbackError", outcome(trust(changes = mapOf("floors" to listOf(floor)))))
        assertEquals("ExpiredError", outcome(trust(), vector.now + 1001))
    }

    @Test
    fun `a device remembers the number, the marks and the time`() {
        loader(trust(5)).install(vector.bundle, File(folder, "installed.keep"))
        assertEquals("RollbackError", outcome(trust(4)))
        assertEquals(null, outcome(trust(6)))
        assertEquals("RollbackError", outcome(trust(5)))
        // Other roots have numbers of their own.
        val other = Key()
        assertEquals(null, outcome(trust(1, keys = listOf(other), roots = Roots.ofKeys(listOf(other.pem)))))
        // The clock is set back behind what the device remembers: the file has expired all the same.
        outcome(trust(7, mapOf("expires" to vector.now + 900_000)), vector.now + 800_000)
        assertEquals("ExpiredError", outcome(trust(8), vector.now))
    }

    @Test
    fun `as many roots as are needed have to sign`() {
        val second = Key()
        val roots = Roots.ofKeys(listOf(root.pem, second.pem), 2)
        assertThrows(SignatureError::class.java) { trust(roots = roots) }
        assertThrows(SignatureError::class.java) { trust(keys = listOf(root, root), roots = roots) }
        trust(keys = listOf(root, second), roots = roots)
        assertThrows(UsageError::class.java) { Roots.ofKeys(listOf(root.pem, root.pem), 2) }
    }

    private fun document(number: Long, set: ByteArray?, keys: List<Key>, removed: List<Key> = emptyList()): ByteArray {
        val members = mapOf(
            "format" to "modelkeep/roots", "version" to 1L, "number" to number, "threshold" to 1L,
            "keys" to keys.sortedBy { it.fingerprint }.map { it.pem }, "removed" to removed.map { it.fingerprint }.sorted(),
        )
        return CanonicalJson.encode(if (set == null) members else members + ("set" to sha256(set).toHexadecimal()))
    }

    @Test
    fun `a chain of roots is followed, and no key comes back`() {
        val next = Key()
        val first = document(1, null, listOf(root))
        val second = document(2, first, listOf(next), listOf(root))
        val one = envelope(EnvelopeKind.ROOTS, first, listOf(root))
        val roots = Roots.ofDocument(CanonicalJson.encode(one))
        val named = mapOf("roots" to mapOf("set" to sha256(first).toHexadecimal(), "number" to 2L))
        fun brought(keys: List<Key>, payload: ByteArray = second) = listOf(one, envelope(EnvelopeKind.ROOTS, payload, keys))
        trust(1, named, listOf(next), roots, brought(listOf(root, next)))
        assertThrows(SignatureError::class.java) { trust(1, named, listOf(next), roots, brought(listOf(next))) }
        assertThrows(SignatureError::class.java) { trust(1, named, listOf(next), roots, brought(listOf(root))) }
        assertThrows(SignatureError::class.java) { trust(1, named, listOf(root), roots, brought(listOf(root, next))) }
        assertThrows(RollbackError::class.java) {
            val old = mapOf("roots" to mapOf("set" to sha256(first).toHexadecimal(), "number" to 1L))
            trust(1, old, listOf(next), roots, brought(listOf(root, next)))
        }
        assertThrows(SignatureError::class.java) { trust(1, emptyMap(), listOf(next), roots, brought(listOf(root, next))) }
        val forgetful = document(2, first, listOf(next))
        assertThrows(SignatureError::class.java) {
            trust(1, named, listOf(next), roots, brought(listOf(root, next), forgetful))
        }
        // A device that has seen document 2 takes no file that ends before it, and no other document 2.
        loader(trust(1, named, listOf(next), roots, brought(listOf(root, next)))).install(vector.bundle, File(folder, "one.keep"))
        val early = mapOf("roots" to mapOf("set" to sha256(first).toHexadecimal(), "number" to 1L))
        assertEquals("RollbackError", outcome(trust(9, early, listOf(root), roots)))
        val twin = Key()
        val forked = document(2, first, listOf(twin), listOf(root))
        assertEquals("RollbackError", outcome(trust(9, named, listOf(twin), roots, brought(listOf(root, twin), forked))))
    }

    @Test
    fun `a key that is revoked holds up no floor, nor do void marks for whoever calls them so`() {
        val installed = File(folder, "installed.keep")
        loader(trust(1)).install(vector.bundle, installed)
        assertEquals("RefusedError", outcome(trust(2, mapOf("void" to listOf(bundleId)))))
        val state = DeviceState(File(folder, "states"), device.publicValue, device::localKey)
        val contents = state.use { it.look() }
        fun floor(trust: TrustFile) = contents.floor("acme/detector", Verifier(trust, "acme/detector").judge).bundle
        assertEquals(null, floor(trust(2, mapOf("void" to listOf(bundleId)))))
        assertEquals(bundleId, floor(trust(1)))
    }

    private fun ticket(device: SecureModelLoader, vararg keys: Key): ByteArray {
        val report = device.stateReport()
        val acts = listOf(mapOf("act" to "void", "bundle" to bundleId))
        val members = mapOf(
            "format" to "modelkeep/ticket", "version" to 1L, "device" to report.device,
            "generation" to report.generation, "acts" to acts,
        )
        return CanonicalJson.encode(envelope(EnvelopeKind.TICKET, CanonicalJson.encode(members), keys.toList()))
    }

    @Test
    fun `a ticket takes back what counted for its signers, once`() {
        val stranger = Key()
        val theirs = loader(trust(1, keys = listOf(stranger), roots = Roots.ofKeys(listOf(stranger.pem))))
        val ours = loader(trust(1))
        assertThrows(RefusedError::class.java, { ours.obey(ticket(ours, root)) }, "nothing is remembered yet")
        ours.install(vector.bundle, File(folder, "installed.keep"))
        assertEquals(setOf("acme/detector"), ours.stateReport().newest.keys)
        // A trust file of the stranger names our publisher, and is signed by its own root alone.
        assertThrows(RefusedError::class.java) { theirs.obey(ticket(theirs, stranger)) }
        assertThrows(SignatureError::class.java) { ours.obey(ticket(ours, stranger)) }
        val given = ticket(ours, root)
        ours.obey(given)
        assertEquals(emptySet<String>(), ours.stateReport().newest.keys)
        assertThrows(RefusedError::class.java) { ours.obey(given) }
    }

    @Test
    fun `every mutation of a trust file is refused`() {
        val file = CanonicalJson.encode(envelope(EnvelopeKind.TRUST, payload(1), listOf(root)))
        val roots = Roots.ofKeys(listOf(root.pem))
        for (position in file.indices step 7) {
            val changed = file.clone()
            changed[position] = (changed[position].toInt() xor 1).toByte()
            assertThrows(KeepError::class.java, { TrustFile.read(changed, roots) }, "at $position")
        }
    }
}
