package dev.modelkeep.trust

import dev.modelkeep.CertificateRoots
import dev.modelkeep.KeepError
import dev.modelkeep.UsageError
import dev.modelkeep.json.CanonicalJson
import java.io.ByteArrayInputStream
import java.io.File
import java.math.BigInteger
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import kotlin.io.encoding.Base64
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource

/** The vectors of certificate chains: the same judgement as every other reader's. */
internal class ChainVectorsTest {
    internal class Chain(private val members: Map<*, *>) {
        override fun toString() = members["name"] as String

        fun signer() = members["signer"]

        fun error() = members["error"]

        fun check(): Any? {
            val roots = CertificateRoots(
                members["roots"] as String,
                members["subject"] as String?,
                (members["revoked_serials"] as List<*>).map { BigInteger(it as String) }.toSet(),
                (members["revoked_keys"] as List<*>).map { it as String }.toSet(),
            )
            val factory = CertificateFactory.getInstance("X.509")
            val chain = (members["chain"] as List<*>).map {
                factory.generateCertificate(ByteArrayInputStream(Base64.decode(it as String))) as X509Certificate
            }
            return roots.check(chain, members["now"] as Long).toJson()
        }
    }

    @ParameterizedTest
    @MethodSource("chains")
    fun `chains are judged as written`(chain: Chain) {
        if (chain.error() == null) return assertEquals(chain.signer(), chain.check())
        val error = assertThrows(KeepError::class.java) { chain.check() }
        assertEquals(chain.error(), error.javaClass.simpleName, error.hint)
    }

    @Test
    fun `roots that are none and subjects without a kind are refused`() {
        val root = entries().first()["roots"] as String
        for (make in listOf({ CertificateRoots("no certificate") }, { CertificateRoots(root, "acme") }, { CertificateRoots(root, "O=acme") })) {
            assertThrows(UsageError::class.java) { make() }
        }
    }

    companion object {
        @JvmStatic
        fun chains() = entries().map(::Chain)

        private fun entries(): List<Map<*, *>> {
            val file = File("../vectors/v1/chains.json")
            val index = CanonicalJson.decodeLenient(file.readBytes(), "chains") as Map<*, *>
            return (index["chains"] as List<*>).map { it as Map<*, *> }
        }
    }
}
