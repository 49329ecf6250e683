package dev.modelkeep.container

import dev.modelkeep.StorageError
import java.io.Closeable
import java.io.File
import java.io.RandomAccessFile
import java.nio.channels.FileChannel

/**
 * A new file that takes the place of [target] as a whole, or not at all.
 *
 * The folder is not synced, as nothing on API 23 can do that: after a loss of power the old file may be back.
 */
internal class Replacement(private val target: File) : Closeable {
    private val temporary = storage("write") {
        File.createTempFile("keep", ".partial", target.absoluteFile.parentFile)
    }
    private val file = storage("write") { RandomAccessFile(temporary, "rw") }
    val channel: FileChannel get() = file.channel

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
}
