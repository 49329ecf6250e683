package dev.modelkeep.payload

/**
 * Where segments lie: arithmetic of Tink's streaming AEAD with segments of 1 MiB, in bytes.
 * Source: Tink wire format, "AES-GCM-HKDF Streaming AEAD"; spec/bundle-v1.md, section 5.
 *
 * @property size length of the plaintext.
 */
internal class StreamLayout(val size: Long) {
    /** How many segments there are; never zero. */
    val count: Int = maxOf(1L, (size + HEADER + PLAIN - 1) / PLAIN).toInt()

    /** Length of the whole stream. */
    val sealedSize: Long = size + HEADER + TAG.toLong() * count

    fun offset(index: Int): Long = index.toLong() * SEGMENT

    /** Length of segment [index] in the stream; that of segment 0 includes the header. */
    fun sealedLength(index: Int): Int = minOf(SEGMENT.toLong(), sealedSize - offset(index)).toInt()

    fun plainStart(index: Int): Long = maxOf(0, index * PLAIN - HEADER)

    fun plainLength(index: Int): Int = (minOf(size, (index + 1) * PLAIN - HEADER) - plainStart(index)).toInt()

    fun isLast(index: Int): Boolean = index == count - 1

    companion object {
        const val SEGMENT = 1 shl 20
        const val HEADER = 40
        const val TAG = 16
        const val LEAF = 32
        private const val PLAIN = (SEGMENT - TAG).toLong()
    }
}
