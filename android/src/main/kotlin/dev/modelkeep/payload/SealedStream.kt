package dev.modelkeep.payload

import dev.modelkeep.container.Content
import dev.modelkeep.wipe
import java.io.Closeable
import java.nio.ByteBuffer

/** Where plaintext goes: gives the part of the memory that a segment is decrypted to. */
internal fun interface PlainTarget {
    fun part(start: Long, length: Int): ByteBuffer
}

/**
 * One stream of the payload, read segment by segment into private memory, where the segment's leaf is
 * checked before anything else happens. Owns its content. Source: spec/bundle-v1.md, sections 6 and 10.
 *
 * @param leaves the signed leaves; null for an installed stream, of which nobody but this device can make a segment.
 */
internal class SealedStream(
    private val content: Content,
    private val layout: StreamLayout,
    private val leaves: Leaves?,
) : Closeable by content {
    /** Decrypts the whole stream into [target], which has room for exactly its plaintext. */
    fun decrypt(makeKey: (header: ByteArray) -> StreamKey, target: PlainTarget) {
        val key = makeKey(header())
        onThreads(threadCount(layout.count)) { next ->
            val reader = Reader()
            val cipher = key.cipher()
            forEachSegment(next) { index ->
                val plain = target.part(layout.plainStart(index), layout.plainLength(index))
                cipher.decrypt(index, layout.isLast(index), reader.body(index), plain)
            }
        }
    }

    /**
     * Decrypts the segments on several threads, each of which hands its own to what [newUser] made for it, in memory that
     * is wiped afterwards. Only when this returns is it certain that the stream is the one with the SHA-256 [whole], where
     * there is one.
     */
    fun decryptSegments(
        makeKey: (header: ByteArray) -> StreamKey,
        whole: ByteArray?,
        newUser: () -> (index: Int, plain: ByteBuffer) -> Unit,
    ) {
        val key = makeKey(header())
        check(whole) {
            val decryptor = Decryptor(key.cipher(), newUser())
            decryptor::take
        }
    }

    /** Checks all leaves and, where there is one, the SHA-256 of the whole stream; needs no key. */
    fun check(whole: ByteArray?) = check(whole) { { _, _ -> } }

    private fun check(whole: ByteArray?, newUser: () -> (index: Int, sealed: ByteBuffer) -> Unit) {
        val digest = whole?.let(::OrderedDigest)
        onThreads(threadCount(layout.count)) { next ->
            val reader = Reader()
            val user = newUser()
            forEachSegment(next) { index ->
                releasing(digest) {
                    val sealed = reader.segment(index)
                    digest?.update(index, sealed)
                    user(index, sealed)
                }
            }
        }
        digest?.finish()
    }

    private fun header(): ByteArray {
        val header = ByteArray(StreamLayout.HEADER)
        Reader().segment(0).get(header)
        return header
    }

    private inline fun forEachSegment(next: () -> Int, action: (Int) -> Unit) {
        var index = next()
        while (index < layout.count) {
            action(index)
            index = next()
        }
    }

    /** Decrypts segments into memory of its own, which it wipes; for one thread. */
    private inner class Decryptor(private val cipher: SegmentCipher, private val use: (Int, ByteBuffer) -> Unit) {
        private val plain = ByteBuffer.allocateDirect(StreamLayout.SEGMENT)

        fun take(index: Int, sealed: ByteBuffer) {
            if (index == 0) sealed.position(StreamLayout.HEADER)
            plain.clear()
            try {
                cipher.decrypt(index, layout.isLast(index), sealed, plain)
                plain.flip()
                use(index, plain)
            } finally {
                plain.wipe()
            }
        }
    }

    /** Reads segments into memory of its own; for one thread. */
    private inner class Reader {
        // Direct, so that neither the file system nor the cipher makes copies of its own.
        private val scratch = ByteBuffer.allocateDirect(layout.sealedLength(0))
        private val check = leaves?.checker()

        fun segment(index: Int): ByteBuffer {
            scratch.clear()
            scratch.limit(layout.sealedLength(index))
            content.read(layout.offset(index), scratch)
            scratch.flip()
            check?.invoke(index, scratch)
            return scratch
        }

        /** Returns a segment without the stream header that segment 0 carries. */
        fun body(index: Int): ByteBuffer = segment(index).also { if (index == 0) it.position(StreamLayout.HEADER) }
    }
}
