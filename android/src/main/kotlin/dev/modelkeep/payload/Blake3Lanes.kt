package dev.modelkeep.payload

import java.nio.ByteBuffer

/**
 * The compression of BLAKE3 for [LANES] blocks at once: word by word, over all blocks, in loops that OpenJDK's compiler turns
 * into vector instructions. For one thread.
 *
 * Everything lies in one array with rows of [LANES] words: the compiler sees only of one array that its rows do not overlap.
 * The rows that the four mixings of a half round take as the same operand follow each other, so that one loop does all four.
 */
internal class Blake3Lanes {
    private val rows = IntArray(ROWS * LANES)
    private val words = IntArray(LANES * CHUNK_WORDS)

    /** What a compression begins with in the second half of the state, but for the flags. */
    private val fresh = IntArray(Blake3Tree.WORDS * LANES).apply {
        for (word in 0 until HALF) fill(Blake3Tree.INITIAL[word], word * LANES, (word + 1) * LANES)
        fill(Blake3Tree.BLOCK, COUNTER + 2 * LANES, COUNTER + 3 * LANES)
    }

    /** Puts the values of the first of [whole] chunks into [level], and returns of how many. */
    fun chunks(input: ByteBuffer, whole: Int, level: IntArray): Int = groups(whole) { first, count ->
        val view = input.asIntBuffer()
        view.position(first * CHUNK_WORDS)
        view.get(words, 0, count * CHUNK_WORDS)
        begin { lane -> first + lane }
        for (part in 0 until BLOCKS) {
            load(words, part * Blake3Tree.BLOCK_WORDS, CHUNK_WORDS, count)
            compress(flags(part))
        }
        store(level, first, count)
    }

    /** Puts the first of [pairs] parents of the values in [level] into their place there, and returns how many. */
    fun parents(level: IntArray, pairs: Int): Int = groups(pairs) { first, count ->
        begin { 0 }
        load(level, first * Blake3Tree.BLOCK_WORDS, Blake3Tree.BLOCK_WORDS, count)
        compress(Blake3Tree.PARENT)
        store(level, first, count)
    }

    /** Calls [action] for as many of [all] as pay, and returns how many these were. */
    private inline fun groups(all: Int, action: (first: Int, count: Int) -> Unit): Int {
        var done = 0
        while (all - done >= FEWEST) {
            val count = minOf(LANES, all - done)
            action(done, count)
            done += count
        }
        return done
    }

    private fun flags(part: Int): Int = when (part) {
        0 -> Blake3Tree.CHUNK_START
        BLOCKS - 1 -> Blake3Tree.CHUNK_END
        else -> 0
    }

    private inline fun begin(counter: (lane: Int) -> Int) {
        for (word in 0 until Blake3Tree.WORDS) rows.fill(Blake3Tree.INITIAL[word], word * LANES, (word + 1) * LANES)
        for (lane in 0 until LANES) fresh[COUNTER + lane] = counter(lane)
    }

    /** Takes a block for each of [count] lanes: the first one at [from], the others [stride] words apart. */
    private fun load(source: IntArray, from: Int, stride: Int, count: Int) {
        for (lane in 0 until count) {
            val start = from + lane * stride
            for (place in 0 until Blake3Tree.BLOCK_WORDS) rows[(MESSAGE + place) * LANES + lane] = source[start + ORDER[place]]
        }
    }

    private fun store(level: IntArray, first: Int, count: Int) {
        for (lane in 0 until count) {
            val start = (first + lane) * Blake3Tree.WORDS
            for (word in 0 until Blake3Tree.WORDS) level[start + word] = rows[word * LANES + lane]
        }
    }

    private fun compress(flags: Int) {
        System.arraycopy(fresh, 0, rows, C * LANES, HALF * LANES)
        System.arraycopy(fresh, HALF * LANES, rows, D * LANES, HALF * LANES)
        rows.fill(flags, (D + 3) * LANES, (D + HALF) * LANES)
        round(rows)
        repeat(Blake3Tree.ROUNDS - 1) {
            CYCLES.forEach(::permute)
            round(rows)
        }
        finish(rows)
    }

