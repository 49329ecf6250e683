package android.os

import java.io.Closeable
import java.nio.ByteBuffer

/**
 * Takes the place of the framework's class, whose memory comes from the kernel. Remembers what it gave, so that
 * tests can look at it after it was given back.
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

        @JvmStatic
        fun create(@Suppress("UNUSED_PARAMETER") name: String?, size: Int): SharedMemory =
            SharedMemory(ByteBuffer.allocateDirect(size)).also { given += it }

        @JvmStatic
        fun unmap(buffer: ByteBuffer) {
            given.first { it.buffer === buffer }.isUnmapped = true
        }
    }
}
