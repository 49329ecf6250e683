package dev.modelkeep.trust

import dev.modelkeep.KeepError
import dev.modelkeep.PlatformError
import dev.modelkeep.SecondKey
import dev.modelkeep.UsageError
import dev.modelkeep.json.CanonicalJson
import java.io.File
import kotlin.io.encoding.Base64
import org.bouncycastle.jce.provider.BouncyCastleProvider
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource

/** Second signatures with the provider that an app brings along. */
internal class SecondKeyTest {
    @ParameterizedTest
    @MethodSource("documents")
    fun `second signatures are judged as written`(vector: Map<String, String?>) {
        val key = SecondKey(VECTORS["key"] as String, BouncyCastleProvider())
        val payload = Base64.decode(VECTORS["payload"] as String)
        val outcome = try {
            key.verify(vector["document"]?.encodeToByteArray(), payload)
            null
        } catch (error: KeepError) {
            error.javaClass.simpleName
        }
        assertEquals(vector["error"], outcome)
    }

    @Test
    fun `without a provider the error says what to do`() {
        val error = assertThrows(PlatformError::class.java) { SecondKey(VECTORS["key"] as String) }
        assertEquals("pass a provider that has ML-DSA, for example BouncyCastleProvider()", error.hint)
    }

    @Test
    fun `other keys are refused`() {
        val ecdsa = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"
        for (pem in listOf(ecdsa, "no key")) assertThrows(UsageError::class.java) { SecondKey(pem, BouncyCastleProvider()) }
    }

    companion object {
        private val VECTORS = CanonicalJson.decodeLenient(File("../vectors/v1/second.json").readBytes(), "second") as Map<*, *>

        @JvmStatic
        fun documents() = VECTORS["documents"] as List<*>
    }
}
