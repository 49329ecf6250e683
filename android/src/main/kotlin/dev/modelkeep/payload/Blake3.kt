package dev.modelkeep.payload

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * BLAKE3, hash mode, 32 bytes of output, for data that is in memory as a whole. For one thread.
 * Source: O'Connor, Aumasson, Neves, Wilcox-O'Hearn: BLAKE3, one function, fast everywhere (2021), section 2.
 */
internal class Blake3 {
    private val block = IntArray(BLOCK_WORDS)
    private val lastBlock = ByteBuffer.allocate(BLOCK).order(ByteOrder.LITTLE_ENDIAN)

    /** Chaining values of subtrees that are complete, from the left; never more than the tree is deep. */
    private val stack = Array(DEEPEST) { IntArray(WORDS) }

    /** Returns the hash of what remains of [data], and leaves its position as it is. */
    fun hash(data: ByteBuffer): ByteArray {
        val input = data.duplicate().order(ByteOrder.LITTLE_ENDIAN)
        val value = if (input.remaining() <= CHUNK) IntArray(WORDS).also { chunk(input, 0, ROOT, it) } else tree(input)
        val output = ByteBuffer.allocate(BLAKE3_BYTES).order(ByteOrder.LITTLE_ENDIAN)
        value.forEach(output::putInt)
        return output.array()
    }

    /** Chunks join like bits of a counter: whenever two subtrees of one size lie on the stack, they become one. */
    private fun tree(input: ByteBuffer): IntArray {
        var depth = 0
        var number = 0L
        while (input.remaining() > CHUNK) {
            chunk(input, number++, 0, stack[depth++])
            // The last subtree stays apart: which one is the root is not known before the end.
            repeat(java.lang.Long.numberOfTrailingZeros(number)) { join(--depth, 0) }
        }
        chunk(input, number, 0, stack[depth])
        while (depth > 1) join(depth--, 0)
        join(1, ROOT)
        return stack[0]
    }

    /** Puts the parent of the subtrees at [right] and before it into the place of the left one. */
    private fun join(right: Int, flags: Int) {
        stack[right - 1].copyInto(block)
        stack[right].copyInto(block, WORDS)
        INITIAL.copyInto(stack[right - 1])
        compress(stack[right - 1], block, 0, BLOCK, flags or PARENT)
    }

    /** Takes the next chunk, or what is left, from [input] and leaves its chaining value in [value]. */
    private fun chunk(input: ByteBuffer, number: Long, flags: Int, value: IntArray) {
        var left = minOf(CHUNK, input.remaining())
        var start = CHUNK_START
        INITIAL.copyInto(value)
        while (left > BLOCK) {
            for (index in 0 until BLOCK_WORDS) block[index] = input.getInt()
            compress(value, block, number, BLOCK, start)
            left -= BLOCK
            start = 0
        }
        fillLastBlock(input, left)
        compress(value, block, number, left, flags or start or CHUNK_END)
    }

    private fun fillLastBlock(input: ByteBuffer, length: Int) {
        lastBlock.clear()
        repeat(length) { lastBlock.put(input.get()) }
        while (lastBlock.hasRemaining()) lastBlock.put(0)
        lastBlock.flip()
        for (index in 0 until BLOCK_WORDS) block[index] = lastBlock.getInt()
    }

    private companion object {
        const val BLAKE3_BYTES = 32
        const val WORDS = 8
        const val BLOCK = 64
        const val BLOCK_WORDS = 16
        const val CHUNK = 1024

        /** A buffer holds less than 2^31 bytes, which is 2^21 chunks. */
        const val DEEPEST = 23
        const val CHUNK_START = 1
        const val CHUNK_END = 2
        const val PARENT = 4
        const val ROOT = 8
    }
}

private const val ROUNDS = 7

/** The fractional parts of the square roots of the first eight primes, as in SHA-256. */
private val INITIAL = intArrayOf(
    0x6a09e667, 0xbb67ae85.toInt(), 0x3c6ef372, 0xa54ff53a.toInt(),
    0x510e527f, 0x9b05688c.toInt(), 0x1f83d9ab, 0x5be0cd19,
)

/**
 * Mixes a block into the chaining [value]. One long function on purpose: its 32 words stay in registers and on the
 * stack, which is several times faster than an array. Source: section 2.2 of the paper.
 */
private fun compress(value: IntArray, block: IntArray, counter: Long, length: Int, flags: Int) {
    var m0 = block[0]; var m1 = block[1]; var m2 = block[2]; var m3 = block[3]
    var m4 = block[4]; var m5 = block[5]; var m6 = block[6]; var m7 = block[7]
    var m8 = block[8]; var m9 = block[9]; var m10 = block[10]; var m11 = block[11]
    var m12 = block[12]; var m13 = block[13]; var m14 = block[14]; var m15 = block[15]
    var v0 = value[0]; var v1 = value[1]; var v2 = value[2]; var v3 = value[3]
    var v4 = value[4]; var v5 = value[5]; var v6 = value[6]; var v7 = value[7]
    var v8 = INITIAL[0]; var v9 = INITIAL[1]; var v10 = INITIAL[2]; var v11 = INITIAL[3]
    var v12 = counter.toInt(); var v13 = (counter ushr 32).toInt(); var v14 = length; var v15 = flags
    for (round in 1..ROUNDS) {
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
        if (round < ROUNDS) {
            val first0 = m0; m0 = m2; m2 = m3; m3 = m10; m10 = m12; m12 = m9; m9 = m11; m11 = m5; m5 = first0
            val first1 = m1; m1 = m6; m6 = m4; m4 = m7; m7 = m13; m13 = m14; m14 = m15; m15 = m8; m8 = first1
        }
    }
    value[0] = v0 xor v8; value[1] = v1 xor v9
    value[2] = v2 xor v10; value[3] = v3 xor v11
    value[4] = v4 xor v12; value[5] = v5 xor v13
    value[6] = v6 xor v14; value[7] = v7 xor v15
}
