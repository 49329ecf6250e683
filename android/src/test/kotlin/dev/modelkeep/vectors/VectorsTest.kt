package dev.modelkeep.vectors

import dev.modelkeep.fake.FakePhone
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource

/** The committed vectors of the format, as far as this library reads them. */
internal class VectorsTest {
    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
    }

    @ParameterizedTest
    @MethodSource("vectors")
    fun `every vector gives its files or its error`(vector: Vector) {
        val expected = expected(vector)
        assertEquals(expected, vector.outcome { model ->
            assertEquals(vector.files, Vector.digests(model))
            assertEquals(vector.deviceId, model.report.deviceId)
            assertEquals(vector.inputs?.size, model.contract?.inputs?.size)
        })
        if (expected == null) vector.verify()
    }

    private fun expected(vector: Vector): String? =
        when {
            vector.name == "certificate" -> "UsageError" // roots of certificates are not supported
            isBlake3(vector) && !isFoundEarly(vector) -> "UnsupportedVersionError"
            else -> vector.error
        }

    /** Returns whether the bundle is refused before its leaf algorithm matters. */
    private fun isFoundEarly(vector: Vector) = vector.error in EARLY || vector.name == "damaged-manifest"

    private fun isBlake3(vector: Vector): Boolean =
        "\"leaf\":\"blake3\"" in String(vector.bundle.readBytes(), Charsets.ISO_8859_1)

    companion object {
        private val FOLDER = File("../vectors/v1")
        private val EARLY = 
            setOf("SignatureError", "UntrustedSignerError", "MalformedError", "WrongModelError", "RollbackError")

        @JvmStatic
        fun vectors(): List<Vector> = Vector.all(FOLDER)
    }
}
