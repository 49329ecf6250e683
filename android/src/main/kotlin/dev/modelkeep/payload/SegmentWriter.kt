package dev.modelkeep.payload

import java.nio.ByteBuffer

/**
 * Encrypts the segments of one stream, in any order, and hands them to [write] with their offset in the stream.
 * For one thread.
 */
internal class SegmentWriter(
    private val layout: StreamLayout,
    private val header: ByteArray,
    key: StreamKey,
    private val write: (offset: Long, sealed: ByteBuffer) -> Unit,
) {
    private val cipher = key.cipher()
    private val scratch = ByteBuffer.allocateDirect(layout.sealedLength(0))

    fun write(index: Int, plain: ByteBuffer) {
        scratch.clear()
        if (index == 0) scratch.put(header)
        cipher.encrypt(index, layout.isLast(index), plain, scratch)
        scratch.flip()
        write(layout.offset(index), scratch)
    }
}
