package dev.modelkeep.loader

import android.os.SharedMemory
import dev.modelkeep.InputError
import dev.modelkeep.KeepError
import dev.modelkeep.LegacyModel
import dev.modelkeep.MalformedError
import dev.modelkeep.TamperedError
import dev.modelkeep.Tensor
import dev.modelkeep.UsageError
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.guard.ContractCheck
import dev.modelkeep.Contract
import dev.modelkeep.TensorContract
import dev.modelkeep.vectors.Vector
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Random
import javax.crypto.Cipher
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource

internal class OpenModelTest {
    @TempDir
    lateinit var folder: File

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
        SharedMemory.given.clear()
    }

    @Test
    fun `a buffer is what LiteRT takes, and is wiped with the model`() {
        val model = vector("sha256-leaves").open()
        val buffer = model.buffer()
        assertTrue(buffer.isDirect && buffer.isReadOnly && buffer.order() == ByteOrder.nativeOrder())
        assertTrue(SharedMemory.given.none { it.isZero })
        model.close()
        assertTrue(SharedMemory.given.all { it.isZero && it.isClosed })
        assertThrows(UsageError::class.java) { model.buffer() }
        // Whoever still reads the buffer reads zeros; the memory goes when the buffer does.
        assertTrue(SharedMemory.given.none { it.isUnmapped })
        assertEquals(0, buffer.get(0))
        vector("sha256-leaves").open().close()
        assertTrue(SharedMemory.given.last().isUnmapped)
    }

    @Test
    fun `every mutation of a bundle is refused or changes nothing`() {
        val vector = vector("sha256-leaves")
        val original = vector.bundle.readBytes()
        val random = Random(7)
        repeat(400) {
            val mutant = original.clone()
            mutant[random.nextInt(mutant.size)] = random.nextInt().toByte()
            val outcome = outcomeOf(vector, mutant)
            assertTrue(outcome == null || outcome == vector.files, "mutation $it")
        }
        assertTrue(SharedMemory.given.all { it.isZero && it.isClosed })
    }

    @Test
    fun `a bundle cut anywhere is refused`() {
        val vector = vector("sha256-leaves")
        val original = vector.bundle.readBytes()
        for (length in 0 until original.size step 97) {
            assertEquals(null, outcomeOf(vector, original.copyOf(length)), "cut at $length")
        }
    }

    /** Returns the digests of the files, or null when the bundle was refused with an error of ours. */
    private fun outcomeOf(vector: Vector, bundle: ByteArray): Map<String, String>? {
        val file = File(folder, "mutant.keep").apply { writeBytes(bundle) }
        return try {
            vector.open(file).use(Vector::digests)
        } catch (_: KeepError) {
            null
        }
    }

    @ParameterizedTest
    @CsvSource(
        "float32, 1:4, ok, -",
        "float32, 4:1, ok, layout",
        "float32, 1:3, ok, shape",
        "float32, 4, ok, rank",
        "float64, 1:4, ok, dtype",
        "float32, 1:4, nan, not-finite",
        "float32, 1:4, high, range",
        "float32, 1:4, low, range",
        "float32, 1:4, swapped, byte-order",
        "float32, 1:4, short, shape",
    )
    fun `inputs are held against the contract`(dtype: String, shape: String, values: String, code: String) {
        val contract = Contract(
            listOf(TensorContract("x", "float32", listOf(null, 4L), true, 0.0, 1.5, 64)),
        )
        val lengths = shape.split(':').map { it.toInt() }.toIntArray()
        val fixed = if (code == "layout") listOf(1L, 4L) else listOf(null, 4L)
        val exact = Contract(listOf(TensorContract("x", "float32", fixed, true, 0.0, 1.5, 64)))
        val tensor = Tensor(dtype, lengths, data(dtype, lengths.reduce(Int::times), values))
        val found = ContractCheck.check(if (code == "layout") exact else contract, mapOf("x" to tensor))
        assertEquals(if (code == "-") emptyList() else listOf(code), found.map { it.code })
    }

    private fun data(dtype: String, count: Int, values: String): ByteBuffer {
        val order = if (values == "swapped") ByteOrder.BIG_ENDIAN else ByteOrder.nativeOrder()
        val data = ByteBuffer.allocateDirect(count * if (dtype == "float64") 8 else 4).order(order)
        if (dtype == "float64") return data
        val last = mapOf("nan" to Float.NaN, "high" to 2f, "low" to -1f).getOrDefault(values, 1.5f)
        repeat(count - 1) { data.putFloat(0.5f) }
        data.putFloat(last).flip()
        if (values == "short") data.limit(data.limit() - 4)
        return data
    }

    @Test
    fun `missing and unexpected inputs are found`() {
        val tensor = Tensor("float32", intArrayOf(1, 4), data("float32", 4, "ok"))
        vector("sha256-leaves").open().use { model ->
            val error = assertThrows(InputError::class.java) { model.check(mapOf("y" to tensor)) }
            assertEquals(listOf("missing", "unexpected"), error.findings.map { it.code })
            model.check(mapOf("x" to tensor))
        }
    }

    @Test
    fun `old files are read for migration`() {
        val plain = ByteArray(3_000_001) { it.toByte() }
        val key = SecretKeySpec(ByteArray(32) { 9 }, "AES")
        val nonce = ByteArray(12) { 5 }
        val sealed = Cipher.getInstance("AES/GCM/NoPadding")
            .apply { init(Cipher.ENCRYPT_MODE, key, GCMParameterSpec(128, nonce)) }.doFinal(plain)
        val file = File(folder, "old.enc").apply { writeBytes(nonce + sealed) }
        LegacyModel.open(file, key).use { model ->
            assertArrayEquals(plain, ByteArray(plain.size).also { model.buffer().get(it) })
        }
        assertThrows(TamperedError::class.java) { LegacyModel.open(file, SecretKeySpec(ByteArray(32), "AES")) }
        file.writeBytes(nonce)
        assertThrows(MalformedError::class.java) { LegacyModel.open(file, key) }
        assertTrue(SharedMemory.given.all { it.isZero && it.isClosed })
    }

    private fun vector(name: String): Vector =
        Vector.all(File("../vectors/v1")).first { it.name == name }
}
