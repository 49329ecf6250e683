package dev.modelkeep.memory

import android.os.Build
import android.os.SharedMemory
import android.system.ErrnoException
import dev.modelkeep.StorageError
import dev.modelkeep.UsageError
import dev.modelkeep.wipe
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Memory that holds plaintext, as one direct buffer; wiped on close. */
internal abstract class ModelMemory(private val buffer: ByteBuffer) : AutoCloseable {
    private var isOpen = true

    /** Returns the memory to write into. */
    fun writable(): ByteBuffer = buffer.duplicate().order(ByteOrder.nativeOrder())

    /** Returns the memory for a runtime to read: direct, in native byte order. */
    fun readable(): ByteBuffer = buffer.asReadOnlyBuffer().order(ByteOrder.nativeOrder())

    /** Wipes the memory and gives it back; harmless when repeated. */
    override fun close() {
        if (!isOpen) return
        isOpen = false
        buffer.wipe()
        release(buffer)
    }

    protected abstract fun release(buffer: ByteBuffer)

    companion object {
        private const val SHARED_MEMORY_SINCE = 27

        /**
         * Returns memory of [size] bytes. From API 27 on it is outside the managed heap; before, what
         * `allocateDirect` gives counts against the app's heap limit.
         */
        fun allocate(size: Long, apiLevel: Int = Build.VERSION.SDK_INT): ModelMemory {
            if (size > Int.MAX_VALUE) throw UsageError("a file of the model is larger than 2 GiB")
            // An empty mapping does not exist.
            if (apiLevel >= SHARED_MEMORY_SINCE && size > 0) return SharedModelMemory.allocate(size.toInt())
            return DirectModelMemory(ByteBuffer.allocateDirect(size.toInt()))
        }
    }
}

private class DirectModelMemory(buffer: ByteBuffer) : ModelMemory(buffer) {
    // Freed with the last reference to the buffer.
    override fun release(buffer: ByteBuffer) = Unit
}

private class SharedModelMemory(private val memory: SharedMemory, buffer: ByteBuffer) : ModelMemory(buffer) {
    override fun release(buffer: ByteBuffer) {
        SharedMemory.unmap(buffer)
        memory.close()
    }

    companion object {
        fun allocate(size: Int): ModelMemory =
            try {
                val memory = SharedMemory.create(null, size)
                SharedModelMemory(memory, memory.mapReadWrite())
            } catch (error: ErrnoException) {
                throw StorageError("no memory for the model", "close other apps, or use a smaller model", error)
            }
    }
}
