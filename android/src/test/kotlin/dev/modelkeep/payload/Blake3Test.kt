package dev.modelkeep.payload

import dev.modelkeep.toHexadecimal
import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvFileSource

internal class Blake3Test {
    /** The lengths of BLAKE3's own test vectors, and those of segments; the bytes are 0, 1, ..., 250, 0, 1, ... */
    @ParameterizedTest
    @CsvFileSource(resources = ["/blake3.txt"], delimiter = ' ')
    fun `the hash is that of the reference`(length: Int, expected: String) {
        val padded = ByteBuffer.allocateDirect(length + 3)
        padded.position(3)
        repeat(length) { padded.put((it % 251).toByte()) }
        padded.position(3)
        for (hash in listOf(Blake3(lanes = null), Blake3(Blake3Lanes()))) {
            assertEquals(expected, hash.hash(padded).toHexadecimal())
            assertEquals(expected, hash.hash(padded).toHexadecimal(), "once more, with what the first call left behind")
        }
    }
}
