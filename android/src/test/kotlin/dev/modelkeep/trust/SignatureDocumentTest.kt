package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.SignatureError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.UntrustedSignerError
import dev.modelkeep.container.Container
import dev.modelkeep.container.Names
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import dev.modelkeep.vectors.Refused
import dev.modelkeep.vectors.Vector
import java.io.File
import kotlin.io.encoding.Base64
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

/** Documents around signatures: what is refused of them, whoever signed. */
internal class SignatureDocumentTest {
    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "sha256-leaves" }
    private val signature = Container.openBundle(vector.bundle).use { decoded(it.read(Names.SIGNATURE)) }
    private val envelope = signature["dsseEnvelope"] as Map<String, Any?>
    private val statement = decoded(Base64.decode(envelope["payload"] as String))
    private val predicate = statement["predicate"] as Map<String, Any?>

    @Suppress("UNCHECKED_CAST")
    private fun decoded(data: ByteArray) = CanonicalJson.decodeLenient(data, "document") as Map<String, Any?>

    private fun withMaterial(vararg members: Pair<String, Any?>) = signature + ("verificationMaterial" to members.toMap())

    private fun withHint(hint: Any?) = withMaterial("publicKey" to mapOf("hint" to hint))

    private fun withEnvelope(vararg changes: Pair<String, Any?>) = signature + ("dsseEnvelope" to envelope + changes)

    @Test
    fun `a signature document of another form`() {
        val read = OmsDocument::parse
        Refused("'mediaType' is 'other'", signature + ("mediaType" to "other")).check(read)
        Refused("a Sigstore identity", withMaterial("certificate" to emptyMap<String, Any>()), SignatureError::class.java).check(read)
        for (hint in listOf(1L, "x".repeat(129), "é", "\n")) Refused("short printable string or null", withHint(hint)).check(read)
        Refused("must not be empty", withMaterial("x509CertificateChain" to mapOf("certificates" to emptyList<Any>()))).check(read)
        val certificate = mapOf("rawBytes" to "AAAA")
        Refused("not an X.509 certificate", withMaterial("x509CertificateChain" to mapOf("certificates" to listOf(certificate)))).check(read)
        Refused("'payloadType' is 'text'", withEnvelope("payloadType" to "text")).check(read)
        Refused("holds no signature", withEnvelope("signatures" to emptyList<Any>()), SignatureError::class.java).check(read)
        Refused("more than 1 items", withEnvelope("signatures" to listOf(1L, 2L))).check(read)
        for (text in listOf("*", "AB==", "AA", "AA==\n")) Refused("base64", withEnvelope("payload" to text)).check(read)
        assertThrows(MalformedError::class.java) { OmsDocument.parse(ByteArray((8 shl 20) + 1)) }
    }

    @Test
    fun `a signature that names no key is tried with those that are trusted`() {
        val without = withMaterial("publicKey" to emptyMap<String, Any>(), "tlogEntries" to emptyList<Any>())
        for (document in listOf(without, withHint(null), withHint(""))) {
            val data = CanonicalJson.encode(document)
            assertEquals(null, OmsDocument.parse(data).hint)
            vector.verifier().verifyStatement(data)
        }
        assertThrows(SignatureError::class.java) { vector.verifier().verifyStatement(ByteArray(0)) }
        val other = EcdsaKey.fromPem(vector.publisher)!!.fingerprint.replaceFirstChar { if (it == '0') '1' else '0' }
        Refused("by somebody who is not trusted", withHint(other), UntrustedSignerError::class.java).check(vector.verifier()::verifyStatement)
    }

    private fun withPredicate(vararg changes: Pair<String, Any?>) = statement + ("predicate" to predicate + changes)

    private fun withSerialization(vararg changes: Pair<String, Any?>) =
        withPredicate("serialization" to (predicate["serialization"] as Map<*, *>) + changes)

    @Test
    fun `a statement about something else`() {
        val read = Statement::parse
        for (name in listOf("_type", "predicateType")) {
            Refused("another kind of document than a model", statement + (name to "other"), SignatureError::class.java).check(read)
        }
        val subject = (statement["subject"] as List<*>).single()
        Refused("exactly one subject", statement + ("subject" to listOf(subject, subject))).check(read)
        val other = mapOf("name" to "x", "digest" to mapOf("sha256" to "00".repeat(32)))
        Refused("the root digest is not the digest of the resources", statement + ("subject" to listOf(other))).check(read)
        Refused("'method' is 'shards'", withSerialization("method" to "shards")).check(read)
        Refused("'hash_type' is 'blake2b'", withSerialization("hash_type" to "blake2b")).check(read)
        Refused("'allow_symlinks' must be false", withSerialization("allow_symlinks" to true)).check(read)
        Refused("'ignore_paths' must list strings", withSerialization("ignore_paths" to listOf(1L))).check(read)
        val resources = predicate["resources"] as List<*>
        for (order in listOf(resources.reversed(), resources + resources.last())) {
            Refused("each name once, in order", withPredicate("resources" to order)).check(read)
        }
    }

    @Test
    fun `names are compared part by part, as paths sort`() {
        fun of(vararg names: String) = names.map { mapOf("name" to it, "algorithm" to "sha256", "digest" to "00".repeat(32)) }
        for (names in listOf(arrayOf("a.b", "a/b"), arrayOf("a/b", "a"), arrayOf("a", "a"))) {
            Refused("each name once, in order", withPredicate("resources" to of(*names))).check(Statement::parse)
        }
        val root = sha256(ByteArray(96)).toHexadecimal()
        val subject = listOf(mapOf("name" to "x", "digest" to mapOf("sha256" to root)))
        val right = withPredicate("resources" to of("a", "a/b", "a.b")) + ("subject" to subject)
        assertEquals(setOf("a", "a/b", "a.b"), Statement.parse(CanonicalJson.encode(right)).resources.keys)
    }

    private val ticket = mapOf(
        "format" to "modelkeep/ticket", "version" to 1L, "device" to "00".repeat(32), "generation" to "00".repeat(16),
        "acts" to listOf(mapOf("act" to "forget-quarantine")),
    )

    private fun withAct(vararg members: Pair<String, Any?>) = ticket + ("acts" to listOf(members.toMap()))

    @Test
    fun `a ticket that asks for something unknown, or for nothing`() {
        val read = Ticket::parse
        Refused("'format' must be", ticket + ("format" to "other")).check(read)
        Refused("made by a newer version", ticket + ("version" to 2L), UnsupportedVersionError::class.java).check(read)
        Refused("must not be empty", ticket + ("acts" to emptyList<Any>())).check(read)
        Refused("'open' is not known", withAct("act" to "open"), UnsupportedVersionError::class.java).check(read)
        Refused("'time' must be an integer", withAct("act" to "time", "time" to -1L)).check(read)
        val mark = mapOf("model" to "/", "epoch" to 1L, "sealed_at" to 1L)
        Refused("a mark of no model", withAct("act" to "adopt", "counter" to 1L, "marks" to listOf(mark))).check(read)
        // Whoever signs it has seen all of it.
        Refused("'ext' is not known", ticket + ("ext" to emptyMap<String, Any>())).check(read)
    }

    private val document = mapOf("payloadType" to EnvelopeKind.TRUST.type, "payload" to "", "signatures" to emptyList<Any>())

    @Test
    fun `an envelope around another kind of document`() {
        val read = { data: ByteArray -> Envelope.parse(data, EnvelopeKind.TRUST) }
        Refused("a document of another kind", document + ("payloadType" to EnvelopeKind.TICKET.type), SignatureError::class.java).check(read)
        val roots = document + ("payloadType" to EnvelopeKind.ROOTS.type)
        val nested = roots + ("documents" to listOf(roots))
        for (documents in listOf(emptyList(), listOf(nested))) Refused("bring none along", document + ("documents" to documents)).check(read)
        assertThrows(MalformedError::class.java) { read(ByteArray((2 shl 20) + 1)) }
    }

    @Test
    fun `roots that nobody can follow`() {
        val key = vector.publisher
        val fingerprint = EcdsaKey.fromPem(key)!!.fingerprint
        val document = mapOf(
            "format" to "modelkeep/roots", "version" to 1L, "number" to 1L, "threshold" to 1L, "keys" to listOf(key), "removed" to emptyList<Any>(),
        )
        RootsDocument.parse(CanonicalJson.encode(document))
        val read = RootsDocument::parse
        Refused("a threshold that cannot be reached", document + ("threshold" to 2L)).check(read)
        Refused("the first one begins a chain", document + ("number" to 2L)).check(read)
        Refused("the first one begins a chain", document + ("set" to "00".repeat(32))).check(read)
        Refused("a root that was removed comes back", document + ("removed" to listOf(fingerprint))).check(read)
        Refused("ascending order of fingerprints", document + ("keys" to listOf(key, key))).check(read)
        Refused("ascending order without repetition", document + ("removed" to listOf("ff".repeat(32), "00".repeat(32)))).check(read)
        for (odd in listOf(1L, "x".repeat(1025), "no key")) Refused("not a PEM public key", document + ("keys" to listOf(odd))).check(read)
    }
}
