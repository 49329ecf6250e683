package dev.modelkeep.container

import dev.modelkeep.StorageError
import java.io.Closeable
import java.io.File
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/**
 * A new file that takes the place of [target] as a whole, or not at all. One at a time: the caller holds a lock, so that
 * what lies in its way is what a crash left.
 *
 * The folder is not synced, as nothing on API 23 can do that: after a loss of power the old file may be back.
 */
internal class Replacement(private val target: File) : Closeable {
    private val temporary = File("${target.path}.partial")
    private val file = storage("write") {
        target.absoluteFile.parentFile?.mkdirs()
        temporary.delete()
        RandomAccessFile(temporary, "rw")
    }
    val channel: FileChannel get() = file.channel

    /** Checks that there is room for [size] bytes. */
    fun requireRoom(size: Long) {
        val room = target.absoluteFile.parentFile?.usableSpace ?: return
        if (room < size) throw StorageError("no room: $size bytes are needed, $room are free", "free some space")
    }

    /** Puts the file in its place. */
    fun commit() = storage("write") {
        channel.force(true)
        if (!temporary.renameTo(target)) throw StorageError("cannot replace the file", "check its permissions")
    }

    /** Removes what was not committed. */
    override fun close() = storage("write") {
        file.close()
        temporary.delete()
        Unit
    }

    companion object {
        /** Replaces [target] with a file of these bytes, and syncs it first. */
        fun write(target: File, bytes: ByteArray) = Replacement(target).use {
            storage("write") {
                val content = ByteBuffer.wrap(bytes)
                while (content.hasRemaining()) it.channel.write(content)
            }
            it.commit()
        }
    }
}
