package dev.modelkeep.payload

import java.nio.ByteBuffer

/**
 * The compression of BLAKE3 for [LANES] blocks at once: word by word, over all blocks, in loops that OpenJDK's compiler turns
 * into vector instructions. For one thread.
 *
 * Everything lies in one array with rows of [LANES] words: the compiler sees only of one array that its rows do not overlap.
 */
internal class Blake3Lanes {
    /** Rows 0 to 15 are the state, rows 16 to 31 the message. */
    private val rows = IntArray(32 * LANES)
    private val message = IntArray(Blake3Tree.BLOCK_WORDS * LANES)
    private val block = IntArray(Blake3Tree.BLOCK_WORDS)

    /** Puts the values of the first of [whole] chunks into [level], and returns of how many. */
    fun chunks(input: ByteBuffer, whole: Int, level: IntArray): Int {
        val words = input.asIntBuffer()
        val count = whole / LANES * LANES
        for (first in 0 until count step LANES) {
            initialize()
            for (part in 0 until BLOCKS) {
                load { lane ->
                    words.position((first + lane) * CHUNK_WORDS + part * Blake3Tree.BLOCK_WORDS)
                    words.get(block, 0, Blake3Tree.BLOCK_WORDS)
                }
                compress(first, flags(part))
            }
            store(level, first)
        }
        return count
    }

    /** Puts the first of [pairs] parents of the values in [level] into their place there, and returns how many. */
    fun parents(level: IntArray, pairs: Int): Int {
        val count = pairs / LANES * LANES
        for (first in 0 until count step LANES) {
            initialize()
            load { lane ->
                val from = (first + lane) * Blake3Tree.BLOCK_WORDS
                System.arraycopy(level, from, block, 0, Blake3Tree.BLOCK_WORDS)
            }
            compress(null, Blake3Tree.PARENT)
            store(level, first)
        }
        return count
    }

    private fun flags(part: Int): Int = when (part) {
        0 -> Blake3Tree.CHUNK_START
        BLOCKS - 1 -> Blake3Tree.CHUNK_END
        else -> 0
    }

    private fun initialize() = repeat(Blake3Tree.WORDS) { fill(it, Blake3Tree.INITIAL[it]) }

    private fun fill(row: Int, word: Int) = rows.fill(word, row * LANES, (row + 1) * LANES)

    private inline fun load(fetch: (lane: Int) -> Unit) {
        for (lane in 0 until LANES) {
            fetch(lane)
            for (word in 0 until Blake3Tree.BLOCK_WORDS) rows[(Blake3Tree.BLOCK_WORDS + word) * LANES + lane] = block[word]
        }
    }

    private fun store(level: IntArray, first: Int) {
        for (lane in 0 until LANES) {
            for (word in 0 until Blake3Tree.WORDS) level[(first + lane) * Blake3Tree.WORDS + word] = rows[word * LANES + lane]
        }
    }

    /** @param first number of the chunk in lane 0, or null for parents. */
    private fun compress(first: Int?, flags: Int) {
        repeat(HALF) { fill(Blake3Tree.WORDS + it, Blake3Tree.INITIAL[it]) }
        for (lane in 0 until LANES) rows[COUNTER * LANES + lane] = if (first == null) 0 else first + lane
        fill(COUNTER + 1, 0)
        fill(COUNTER + 2, Blake3Tree.BLOCK)
        fill(COUNTER + 3, flags)
        round(rows)
        repeat(Blake3Tree.ROUNDS - 1) {
            permute()
            round(rows)
        }
        for (index in 0 until Blake3Tree.WORDS * LANES) rows[index] = rows[index] xor rows[index + Blake3Tree.WORDS * LANES]
    }

    private fun permute() {
        System.arraycopy(rows, MESSAGE, message, 0, message.size)
        for (word in PERMUTATION.indices) System.arraycopy(message, PERMUTATION[word] * LANES, rows, MESSAGE + word * LANES, LANES)
    }

    companion object {
        /** Enough that a loop over them pays, few enough that the rows stay in the first cache. */
        const val LANES = 128
        private const val BLOCKS = Blake3Tree.CHUNK / Blake3Tree.BLOCK
        private const val CHUNK_WORDS = Blake3Tree.CHUNK / 4
        private const val HALF = 4
        private const val COUNTER = 12
        private const val MESSAGE = Blake3Tree.BLOCK_WORDS * LANES
        private val PERMUTATION = intArrayOf(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)

        /** On Android single blocks are taken: a guess, since lanes without vector instructions are slower, and nobody measured there. */
        fun ofThisMachine(): Blake3Lanes? = if (System.getProperty("java.vm.name") == "Dalvik") null else Blake3Lanes()
    }
}

private const val ROW = Blake3Lanes.LANES

private fun round(rows: IntArray) {
    mix(rows, 0, 4, 8, 12, 16)
    mix(rows, 1, 5, 9, 13, 18)
    mix(rows, 2, 6, 10, 14, 20)
    mix(rows, 3, 7, 11, 15, 22)
    mix(rows, 0, 5, 10, 15, 24)
    mix(rows, 1, 6, 11, 12, 26)
    mix(rows, 2, 7, 8, 13, 28)
    mix(rows, 3, 4, 9, 14, 30)
}

/** The function G of the paper, in all lanes; inlined, so that the compiler knows the rows. */
@Suppress("NOTHING_TO_INLINE")
private inline fun mix(rows: IntArray, first: Int, second: Int, third: Int, fourth: Int, words: Int) {
    for (lane in 0 until ROW) {
        var a = rows[lane + first * ROW] + rows[lane + second * ROW] + rows[lane + words * ROW]
        var d = (rows[lane + fourth * ROW] xor a).rotateRight(16)
        var c = rows[lane + third * ROW] + d
        var b = (rows[lane + second * ROW] xor c).rotateRight(12)
        a += b + rows[lane + (words + 1) * ROW]
        d = (d xor a).rotateRight(8)
        c += d
        b = (b xor c).rotateRight(7)
        rows[lane + first * ROW] = a
        rows[lane + second * ROW] = b
        rows[lane + third * ROW] = c
        rows[lane + fourth * ROW] = d
    }
}
