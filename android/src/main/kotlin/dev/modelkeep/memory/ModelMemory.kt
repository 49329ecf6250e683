package dev.modelkeep.memory

import android.os.Build
import dev.modelkeep.UsageError
import dev.modelkeep.payload.PlainTarget
import dev.modelkeep.payload.StreamLayout
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.atomic.AtomicBoolean

/**
 * Memory that holds the plaintext of one file, as direct buffers: one, where a buffer can be that large, or several,
 * which end where segments end. Wiped on close.
 */
internal class ModelMemory private constructor(private val size: Long, private val regions: List<Region>) :
    AutoCloseable {
    private val isOpen = AtomicBoolean(true)
    private val wasLent = AtomicBoolean(false)

    /** Where segments are decrypted to. */
    val target: PlainTarget = PlainTarget { start, length -> part(start, length) }

    /** Returns the memory to write into, where it is one buffer. */
    fun writable(): ByteBuffer = regions.single().writable()

    /** Returns the memory for a runtime to read: direct, read-only, in native byte order. */
    fun readable(): ByteBuffer {
        if (regions.size > 1) throw UsageError("a file of $size bytes is larger than a buffer", "take its buffers()")
        return parts().single()
    }

    /** Returns the memory as buffers that follow each other. */
    fun parts(): List<ByteBuffer> {
        wasLent.set(true)
        return regions.map { it.writable().asReadOnlyBuffer().order(ByteOrder.nativeOrder()) }
    }

    /**
     * Wipes the memory; harmless when repeated. Memory of which somebody still has a buffer is given back when the last
     * such buffer is gone, so that a runtime that reads it too late reads zeros and does not crash.
     */
    override fun close() {
        if (!isOpen.getAndSet(false)) return
        regions.forEach { it.wipe() }
        if (!wasLent.get()) regions.forEach(Region::release)
    }

    private fun part(start: Long, length: Int): ByteBuffer {
        val index = regions.indexOfLast { it.start <= start }
        val region = regions[index]
        val part = region.writable()
        val offset = (start - region.start).toInt()
        part.limit(offset + length)
        part.position(offset)
        return part
    }

    companion object {
        /** How many segments fit into a buffer of less than 2 GiB, rounded down to a power of two. */
        private const val SEGMENTS = 1024

        /**
         * Returns memory of [size] bytes. From API 27 on it is outside the managed heap; before, what
         * `allocateDirect` gives counts against the app's heap limit.
         *
         * @param segments in how many segments a file that needs several buffers is cut.
         */
        fun allocate(
            size: Long,
            apiLevel: Int = Build.VERSION.SDK_INT,
            largest: Long = Int.MAX_VALUE.toLong(),
            segments: Int = SEGMENTS,
        ): ModelMemory {
            val starts = if (size <= largest) listOf(0L) else starts(size, segments)
            val regions = ArrayList<Region>()
            try {
                starts.zip(starts.drop(1) + size).forEach { (start, end) ->
                    regions += Region.allocate(start, (end - start).toInt(), apiLevel)
                }
            } catch (error: Throwable) {
                regions.forEach(Region::release)
                throw error
            }
            return ModelMemory(size, regions)
        }

        private fun starts(size: Long, segments: Int): List<Long> {
            val layout = StreamLayout(size)
            return (0 until layout.count step segments).map(layout::plainStart)
        }
    }
}
