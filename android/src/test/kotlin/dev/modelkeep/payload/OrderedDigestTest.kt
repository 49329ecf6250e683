package dev.modelkeep.payload

import dev.modelkeep.TamperedError
import dev.modelkeep.sha256
import java.io.IOException
import java.nio.ByteBuffer
import kotlin.concurrent.thread
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

internal class OrderedDigestTest {
    private val pieces = List(40) { number -> ByteArray(100) { number.toByte() } }
    private val whole = sha256(pieces.reduce(ByteArray::plus))

    @Test
    fun `segments from several threads are hashed in order`() {
        val digest = OrderedDigest(whole)
        onThreads(3) { next -> deal(next) { digest.update(it, ByteBuffer.wrap(pieces[it])) } }
        digest.finish()
        val other = OrderedDigest(whole)
        pieces.indices.forEach { other.update(it, ByteBuffer.wrap(pieces[maxOf(it, 1)])) }
        assertThrows(TamperedError::class.java) { other.finish() }
    }

    @Test
    fun `a segment that fails keeps nobody waiting`() {
        val digest = OrderedDigest(whole)
        val error = assertThrows(IOException::class.java) {
            onThreads(3) { next ->
                deal(next) {
                    releasing(digest) {
                        if (it == 3) throw IOException("segment 3")
                        digest.update(it, ByteBuffer.wrap(pieces[it]))
                    }
                }
            }
        }
        assertEquals("segment 3", error.message)
    }

    @Test
    fun `who waits for a segment can be cancelled`() {
        val digest = OrderedDigest(whole)
        val waiting = thread { assertThrows(InterruptedException::class.java) { digest.update(1, ByteBuffer.wrap(pieces[1])) } }
        waiting.interrupt()
        waiting.join()
    }

    private fun deal(next: () -> Int, use: (Int) -> Unit) =
        generateSequence(next).takeWhile { it < pieces.size }.forEach(use)
}
