package dev.modelkeep.keys

import dev.modelkeep.ExpiredError
import dev.modelkeep.FleetIdentity
import dev.modelkeep.KeyStoreError
import dev.modelkeep.MalformedError
import dev.modelkeep.Now
import dev.modelkeep.PostureError
import dev.modelkeep.Recipient
import dev.modelkeep.RefusedError
import dev.modelkeep.SignatureError
import dev.modelkeep.StorageError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.UntrustedSignerError
import dev.modelkeep.UsageError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.trust.EcdsaKey
import dev.modelkeep.vectors.Refused
import java.io.File
import java.security.interfaces.ECPublicKey
import kotlin.io.encoding.Base64
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

/** Grants: the document, what it demands, and who it can be made for. */
internal class GrantTest {
    private val header = mapOf(
        "bundle" to "00".repeat(16), "constraints" to emptyMap<String, Any>(), "key_id" to "00".repeat(16), "type" to "hpke-p256", "version" to 1L,
    )

    private fun grant(header: Map<String, Any?>, vararg others: Pair<String, Any?>) =
        mapOf("header" to Base64.encode(CanonicalJson.encode(header)), "wrapped" to "AA==") + others

    private fun withHeader(vararg changes: Pair<String, Any?>) = grant(header + changes)

    private fun withConstraint(name: String, value: Any?) = withHeader("constraints" to mapOf(name to value))

    @Test
    fun `a grant of another form`() {
        val read = Grant::parse
        assertThrows(MalformedError::class.java) { Grant.parse(ByteArray(Grant.LARGEST + 1)) }
        Refused("version 2", withHeader("version" to 2L), UnsupportedVersionError::class.java).check(read)
        Refused("'type' is not the name", withHeader("type" to "HPKE")).check(read)
        Refused("'signature' is missing", grant(header, "issuer" to "00".repeat(32))).check(read)
        Refused("'issuer' is missing", grant(header, "signature" to "AA==")).check(read)
        val scrypt = mapOf("r" to 8L, "p" to 1L, "salt" to "00".repeat(16), "log_n" to 14L)
        for (change in listOf("r" to 9L, "p" to 2L, "log_n" to 21L, "log_n" to 13L)) {
            Refused("'${change.first}' must be an integer", withHeader("type" to "passphrase", "scrypt" to scrypt + change)).check(read)
        }
    }

    @Test
    fun `a constraint that is not understood is not passed over`() {
        val read = Grant::parse
        Refused("'place' is not known", withConstraint("place", "here"), UnsupportedVersionError::class.java).check(read)
        Refused("'delegate' must be true", withConstraint("delegate", false)).check(read)
        Refused("'not_after' must be an integer", withConstraint("not_after", Constraints.LATEST_TIME + 1)).check(read)
        for (names in listOf(emptyList(), listOf(1L), listOf("Locked"), listOf("x".repeat(65)))) {
            Refused("must list names of postures", withConstraint("posture", names)).check(read)
        }
        for (names in listOf(listOf("b", "a"), listOf("a", "a"))) Refused("ascending order", withConstraint("posture", names)).check(read)
    }

    @Test
    fun `constraints are held against time and device`() {
        val demanding = Constraints(notBefore = 5, notAfter = 9, posture = listOf("locked"))
        demanding.check(Now(5, 9), setOf("locked", "verified"))
        assertThrows(ExpiredError::class.java) { demanding.check(Now(4, 9), setOf("locked")) }
        assertThrows(ExpiredError::class.java) { demanding.check(Now(5, 10), setOf("locked")) }
        assertThrows(PostureError::class.java) { demanding.check(Now(5, 9), setOf("verified")) }
        assertEquals(emptyMap<String, Any?>(), Constraints().toJson())
        assertEquals(setOf("not_before", "not_after", "posture"), demanding.toJson().keys)
    }

    @Test
    fun `who passes a grant on cannot give more than it is`() {
        val own = Constraints(notBefore = 5, notAfter = 9, posture = listOf("locked"), delegate = true)
        val wider = own.delegated(Constraints(notBefore = 1, notAfter = 99, posture = listOf("green"), delegate = true))
        assertEquals(listOf(5L, 9L, listOf("green", "locked"), true), listOf(wider.notBefore, wider.notAfter, wider.posture, wider.delegate))
        val narrower = own.delegated(Constraints(notBefore = 6, notAfter = 8))
        assertEquals(listOf(6L, 8L, listOf("locked"), false), listOf(narrower.notBefore, narrower.notAfter, narrower.posture, narrower.delegate))
        assertThrows(RefusedError::class.java) { Constraints().delegated(own) }
        assertThrows(UsageError::class.java) { own.delegated(Constraints(posture = List(16) { "p$it" })) }
    }

