package dev.modelkeep.container

import dev.modelkeep.bigEndian

/**
 * The few tar headers that a bundle uses, as functions of name and size.
 *
 * A reader makes the header it expects and compares bytes, so there is one reading of every
 * archive. Source: spec/bundle-v1.md, section 1.1.
 */
internal object Tar {
    const val BLOCK = 512
    const val ALIGNMENT = 4096
    const val END_SIZE = 2 * BLOCK

    private const val LARGEST_OCTAL_SIZE = (1L shl 33) - 1
    private const val KIND = 156
    private const val CHECKSUM = 148
    private const val SIZE = 124
    private const val SIZE_LENGTH = 12
    private const val NAME_LENGTH = 100

    /** Returns the 512-byte header of a regular file. */
    fun header(name: String, size: Long): ByteArray = header(name, size, '0')

    fun roundUp(size: Long): Long = (size + BLOCK - 1) / BLOCK * BLOCK

    fun isPadding(header: ByteArray): Boolean = header[KIND] == 'x'.code.toByte()

    /** Returns what stands in front of a header at [position] so that its content is aligned to 4096. */
    fun padBefore(position: Long): ByteArray {
        var gap = (-(position + BLOCK)).mod(ALIGNMENT)
        if (gap == 0) return ByteArray(0)
        // Room for the padding's own header alone is too little: it needs a comment to be valid.
        if (gap == BLOCK) gap += ALIGNMENT
        val size = gap - BLOCK
        return header("pad", size.toLong(), 'x') + comment(size)
    }

    /** Returns the size field of a header, or null when it has no number there. */
    fun size(header: ByteArray): Long? {
        if (header[SIZE] == 0x80.toByte()) return base256(header)
        val digits = header.copyOfRange(SIZE, SIZE + SIZE_LENGTH).decodeToString().trimEnd('\u0000')
        return digits.takeIf { text -> text.isNotEmpty() && text.all { it in '0'..'7' } }?.toLong(8)
    }

    /** Returns the name field of a header; a name that is not ASCII gives no header that equals it. */
    fun name(header: ByteArray): String =
        String(header, 0, NAME_LENGTH, Charsets.ISO_8859_1).trimEnd('\u0000')

    private fun base256(header: ByteArray): Long? {
        val bytes = header.copyOfRange(SIZE + 1, SIZE + SIZE_LENGTH)
        // Sizes beyond 2^63 - 1 exist in no file.
        if (bytes.take(3).any { it != 0.toByte() } || bytes[3] < 0) return null
        return bytes.fold(0L) { number, byte -> (number shl 8) or (byte.toLong() and 0xff) }
    }

    private fun comment(size: Int): ByteArray {
        val start = "$size comment="
        return (start.padEnd(size - 1) + "\n").toByteArray(Charsets.US_ASCII)
    }

    private fun header(name: String, size: Long, kind: Char): ByteArray {
        val block = ByteArray(BLOCK)
        fun put(offset: Int, text: String) = text.toByteArray(Charsets.ISO_8859_1).copyInto(block, offset)
        put(0, name)
        put(100, "0000644\u00000000000\u00000000000\u0000")
        sizeField(size).copyInto(block, SIZE)
        put(136, "00000000000\u0000")
        put(CHECKSUM, "        ")
        put(KIND, kind.toString())
        put(257, "ustar\u000000")
        put(329, "0000000\u00000000000\u0000")
        val sum = block.sumOf { it.toInt() and 0xff }
        put(CHECKSUM, sum.toString(8).padStart(6, '0') + "\u0000 ")
        return block
    }

    private fun sizeField(size: Long): ByteArray {
        if (size <= LARGEST_OCTAL_SIZE) {
            return (size.toString(8).padStart(SIZE_LENGTH - 1, '0') + "\u0000").toByteArray(Charsets.US_ASCII)
        }
        return byteArrayOf(0x80.toByte()) + bigEndian(size, SIZE_LENGTH - 1)
    }
}
