package dev.modelkeep.document

import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.vectors.Refused
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

/** The public half of a bundle's description. */
internal class ManifestTest {
    private val member = mapOf("size" to 1L, "leaves" to "00".repeat(32))
    private val document = mapOf(
        "format" to "modelkeep/bundle", "version" to 1L, "model" to "acme/detector", "bundle" to "00".repeat(16), "epoch" to 1L,
        "sealed_at" to 2L, "family" to "", "release" to "", "suite" to "AES256_GCM_HKDF_1MB", "commitment" to "00".repeat(32),
        "leaf" to "blake3", "digest" to "files", "members" to listOf(member, member),
    )

    private fun with(vararg changes: Pair<String, Any?>) = document + changes

    private fun parse(data: ByteArray) = Manifest.parse(data)

    @Test
    fun `what a bundle may say besides is read`() {
        val read = parse(CanonicalJson.encode(with("upstream" to "u", "grant_issuers" to listOf("00ff"), "ext" to emptyMap<String, Any>())))
        assertEquals("u", read.upstream)
        assertEquals(listOf(0, -1), read.grantIssuers.single().map { it.toInt() })
        assertEquals("1 (sealed at 2)", "${read.order}")
    }

    @Test
    fun `what is not this format is refused`() {
        Refused("not a modelkeep bundle", with("format" to "modelkeep/inner")).check(::parse)
        Refused("version 2 is not supported", with("version" to 2L), UnsupportedVersionError::class.java).check(::parse)
        val large = "[" + " ".repeat(Manifest.LARGEST) + "]"
        assertThrows(MalformedError::class.java) { parse(large.encodeToByteArray()) }
    }

    @Test
    fun `every member has its form`() {
        for (model in listOf("", "acme/", "/acme", "a b", "../x", "a/b/c/d/e/f/g/h/i", "x".repeat(129))) {
            Refused("'model' is not a model id", with("model" to model)).check(::parse)
        }
        Refused("'suite' is 'AES'", with("suite" to "AES")).check(::parse)
        Refused("'leaf' is 'md5'", with("leaf" to "md5")).check(::parse)
        Refused("'digest' is 'some'", with("digest" to "some")).check(::parse)
        Refused("'family' is longer", with("family" to "x".repeat(1025))).check(::parse)
        Refused("32 lower-case hexadecimal digits", with("bundle" to "AA".repeat(16))).check(::parse)
        Refused("must list the inner manifest", with("members" to listOf(member))).check(::parse)
        Refused("'size' must be an integer", with("members" to listOf(member, member + ("size" to (1L shl 52))))).check(::parse)
        Refused("must not be empty when present", with("upstream" to "")).check(::parse)
        Refused("must not be empty when present", with("grant_issuers" to emptyList<Any>())).check(::parse)
        for (key in listOf(1L, "AA", "0", "00".repeat(513))) {
            Refused("must list public keys in lower-case hexadecimal", with("grant_issuers" to listOf(key))).check(::parse)
        }
    }
}
