package dev.modelkeep.payload

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * BLAKE3, hash mode, 32 bytes of output, for data that is in memory as a whole. For one thread.
 * Source: O'Connor, Aumasson, Neves, Wilcox-O'Hearn: BLAKE3, one function, fast everywhere (2021), section 2.
 *
 * @param lanes hashes many chunks at once, or null to take one after the other.
 */
internal class Blake3(private val lanes: Blake3Lanes? = Blake3Lanes.ofThisMachine()) {
    private val block = IntArray(Blake3Tree.BLOCK_WORDS)
    private val value = IntArray(Blake3Tree.WORDS)
    private val lastBlock = ByteBuffer.allocate(Blake3Tree.BLOCK).order(ByteOrder.LITTLE_ENDIAN)

    /** The chaining values of one level of the tree, from the left, eight words each. */
    private var level = IntArray(0)

    /** Returns the hash of what remains of [data], and leaves its position as it is. */
    fun hash(data: ByteBuffer): ByteArray {
        val input = data.slice().order(ByteOrder.LITTLE_ENDIAN)
        var count = maxOf(1, (input.remaining() - 1) / Blake3Tree.CHUNK + 1)
        if (level.size < count * Blake3Tree.WORDS) level = IntArray(count * Blake3Tree.WORDS)
        chunks(input, count)
        while (count > 1) count = join(count)
        val output = ByteBuffer.allocate(Blake3Tree.BYTES).order(ByteOrder.LITTLE_ENDIAN)
        repeat(Blake3Tree.WORDS) { output.putInt(level[it]) }
        return output.array()
    }

    /** Fills the lowest level. */
    private fun chunks(input: ByteBuffer, count: Int) {
        val whole = input.remaining() / Blake3Tree.CHUNK
        val together = lanes?.chunks(input, whole, level) ?: 0
        for (number in together until count) chunk(input, number, if (count == 1) Blake3Tree.ROOT else 0)
    }

    /** Makes the next level out of one of [count] values, in its place, and returns how many it has. An odd one rises as it is. */
    private fun join(count: Int): Int {
        val pairs = count / 2
        val together = if (pairs > 1) lanes?.parents(level, pairs) ?: 0 else 0
        val flags = if (count == 2) Blake3Tree.PARENT or Blake3Tree.ROOT else Blake3Tree.PARENT
        for (number in together until pairs) {
            level.copyInto(block, 0, number * Blake3Tree.BLOCK_WORDS, (number + 1) * Blake3Tree.BLOCK_WORDS)
            Blake3Tree.INITIAL.copyInto(value)
            compress(value, block, 0, Blake3Tree.BLOCK, flags)
            value.copyInto(level, number * Blake3Tree.WORDS)
        }
        if (count % 2 == 1) level.copyInto(level, pairs * Blake3Tree.WORDS, (count - 1) * Blake3Tree.WORDS, count * Blake3Tree.WORDS)
        return count - pairs
    }

    /** Hashes one chunk, or what is left of [input] there. */
    private fun chunk(input: ByteBuffer, number: Int, flags: Int) {
        input.position(number * Blake3Tree.CHUNK)
        var left = minOf(Blake3Tree.CHUNK, input.remaining())
        var start = Blake3Tree.CHUNK_START
        Blake3Tree.INITIAL.copyInto(value)
        while (left > Blake3Tree.BLOCK) {
            for (index in 0 until Blake3Tree.BLOCK_WORDS) block[index] = input.getInt()
            compress(value, block, number, Blake3Tree.BLOCK, start)
            left -= Blake3Tree.BLOCK
            start = 0
        }
        fillLastBlock(input, left)
        compress(value, block, number, left, flags or start or Blake3Tree.CHUNK_END)
        value.copyInto(level, number * Blake3Tree.WORDS)
    }

    private fun fillLastBlock(input: ByteBuffer, length: Int) {
        lastBlock.clear()
        repeat(length) { lastBlock.put(input.get()) }
        while (lastBlock.hasRemaining()) lastBlock.put(0)
        lastBlock.flip()
        for (index in 0 until Blake3Tree.BLOCK_WORDS) block[index] = lastBlock.getInt()
    }
}

/** The numbers of the paper. */
internal object Blake3Tree {
    const val BYTES = 32
    const val WORDS = 8
    const val BLOCK = 64
    const val BLOCK_WORDS = 16
    const val CHUNK = 1024
    const val CHUNK_START = 1
    const val CHUNK_END = 2
    const val PARENT = 4
    const val ROOT = 8
    const val ROUNDS = 7

