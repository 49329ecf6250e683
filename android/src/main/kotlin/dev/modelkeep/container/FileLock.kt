package dev.modelkeep.container

import dev.modelkeep.StorageError
import java.io.Closeable
import java.io.File
import java.io.RandomAccessFile
import java.nio.channels.OverlappingFileLockException

/** A lock of a target, in a file beside it, since the target itself is replaced. Given back when closed, or by a crash. */
internal class FileLock private constructor(private val file: RandomAccessFile) : Closeable {
    override fun close() = storage("write") { file.close() }

    companion object {
        private const val HINT = "wait until it is done"

        /** Returns the lock, or says that somebody else, here or in another process, has it. */
        fun take(target: File): FileLock = storage("write") {
            target.absoluteFile.parentFile?.mkdirs()
            val file = RandomAccessFile(File("${target.path}.lock"), "rw")
            val isTaken = try {
                file.channel.tryLock() == null
            } catch (_: OverlappingFileLockException) {
                true
            }
            if (isTaken) {
                file.close()
                throw StorageError("${target.name} is just being installed", HINT)
            }
            FileLock(file)
        }
    }
}
