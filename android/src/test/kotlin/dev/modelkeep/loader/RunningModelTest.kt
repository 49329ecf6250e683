package dev.modelkeep.loader

import android.os.SharedMemory
import dev.modelkeep.InputError
import dev.modelkeep.Tensor
import dev.modelkeep.UsageError
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.running
import dev.modelkeep.vectors.Vector
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.CountDownLatch
import kotlin.concurrent.thread
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

/** A runtime and the memory that it reads. */
internal class RunningModelTest {
    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "hpke-p256" }
    private val inputs = mapOf(
        "x" to Tensor("float32", intArrayOf(1, 4), ByteBuffer.allocateDirect(16).order(ByteOrder.nativeOrder())),
    )

    /** Reads the model's memory, as a runtime does, and notices when it is gone. */
    private class Runtime(private val memory: ByteBuffer) : AutoCloseable {
        private val first = memory.get(0)
        var isClosed = false

        fun isIntact() = memory.get(0) == first

        override fun close() {
            assertTrue(isIntact())
            isClosed = true
        }
    }

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
        SharedMemory.given.clear()
    }

    @Test
    fun `inputs are checked, and the runtime is closed before the memory`() {
        lateinit var runtime: Runtime
        val running = vector.open().running { buffer -> Runtime(buffer).also { runtime = it } }
        assertTrue(running.run(inputs) { it.isIntact() })
        assertThrows(InputError::class.java) { running.run(emptyMap()) { it.isIntact() } }
        running.close()
        running.close()
        assertTrue(runtime.isClosed && SharedMemory.given.all { it.isZero })
        assertThrows(UsageError::class.java) { running.run(inputs) {} }
    }

    @Test
    fun `closing waits for those who run the model`() {
        val running = vector.open().running(::Runtime)
        val inside = CountDownLatch(1)
        val closing = CountDownLatch(1)
        var wasIntact = false
        val user = thread {
            running.run(inputs) {
                inside.countDown()
                closing.await()
                wasIntact = it.isIntact() && !it.isClosed
            }
        }
        inside.await()
        val closer = thread {
            closing.countDown()
            running.close()
        }
        user.join()
        closer.join()
        assertTrue(wasIntact)
    }

    @Test
    fun `a runtime that cannot be made leaves no plaintext`() {
        assertThrows(IllegalStateException::class.java) {
            vector.open().running<Runtime> { throw IllegalStateException("not a model") }
        }
        assertFalse(SharedMemory.given.isEmpty())
        assertEquals(true, SharedMemory.given.all { it.isZero })
    }
}