    /** The fractional parts of the square roots of the first eight primes, as in SHA-256. */
    @JvmField
    val INITIAL = intArrayOf(
        0x6a09e667, 0xbb67ae85.toInt(), 0x3c6ef372, 0xa54ff53a.toInt(),
        0x510e527f, 0x9b05688c.toInt(), 0x1f83d9ab, 0x5be0cd19,
    )
}

/**
 * Mixes a block into the chaining [value]. One long function on purpose: its 32 words stay in registers and on the
 * stack, which is several times faster than an array. Source: section 2.2 of the paper.
 */
private fun compress(value: IntArray, block: IntArray, chunk: Int, length: Int, flags: Int) {
    var m0 = block[0]; var m1 = block[1]; var m2 = block[2]; var m3 = block[3]
    var m4 = block[4]; var m5 = block[5]; var m6 = block[6]; var m7 = block[7]
    var m8 = block[8]; var m9 = block[9]; var m10 = block[10]; var m11 = block[11]
    var m12 = block[12]; var m13 = block[13]; var m14 = block[14]; var m15 = block[15]
    var v0 = value[0]; var v1 = value[1]; var v2 = value[2]; var v3 = value[3]
    var v4 = value[4]; var v5 = value[5]; var v6 = value[6]; var v7 = value[7]
    val initial = Blake3Tree.INITIAL
    var v8 = initial[0]; var v9 = initial[1]; var v10 = initial[2]; var v11 = initial[3]
    var v12 = chunk; var v13 = 0; var v14 = length; var v15 = flags
    for (round in 1..Blake3Tree.ROUNDS) {
        v0 += v4 + m0; v12 = (v12 xor v0).rotateRight(16); v8 += v12; v4 = (v4 xor v8).rotateRight(12)
        v0 += v4 + m1; v12 = (v12 xor v0).rotateRight(8); v8 += v12; v4 = (v4 xor v8).rotateRight(7)
        v1 += v5 + m2; v13 = (v13 xor v1).rotateRight(16); v9 += v13; v5 = (v5 xor v9).rotateRight(12)
        v1 += v5 + m3; v13 = (v13 xor v1).rotateRight(8); v9 += v13; v5 = (v5 xor v9).rotateRight(7)
        v2 += v6 + m4; v14 = (v14 xor v2).rotateRight(16); v10 += v14; v6 = (v6 xor v10).rotateRight(12)
        v2 += v6 + m5; v14 = (v14 xor v2).rotateRight(8); v10 += v14; v6 = (v6 xor v10).rotateRight(7)
        v3 += v7 + m6; v15 = (v15 xor v3).rotateRight(16); v11 += v15; v7 = (v7 xor v11).rotateRight(12)
        v3 += v7 + m7; v15 = (v15 xor v3).rotateRight(8); v11 += v15; v7 = (v7 xor v11).rotateRight(7)
        v0 += v5 + m8; v15 = (v15 xor v0).rotateRight(16); v10 += v15; v5 = (v5 xor v10).rotateRight(12)
        v0 += v5 + m9; v15 = (v15 xor v0).rotateRight(8); v10 += v15; v5 = (v5 xor v10).rotateRight(7)
        v1 += v6 + m10; v12 = (v12 xor v1).rotateRight(16); v11 += v12; v6 = (v6 xor v11).rotateRight(12)
        v1 += v6 + m11; v12 = (v12 xor v1).rotateRight(8); v11 += v12; v6 = (v6 xor v11).rotateRight(7)
        v2 += v7 + m12; v13 = (v13 xor v2).rotateRight(16); v8 += v13; v7 = (v7 xor v8).rotateRight(12)
        v2 += v7 + m13; v13 = (v13 xor v2).rotateRight(8); v8 += v13; v7 = (v7 xor v8).rotateRight(7)
        v3 += v4 + m14; v14 = (v14 xor v3).rotateRight(16); v9 += v14; v4 = (v4 xor v9).rotateRight(12)
        v3 += v4 + m15; v14 = (v14 xor v3).rotateRight(8); v9 += v14; v4 = (v4 xor v9).rotateRight(7)
        if (round < Blake3Tree.ROUNDS) {
            val first0 = m0; m0 = m2; m2 = m3; m3 = m10; m10 = m12; m12 = m9; m9 = m11; m11 = m5; m5 = first0
            val first1 = m1; m1 = m6; m6 = m4; m4 = m7; m7 = m13; m13 = m14; m14 = m15; m15 = m8; m8 = first1
        }
    }
    value[0] = v0 xor v8; value[1] = v1 xor v9
    value[2] = v2 xor v10; value[3] = v3 xor v11
    value[4] = v4 xor v12; value[5] = v5 xor v13
    value[6] = v6 xor v14; value[7] = v7 xor v15
}
