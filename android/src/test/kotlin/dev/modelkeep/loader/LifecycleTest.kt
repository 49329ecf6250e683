package dev.modelkeep.loader

import android.os.SharedMemory
import dev.modelkeep.MalformedError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.StorageError
import dev.modelkeep.UsageError
import dev.modelkeep.container.Archive
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.FileLock
import dev.modelkeep.container.Form
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.payload.onThreads
import dev.modelkeep.trust.OmsDocument
import dev.modelkeep.vectors.Vector
import java.io.File
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** What is held, for how long, and what happens when somebody changes their mind. */
internal class LifecycleTest {
    @TempDir
    lateinit var folder: File

    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "folder" }

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
        SharedMemory.given.clear()
    }

    @Test
    fun `a lease keeps the memory of a closed model`() {
        val model = vector.open()
        val first = model.lease()
        val second = model.lease()
        model.close()
        assertThrows(UsageError::class.java) { model.lease() }
        assertThrows(UsageError::class.java) { model.buffer(model.paths.first()) }
        first.close()
        first.close()
        assertFalse(SharedMemory.given.all { it.isZero })
        second.close()
        assertTrue(SharedMemory.given.all { it.isZero })
    }

    @Test
    fun `an open model holds no descriptors`() {
        vector.open().use { assertTrue(SharedMemory.given.all { memory -> memory.isClosed }) }
    }

    @Test
    fun `an interrupt is a cancellation, and leaves nothing behind`() {
        val loader = SecureModelLoader(vector.identity(), vector.verifier(), File(folder, "states"))
        val target = File(folder, "installed.keep")
        for (action in listOf({ loader.open(vector.bundle) }, { loader.install(vector.bundle, target) }, { loader.verify(vector.bundle) })) {
            Thread.currentThread().interrupt()
            assertThrows(InterruptedException::class.java) { action() }
            assertFalse(Thread.interrupted())
        }
        assertTrue(SharedMemory.given.all { it.isZero })
        assertFalse(target.exists() || File("$target.partial").exists())
        loader.install(vector.bundle, target)
    }

    @Test
    fun `who is cancelled does not wait for the work that is left`() {
        val begun = CountDownLatch(1)
        val last = AtomicInteger()
        var error: Throwable? = null
        val caller = thread {
            error = assertThrows(InterruptedException::class.java) {
                onThreads(3) { next ->
                    generateSequence(next).takeWhile { it < Int.MAX_VALUE }.forEach {
                        last.set(it)
                        begun.countDown()
                    }
                }
            }
        }
        begun.await()
        caller.interrupt()
        caller.join()
        assertEquals("cancelled", error?.message)
        assertTrue(last.get() < Int.MAX_VALUE - 1000, "all numbers were dealt out before the helpers noticed")
    }

    @Test
    fun `two installations into one place do not meet`() {
        val loader = SecureModelLoader(vector.identity(), vector.verifier(), File(folder, "states"))
        val target = File(folder, "installed.keep")
        FileLock.take(target).use {
            assertThrows(StorageError::class.java) { loader.install(vector.bundle, target) }
        }
        // What a crash left is in nobody's way.
        File("$target.partial").writeText("half of something")
        loader.install(vector.bundle, target)
        assertEquals(setOf("installed.keep", "installed.keep.lock", "states"), folder.list()!!.toSet())
    }

    @Test
    fun `a signature document that unfolds in memory is refused before that`() {
        val bundle = vector.bundle.readBytes()
        val place = BundleFile.open(vector.bundle).let { file ->
            Archive.open(file, Form.BUNDLE).use { it.places.getValue("model.sig") }
        }
        val bomb = "[" + "[],".repeat((place.size.toInt() - 4) / 3) + "[]"
        val filled = bomb.padEnd(place.size.toInt() - 1) + "]"
        filled.encodeToByteArray().copyInto(bundle, place.offset.toInt())
        val file = File(folder, "bomb.keep").apply { writeBytes(bundle) }
        assertThrows(MalformedError::class.java) { vector.open(file) }
        val error = assertThrows(MalformedError::class.java) {
            OmsDocument.parse(("[" + "[],".repeat(2_700_000) + "[]]").encodeToByteArray())
        }
        assertEquals("signature: JSON: too many values", error.message)
    }
}
