package dev.modelkeep

import java.nio.ByteBuffer
import java.security.MessageDigest

private const val PIECE = 8192

internal fun ByteArray.toHexadecimal(): String =
    joinToString("") { (it.toInt() and 0xff).toString(16).padStart(2, '0') }

internal fun sha256(data: ByteArray): ByteArray = MessageDigest.getInstance("SHA-256").digest(data)

/** Returns [value] as [length] bytes, big-endian and unsigned. */
internal fun bigEndian(value: Long, length: Int): ByteArray =
    ByteArray(length) { (value shr (8 * (length - 1 - it))).toByte() }

internal fun ByteArray.wipe() = fill(0)

/** Uses the bytes and wipes them afterwards, whatever happens. */
internal inline fun <T> ByteArray.wipedAfter(use: (ByteArray) -> T): T =
    try {
        use(this)
    } finally {
        wipe()
    }

/** Writes zeros over the whole buffer, from 0 to its capacity. */
internal fun ByteBuffer.wipe() {
    val target = duplicate()
    target.clear()
    val zeros = ByteArray(PIECE)
    while (target.hasRemaining()) target.put(zeros, 0, minOf(PIECE, target.remaining()))
}
