package dev.modelkeep.payload

import dev.modelkeep.TamperedError
import dev.modelkeep.document.LeafAlgorithm
import java.nio.ByteBuffer
import java.security.MessageDigest

/** Computes leaves and the digests of leaf lists; for one thread. Source: spec/bundle-v1.md, section 6. */
internal fun interface LeafDigest {
    /** Returns the 32 bytes for what remains of [data], whose position stays as it is. */
    fun of(data: ByteBuffer): ByteArray

    companion object {
        fun of(algorithm: LeafAlgorithm): LeafDigest {
            if (algorithm == LeafAlgorithm.BLAKE3) return LeafDigest(Blake3()::hash)
            val digest = MessageDigest.getInstance("SHA-256")
            return LeafDigest { data ->
                digest.update(data.duplicate())
                digest.digest()
            }
        }
    }
}

/** The signed leaves of one stream: [list] holds 32 bytes for each segment. */
internal class Leaves(private val list: ByteArray, private val algorithm: LeafAlgorithm) {
    /** Returns what one thread checks segments with. */
    fun checker(): (index: Int, segment: ByteBuffer) -> Unit {
        val digest = LeafDigest.of(algorithm)
        return { index, segment ->
            val leaf = list.copyOfRange(index * StreamLayout.LEAF, (index + 1) * StreamLayout.LEAF)
            if (!MessageDigest.isEqual(digest.of(segment), leaf)) {
                throw TamperedError("payload: segment $index is not the one that was signed")
            }
        }
    }
}