    @Test
    fun `a signed grant is of an issuer that the bundle lists`() {
        val pair = P256.generate()
        val unsigned = Grant.parse(CanonicalJson.encode(grant(header)))
        assertThrows(SignatureError::class.java) { unsigned.checkIssuer(listOf(pair.public.encoded)) }
        val signed = Grant.parse(CanonicalJson.encode(grant(header, "issuer" to "00".repeat(32), "signature" to "AA==")))
        assertThrows(UntrustedSignerError::class.java) { signed.checkIssuer(listOf(pair.public.encoded)) }
        assertThrows(MalformedError::class.java) { signed.checkIssuer(listOf(byteArrayOf(1))) }
        val name = EcdsaKey.of(pair.public)!!.fingerprint
        val forged = Grant.parse(CanonicalJson.encode(grant(header, "issuer" to name, "signature" to "AA==")))
        assertThrows(SignatureError::class.java) { forged.checkIssuer(listOf(pair.public.encoded)) }
        assertEquals(grant(header, "issuer" to name, "signature" to "AA=="), CanonicalJson.decode(forged.toBytes(), "grant"))
    }

    @Test
    fun `a grant's secret of another form`() {
        val secret = GrantSecret.pack(DataKey(ByteArray(32) { 1 }), "phone-1")
        assertEquals("phone-1", GrantSecret.unpack(secret).second)
        val odd = listOf(
            secret.copyOf(103), secret.clone().also { it[32] = 65 }, secret.clone().also { it[103] = 1 }, secret.clone().also { it[33] = '/'.code.toByte() },
        )
        for (each in odd) assertThrows(MalformedError::class.java) { GrantSecret.unpack(each) }
    }

    @Test
    fun `a passphrase grant stands alone, and one that is too new is told last`() {
        val scrypt = mapOf("r" to 8L, "p" to 1L, "salt" to "00".repeat(16), "log_n" to 14L)
        val passphrase = Grant.parse(CanonicalJson.encode(withHeader("type" to "passphrase", "scrypt" to scrypt)))
        val other = Grant.parse(CanonicalJson.encode(grant(header)))
        assertEquals(1, Grants.standingAlone(sequenceOf(passphrase)).count())
        for (company in listOf(sequenceOf(passphrase, other), sequenceOf(other, passphrase))) {
            assertThrows(MalformedError::class.java) { Grants.standingAlone(company).count() }
        }
        val new = CanonicalJson.encode(withHeader("version" to 2L))
        val all = Grants.all(sequenceOf(new, new), sequenceOf(other.toBytes())).iterator()
        assertEquals("hpke-p256", all.next().header.type)
        assertThrows(UnsupportedVersionError::class.java) { all.hasNext() }
        val long = ByteArray(Grant.LARGEST + 1) { 1 }
        assertThrows(MalformedError::class.java) { Grants.lines(long.inputStream()).count() }
        assertEquals(1, Grants.lines("a\nb".byteInputStream()).count())
        assertThrows(StorageError::class.java) { Grants.lines(File("absent.grants")).count() }
    }

    @Test
    fun `recipients and fleet keys of another form`() {
        val point = P256.encode(P256.generate().public as ECPublicKey)
        val line = Recipient.line(point, "phone-1")
        assertEquals(line, Recipient.parse(" $line\n").toString())
        assertThrows(UnsupportedVersionError::class.java) { Recipient.parse("x25519 AAAA") }
        val off = Recipient.line(point.clone().also { it[64] = (it[64].toInt() xor 1).toByte() }, "")
        val compressed = Recipient.line(point.clone().also { it[0] = 2 }, "")
        for (odd in listOf("hpke-p256", "hpke-p256 *", "hpke-p256 AAAA", "$line more", off, compressed)) {
            assertThrows(MalformedError::class.java, { Recipient.parse(odd) }, odd)
        }
        assertThrows(UsageError::class.java) { Recipient.parse(Recipient.line(point, "phone/1")) }
        val key = Base64.encode(ByteArray(32))
        val device = FleetIdentity.parse("modelkeep-fleet-device $key phone-1\n")
        assertEquals("fleet", device.recipient().toString())
        assertThrows(UsageError::class.java) { device.recipient("phone-2") }
        for (odd in listOf("", "modelkeep-fleet-device", "modelkeep-fleet-device * x", "other $key x", "modelkeep-fleet-device AAAA x", "modelkeep-fleet-device $key x y")) {
            assertThrows(KeyStoreError::class.java, { FleetIdentity.parse(odd) }, odd)
        }
        assertThrows(UsageError::class.java) { FleetIdentity.derive(ByteArray(31), "phone-1") }
    }
}
