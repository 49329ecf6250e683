package dev.modelkeep.trust

import dev.modelkeep.Clock
import dev.modelkeep.KeepError
import dev.modelkeep.Roots
import dev.modelkeep.TrustFile
import dev.modelkeep.Verifier
import dev.modelkeep.document.SignerId
import dev.modelkeep.json.CanonicalJson
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource

/** The committed vectors of trust files, roots, tickets and times; timestamps are not read here. */
internal class TrustVectorsTest {
    @ParameterizedTest
    @MethodSource("trustFiles")
    fun `trust files are read, or refused with the right error`(entry: Map<String, Any?>) {
        assertEquals(entry["error"], outcome { read(entry) }, entry["about"] as String)
    }

    @ParameterizedTest
    @MethodSource("releases")
    fun `releases are accepted within their publisher's limits`(entry: Map<String, Any?>) {
        val trust = read(trustFiles().first())
        val release = SignedRelease(
            entry["model"] as String, entry["family"] as String, entry["sealed_at"] as Long, entry["bundle"] as String,
        )
        val signer = SignerId(entry["key"] as String)
        assertEquals(entry["error"], outcome { trust.check(release, signer, entry["now"] as Long) })
    }

    @Test
    fun `signers are vouched for whatever the time`() {
        val trust = read(trustFiles().first())
        for (entry in entries("signers")) {
            val signer = SignerId.fromJson(entry["signer"])
            assertEquals(entry["vouches"], trust.vouches(entry["model"] as String, signer), "$entry")
        }
    }

    @Test
    fun `tickets are read, or refused with the right error`() {
        val verifier = Verifier(read(trustFiles().first()), Verifier.UNSAFE_ANY_MODEL)
        for (entry in entries("tickets")) {
            val data = (entry["file"] as String).encodeToByteArray()
            assertEquals(entry["error"], outcome { verifier.verifyTicket(data) }, "$entry")
        }
    }

    @ParameterizedTest
    @MethodSource("clocks")
    fun `begins and ends are judged by different times`(entry: Map<String, Any?>) {
        val clock = Clock({ entry["clock"] as Long }, entry["floor"] as Long, entry["built"] as Long)
        assertEquals(entry["begins"], clock.forBegins())
        assertEquals(entry["ends"], clock.forEnds(entry["sealed_at"] as Long))
        val expiry = (entry["expiries"] as List<*>).map { it as Long }.minOrNull()
        assertEquals(entry["remembered"], clock.persistable(expiry))
    }

    private fun outcome(action: () -> Any?): String? =
        try {
            action()
            null
        } catch (error: KeepError) {
            error.javaClass.simpleName
        }

    companion object {
        private val INDEX = File("../vectors/v1/trust/index.json")

        private fun entries(kind: String): List<Map<String, Any?>> {
            val index = CanonicalJson.decodeLenient(INDEX.readBytes(), "index") as Map<*, *>
            @Suppress("UNCHECKED_CAST")
            return index[kind] as List<Map<String, Any?>>
        }

        private fun read(entry: Map<String, Any?>): TrustFile {
            val document = entry["document"] as String?
            val roots = if (document != null) Roots.ofDocument(document.encodeToByteArray()) else {
                Roots.ofKeys((entry["roots"] as List<*>).map { it as String }, (entry["threshold"] as Long).toInt())
            }
            return TrustFile.read((entry["file"] as String).encodeToByteArray(), roots, entry["minimum"] as Long)
        }

        @JvmStatic
        fun trustFiles() = entries("trust_files")

        @JvmStatic
        fun releases() = entries("releases")

        /** Nobody vouches for a phone's clock, and no timestamp is read. */
        @JvmStatic
        fun clocks() = entries("clocks").filter { it["witnessed"] == 0L && it["vouched"] == false }
    }
}
