package dev.modelkeep.vectors

import dev.modelkeep.fake.FakePhone
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
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

    /** What this library does not support is refused with an error of its own. */
    private fun expected(vector: Vector): String? =
        when (vector.name) {
            "hpke-x25519", "hpke-mlkem768-x25519", "passphrase" -> "NotForThisDeviceError"
            else -> vector.error
        }

    /** What Python installed opens here, or is refused, as it is there. */
    @ParameterizedTest
    @MethodSource("installations")
    fun `every installation gives its files or its error`(vector: Vector) {
        val isOfAnotherKind = "x25519" in vector.name
        val expected = if (isOfAnotherKind) listOf("TamperedError", "RollbackError") else listOf(vector.error)
        val found = vector.outcome { model -> assertEquals(vector.files, Vector.digests(model)) }
        assertTrue(found in expected, "expected $expected, found $found")
    }

    companion object {
        private val FOLDER = File("../vectors/v1")

        @JvmStatic
        fun vectors(): List<Vector> = Vector.all(FOLDER)

        @JvmStatic
        fun installations(): List<Vector> = Vector.all(File(FOLDER, "installs"))
    }
}
