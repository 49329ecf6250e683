package dev.modelkeep.state

import dev.modelkeep.MalformedError
import dev.modelkeep.RollbackError
import dev.modelkeep.StorageError
import dev.modelkeep.keys.LocalKey
import java.io.File
import java.io.RandomAccessFile
import java.time.Duration
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTimeoutPreemptively
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** What a device remembers, as a file that others can touch. */
internal class DeviceStateTest {
    @TempDir
    lateinit var folder: File

    private fun seen(key: String) = SeenTrust(1, setOf(key), 1)

    @Test
    fun `a state that was adopted counts for those who adopted it`() {
        val contents = Contents(adoptedBy = setOf(seen("ours").voucher))
        contents.checkAdopted(seen("ours"))
        for (other in listOf(null, seen("theirs"))) assertThrows(RollbackError::class.java) { contents.checkAdopted(other) }
        Contents().checkAdopted(null)
    }

    @Test
    fun `a state that was changed under the lock is not written over`() {
        val path = File(folder, "state.lock")
        StateLock.locked(path) { lock ->
            lock.check()
            path.delete()
            assertThrows(RollbackError::class.java) { lock.check() }
            path.writeText("the word of somebody else")
            val error = assertThrows(RollbackError::class.java) { lock.check() }
            assertEquals("try again", error.hint)
        }
        // Whatever lies there, and however long it is: it must not keep this device waiting for ever.
        assertTimeoutPreemptively(Duration.ofMinutes(1)) { StateLock.locked(path, StateLock::check) }
    }

    @Test
    fun `a state has its bounds`() {
        val path = File(folder, "key.state")
        LocalKey.of(ByteArray(32) { 1 }).use { local ->
            val file = StateFile(path, local)
            val full = Contents()
            repeat(ContentsJson.MOST_MODELS + 1) { full.model("m$it") }
            assertThrows(StorageError::class.java) { file.write(full) }
            assertTrue(!path.exists())
            file.write(Contents())
            assertEquals(0, file.read().models.size)
            RandomAccessFile(path, "rw").use { it.setLength((16L shl 20) + 1) }
            assertThrows(MalformedError::class.java) { file.read() }
        }
    }
}
