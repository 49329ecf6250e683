package dev.modelkeep.state

import dev.modelkeep.RollbackError
import dev.modelkeep.container.storage
import java.io.File
import java.io.RandomAccessFile
import java.security.SecureRandom

/**
 * The lock of a device's state, or of making a key, held. A lock on a file that is gone keeps nobody out, as whoever comes next makes a new
 * one; so a fresh word is written into the file, and is there to be read under its name as long as the lock is good.
 */
internal class StateLock private constructor(private val path: File, private val file: RandomAccessFile) {
    private val word = ByteArray(WORD).also(SecureRandom()::nextBytes)

    init {
        file.setLength(0)
        file.write(word)
    }

    private val isInPlace: Boolean
        get() = path.exists() && storage { path.readBytes() }.contentEquals(word)

    /** Throws when others may have changed the state meanwhile. */
    fun check() {
        if (!isInPlace) throw RollbackError("the device's state was changed by somebody else meanwhile", "try again")
    }

    companion object {
        private const val WORD = 16

        // A lock on a file keeps out other processes only, so threads have a lock of their own.
        private val THREADS = Any()

        /** Runs [action] while nobody else has the lock at [path]. */
        fun <T> locked(path: File, action: (StateLock) -> T): T = synchronized(THREADS) {
            path.absoluteFile.parentFile?.mkdirs()
            while (true) {
                storage("write") { RandomAccessFile(path, "rw") }.use { file ->
                    storage("write") { file.channel.lock() }
                    val lock = storage("write") { StateLock(path, file) }
                    if (lock.isInPlace) return action(lock)
                }
            }
            @Suppress("UNREACHABLE_CODE")
            error("never")
        }
    }
}
