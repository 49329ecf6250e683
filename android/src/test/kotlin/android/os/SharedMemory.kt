package android.os

import java.io.Closeable
import java.io.File
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.util.concurrent.CompletableFuture

/**
 * Takes the place of the framework's class. A mapping, too, whose pages come when they are first written. Remembers what
 * it gave, so that tests can look at it after it was given back.
 */
class SharedMemory private constructor(private val buffer: ByteBuffer) : Closeable {
    var isClosed = false
        private set

    var isUnmapped = false
        private set

    fun mapReadWrite(): ByteBuffer = buffer

    override fun close() {
        isClosed = true
    }

    val isZero: Boolean get() = (0 until buffer.capacity()).all { buffer.get(it) == 0.toByte() }

    companion object {
        val given = ArrayList<SharedMemory>()

        /** On a thread that nobody interrupts, since the framework does not stop for that. */
        @JvmStatic
        fun create(@Suppress("UNUSED_PARAMETER") name: String?, size: Int): SharedMemory =
            SharedMemory(CompletableFuture.supplyAsync { map(size.toLong()) }.join()).also { given += it }

        private fun map(size: Long): ByteBuffer {
            val file = File.createTempFile("shared", null)
            try {
                return RandomAccessFile(file, "rw").use { it.channel.map(FileChannel.MapMode.READ_WRITE, 0, size) }
            } finally {
                file.delete()
            }
        }

        @JvmStatic
        fun unmap(buffer: ByteBuffer) {
            given.first { it.buffer === buffer }.isUnmapped = true
        }
    }
}
