package dev.modelkeep.coroutines

import android.os.SharedMemory
import dev.modelkeep.Authentication
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.DeviceKey
import dev.modelkeep.KeyProtection
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.fake.FakeContext
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.vectors.Vector
import java.io.File
import java.util.concurrent.CountDownLatch
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

internal class SuspendingTest {
    @TempDir
    lateinit var folder: File
    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "folder" }

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
        SharedMemory.given.clear()
    }

    private fun loader() = SecureModelLoader(vector.identity(), vector.verifier(), File(folder, "states"))

    @Test
    fun `models are verified, installed and opened on another thread`() = runBlocking {
        val loader = loader()
        val installed = File(folder, "installed.keep")
        loader.verifySuspending(vector.bundle)
        assertEquals("acme/detector nothing -> 1", loader.installSuspending(vector.bundle, installed).toString())
        loader.openSuspending(installed).use { assertEquals(vector.files, Vector.digests(it)) }
    }

    @Test
    fun `how far it is is told, up to the end`() = runBlocking {
        val told = ArrayList<Pair<Long, Long>>()
        val loader = loader().reporting { done, total -> told += done to total }
        val installed = File(folder, "installed.keep")
        for (action in listOf<suspend () -> Unit>({ loader.installSuspending(vector.bundle, installed) }, { loader.openSuspending(installed).close() })) {
            told.clear()
            action()
            assertEquals(told.sortedBy { it.first }, told)
            assertTrue(told.isNotEmpty() && told.last().run { first == second })
        }
        assertThrows(IllegalStateException::class.java) {
            loader().reporting { _, _ -> throw IllegalStateException("enough") }.install(vector.bundle, File(folder, "other.keep"))
        }
        assertTrue(folder.list()!!.none { it.startsWith("other.keep") && !it.endsWith(".lock") })
    }

    @Test
    fun `a key is made on another thread, and opened the next time`() = runBlocking {
        val context = FakeContext(folder)
        val protection = KeyProtection(Authentication.NONE)
        val (made, opened) = List(2) { DeviceKey.openOrEnrolSuspending(context, "key", protection) }
        assertEquals(made.recipient().toString(), opened.recipient().toString())
    }

    @Test
    fun `a cancelled opening leaves no plaintext`() = runBlocking {
        val loader = loader()
        repeat(20) { round ->
            val begun = CountDownLatch(1)
            val job = launch(Dispatchers.Default) {
                begun.countDown()
                loader.openSuspending(vector.bundle).close()
            }
            begun.await()
            Thread.sleep(round.toLong())
            job.cancelAndJoin()
        }
        assertTrue(SharedMemory.given.all { it.isZero })
    }

    @Test
    fun `the prompt is shown when the key asks for it, once`() = runBlocking {
        var tries = 0
        var prompts = 0
        val result = authenticating({ prompts++ }) {
            if (tries++ == 0) throw AuthenticationRequiredError(Exception()) else "open"
        }
        assertEquals(listOf("open", 2, 1), listOf(result, tries, prompts))
        val refused = async(kotlinx.coroutines.SupervisorJob()) {
            authenticating({ throw PromptError(10, "closed") }) { throw AuthenticationRequiredError(Exception()) }
        }
        assertThrows(PromptError::class.java) { runBlocking { refused.await() } }
        Unit
    }
}
