package dev.modelkeep.memory

import android.os.SharedMemory
import android.system.ErrnoException
import dev.modelkeep.StorageError
import dev.modelkeep.wipe
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A piece of memory outside the reach of the garbage collector's copies.
 *
 * @property start where in the file it begins.
 */
internal abstract class Region(val start: Long, private val buffer: ByteBuffer) {
    fun writable(): ByteBuffer = buffer.duplicate().order(ByteOrder.nativeOrder())

    fun wipe() = buffer.wipe()

    /** Gives the memory back at once; nobody may have a buffer of it. */
    abstract fun release()

    companion object {
        private const val SHARED_MEMORY_SINCE = 27

        fun allocate(start: Long, size: Int, apiLevel: Int): Region {
            // An empty mapping does not exist.
            if (apiLevel >= SHARED_MEMORY_SINCE && size > 0) return SharedRegion.allocate(start, size)
            return DirectRegion.allocate(start, size)
        }

        fun noMemory(cause: Throwable) =
            StorageError("no memory for the model", "close other apps, or use a smaller model", cause)
    }
}

private class DirectRegion(start: Long, buffer: ByteBuffer) : Region(start, buffer) {
    // Freed with the last reference to the buffer.
    override fun release() = Unit

    companion object {
        fun allocate(start: Long, size: Int): Region =
            try {
                DirectRegion(start, ByteBuffer.allocateDirect(size))
            } catch (error: OutOfMemoryError) {
                throw noMemory(error)
            }
    }
}

private class SharedRegion(start: Long, private val buffer: ByteBuffer) : Region(start, buffer) {
    override fun release() = SharedMemory.unmap(buffer)

    companion object {
        fun allocate(start: Long, size: Int): Region =
            try {
                // The mapping stays when the descriptor is closed: a model of many files holds none.
                SharedMemory.create(null, size).use { SharedRegion(start, it.mapReadWrite()) }
            } catch (error: ErrnoException) {
                throw noMemory(error)
            }
    }
}
