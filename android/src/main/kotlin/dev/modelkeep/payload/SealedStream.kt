package dev.modelkeep.payload

import dev.modelkeep.TamperedError
import dev.modelkeep.container.Content
import dev.modelkeep.wipe
import java.io.Closeable
import java.nio.ByteBuffer
import java.security.MessageDigest

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
     * Decrypts the segments one after the other and hands each to [use], in memory that is wiped afterwards. Only
     * when this returns is it certain that the stream is the one with the SHA-256 [whole], where there is one.
     */
    fun decryptInOrder(
        makeKey: (header: ByteArray) -> StreamKey,
        whole: ByteArray?,
        use: (index: Int, plain: ByteBuffer) -> Unit,
    ) {
        val cipher = makeKey(header()).cipher()
        val reader = Reader()
        val digest = MessageDigest.getInstance("SHA-256")
        val plain = ByteBuffer.allocateDirect(StreamLayout.SEGMENT)
        try {
            for (index in 0 until layout.count) {
                checkInterrupt()
                val sealed = reader.segment(index)
                digest.update(sealed.duplicate())
                if (index == 0) sealed.position(StreamLayout.HEADER)
                plain.clear()
                cipher.decrypt(index, layout.isLast(index), sealed, plain)
                plain.flip()
                use(index, plain)
            }
        } finally {
            plain.wipe()
        }
        checkWhole(digest, whole)
    }

    /** Checks all leaves and, where there is one, the SHA-256 of the whole stream; needs no key. */
    fun check(whole: ByteArray?) {
        val reader = Reader()
        val digest = MessageDigest.getInstance("SHA-256")
        for (index in 0 until layout.count) {
            checkInterrupt()
            digest.update(reader.segment(index))
        }
        checkWhole(digest, whole)
    }

    private fun checkWhole(digest: MessageDigest, whole: ByteArray?) {
        if (whole != null && !digest.digest().contentEquals(whole)) {
            throw TamperedError("payload: a file is not the one that was signed")
        }
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
