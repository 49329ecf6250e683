package dev.modelkeep.state

import dev.modelkeep.document.ReleaseOrder
import dev.modelkeep.document.SignerId
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import dev.modelkeep.trust.Act
import dev.modelkeep.trust.Ticket
import dev.modelkeep.trust.VerifiedTicket
import dev.modelkeep.vectors.Vector
import java.io.File
import kotlin.io.encoding.Base64
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource

/** The committed vectors of what devices remember: places, marks, trust files that were seen, bodies, tickets. */
internal class StateVectorsTest {
    @ParameterizedTest
    @MethodSource("checks")
    fun `a release is held against the marks that count`(vector: Map<String, Any?>) {
        val vouched = items(vector["vouched"]).map(SignerId::fromJson)
        val void = strings(vector["void"])
        val judge = object : Judge {
            override fun vouches(model: String, signer: SignerId) = signer in vouched

            override fun voids(bundle: String) = bundle in void

            override fun floor(model: String) =
                (vector["floor"] as List<*>?)?.let { ReleaseOrder(it[0] as Long, it[1] as Long) }
        }
        val release = mark(vector["release"])
        val floor = Floor.of(items(vector["marks"]).map(::mark), MODEL, judge)
        assertEquals(vector["error"], Vector.errorOf { floor.check(release.order, release.bundle) }, about(vector))
    }

    @ParameterizedTest
    @MethodSource("commits")
    fun `a commit adds a mark`(vector: Map<String, Any?>) {
        var after: List<Mark>? = null
        val error = Vector.errorOf { after = items(vector["marks"]).map(::mark).with(mark(vector["new"])) }
        assertEquals(vector["error"], error, about(vector))
        assertEquals((vector["after"] as List<*>?)?.map(::mark), after, about(vector))
    }

    @ParameterizedTest
    @MethodSource("trust")
    fun `a trust file is seen`(vector: Map<String, Any?>) {
        val file = vector["file"] as Map<*, *>
        val documents = (file["documents"] as Map<*, *>).entries.associate { (key, value) -> (key as String).toLong() to value as String }
        val seen = SeenTrust(
            file["number"] as Long, strings(file["keys"]), (file["threshold"] as Long).toInt(), file["set"] as String?, documents,
        )
        var after: List<TrustEntry>? = null
        val error = Vector.errorOf { after = TrustEntry.with(entries(vector["trust"]), seen) }
        assertEquals(vector["error"], error, about(vector))
        assertEquals(vector["after"]?.let(::entries), after, about(vector))
    }

    @ParameterizedTest
    @MethodSource("bodies")
    fun `a body is read and written back, or refused`(vector: Map<String, Any?>) {
        val body = Base64.decode(vector["body"] as String)
        var written: ByteArray? = null
        val error = Vector.errorOf { written = ContentsJson.encode(ContentsJson.decode(body)) }
        assertEquals(vector["error"], error, about(vector))
        if (error == null) assertEquals(body.decodeToString(), written?.decodeToString(), about(vector))
    }

    @ParameterizedTest
    @MethodSource("names")
    fun `a state is named by the key`(vector: Map<String, Any?>) {
        val public = (vector["public"] as String).chunked(2).map { it.toInt(16).toByte() }.toByteArray()
        assertEquals(vector["name"], "${sha256(public).toHexadecimal()}.state")
    }

    /** Devices without a counter adopt nothing. */
    @ParameterizedTest
    @MethodSource("tickets")
    fun `a ticket takes back what counted for its signers`(vector: Map<String, Any?>) {
        val contents = ContentsJson.decode(Base64.decode(vector["body"] as String))
        val ticket = Ticket.parse(Base64.decode(vector["ticket"] as String))
        val expected = if (Act.Adopt in ticket.acts) "RefusedError" else vector["error"]
        val verified = VerifiedTicket(ticket, strings(vector["signers"]))
        assertEquals(expected, Vector.errorOf { contents.obey(vector["device"] as String, verified) }, about(vector))
        if (expected == null) {
            val after = Base64.decode(vector["after"] as String).decodeToString()
            assertEquals(after, ContentsJson.encode(contents).decodeToString(), about(vector))
        }
    }

    companion object {
        private const val MODEL = "acme/detector"
        private val FOLDER = File("../vectors/v1/states")

        private fun about(vector: Map<String, Any?>) = vector["about"] as String

        private fun items(value: Any?) = value as List<*>

        private fun strings(value: Any?): Set<String> = items(value).map { it as String }.toSet()

        private fun mark(item: Any?): Mark {
            val members = item as Map<*, *>
            val order = ReleaseOrder(members["epoch"] as Long, members["sealed_at"] as Long)
            return Mark(SignerId.fromJson(members["signer"]), order, members["bundle"] as String, members["voucher"] as String)
        }

        private fun entries(value: Any?): List<TrustEntry> {
            val empty = CanonicalJson.decode(ContentsJson.encode(Contents()), "state") as Map<*, *>
            val body = empty.entries.associate { (key, member) -> key as String to member } + ("trust" to value)
            return ContentsJson.decode(CanonicalJson.encode(body)).trust
        }

        private fun vectors(kind: String) = Vector.entries(FOLDER, kind)

        @JvmStatic
        fun checks() = vectors("checks")

        @JvmStatic
        fun commits() = vectors("commits")

        @JvmStatic
        fun trust() = vectors("trust")

        @JvmStatic
        fun bodies() = vectors("bodies")

        @JvmStatic
        fun names() = vectors("names")

        @JvmStatic
        fun tickets() = vectors("tickets")
    }
}