    private fun permute(cycle: IntArray) {
        copy(rows, MESSAGE + cycle[0], SPARE, 1)
        for (index in 1 until cycle.size) copy(rows, MESSAGE + cycle[index], MESSAGE + cycle[index - 1], 1)
        copy(rows, SPARE, MESSAGE + cycle.last(), 1)
    }

    companion object {
        /** With fewer, one block after the other is faster. */
        private const val FEWEST = 48
        private const val BLOCKS = Blake3Tree.CHUNK / Blake3Tree.BLOCK
        private const val CHUNK_WORDS = Blake3Tree.CHUNK / 4
        private const val COUNTER = HALF * LANES

        /** Which word of the block stands where: first and second ones of the columns, then those of the diagonals. */
        private val ORDER = intArrayOf(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)

        /** The permutation of the paper's table 2, for words that stand in this order. */
        private val CYCLES = arrayOf(intArrayOf(0, 1, 5, 9, 10, 12, 13, 6), intArrayOf(2, 7, 14, 11, 15, 8, 4, 3))

        /** On Android single blocks are taken: a guess, since lanes without vector instructions are slower, and nobody measured there. */
        fun ofThisMachine(): Blake3Lanes? = if (System.getProperty("java.vm.name") == "Dalvik") null else Blake3Lanes()
    }
}

/** Enough that a loop over them pays, few enough that the rows stay in the first cache. */
private const val LANES = 256
private const val HALF = 4

// Where the rows lie: the four quarters of the state, with room for what the diagonals rotate, and the message. The first
// half of the state lies together.
private const val B = 4
private const val C = 9
private const val D = 16
private const val MESSAGE = 20
private const val SPARE = 36
private const val ROWS = 37

private fun copy(rows: IntArray, from: Int, to: Int, count: Int) =
    System.arraycopy(rows, from * LANES, rows, to * LANES, count * LANES)

/**
 * Columns, then diagonals: columns of which all but the first row are rotated. What leaves at one end stands at the other
 * one, too. One function, too long to become part of those that call it: it is compiled once, and soon.
 */
private fun round(rows: IntArray) {
    mix(rows, B, C, D, MESSAGE)
    copy(rows, B, B + HALF, 1)
    copy(rows, C, C + HALF, 2)
    copy(rows, D + HALF - 1, D - 1, 1)
    mix(rows, B + 1, C + 2, D - 1, MESSAGE + Blake3Tree.WORDS)
    copy(rows, B + HALF, B, 1)
    copy(rows, C + HALF, C, 2)
    copy(rows, D - 1, D + HALF - 1, 1)
}

/** The function G of the paper, four times in all lanes; inlined, so that the compiler knows the rows. */
@Suppress("NOTHING_TO_INLINE")
private inline fun mix(rows: IntArray, second: Int, third: Int, fourth: Int, words: Int) {
    for (lane in 0 until HALF * LANES) {
        var a = rows[lane] + rows[lane + second * LANES] + rows[lane + words * LANES]
        var d = (rows[lane + fourth * LANES] xor a).rotateRight(16)
        var c = rows[lane + third * LANES] + d
        var b = (rows[lane + second * LANES] xor c).rotateRight(12)
        a += b + rows[lane + (words + HALF) * LANES]
        d = (d xor a).rotateRight(8)
        c += d
        b = (b xor c).rotateRight(7)
        rows[lane] = a
        rows[lane + second * LANES] = b
        rows[lane + third * LANES] = c
        rows[lane + fourth * LANES] = d
    }
}

private fun finish(rows: IntArray) {
    for (index in 0 until HALF * LANES) {
        rows[index] = rows[index] xor rows[index + C * LANES]
        rows[index + B * LANES] = rows[index + B * LANES] xor rows[index + D * LANES]
    }
}
