package dev.modelkeep.container

import android.content.res.AssetFileDescriptor
import android.os.ParcelFileDescriptor
import android.system.ErrnoException
import android.system.Os
import dev.modelkeep.MalformedError
import dev.modelkeep.StorageError
import dev.modelkeep.UsageError
import java.io.Closeable
import java.io.File
import java.io.FileDescriptor
import java.io.FileInputStream
import java.io.IOException
import java.io.InterruptedIOException
import java.nio.ByteBuffer
import java.nio.channels.ClosedByInterruptException
import java.nio.channels.ClosedChannelException
import java.nio.channels.FileLockInterruptionException

/** The bytes of a bundle: a whole file, or the part of one that is an asset. Safe to read from several threads. */
internal class BundleFile private constructor(
    private val owner: Closeable,
    private val source: Source,
    private val start: Long,
    val length: Long,
) : Content {
    /** Reads some bytes from a position of the file and returns how many, or -1 behind the end. */
    private fun interface Source {
        fun read(target: ByteBuffer, position: Long): Int
    }

    fun read(position: Long, target: ByteArray) = read(position, ByteBuffer.wrap(target))

    /** Fills what remains of [target] from [position] of the bundle. */
    override fun read(position: Long, target: ByteBuffer) {
        if (position + target.remaining() > length) throw cutShort()
        var from = start + position
        storage {
            while (target.hasRemaining()) {
                val done = source.read(target, from)
                if (done <= 0) throw cutShort()
                from += done
            }
        }
    }

    override fun close() = storage { owner.close() }

    companion object {
        /** Opens a file. */
        fun open(file: File): BundleFile = storage {
            if (file.exists() && !file.isFile) throw MalformedError("bundle: not a regular file")
            val stream = FileInputStream(file)
            val channel = stream.channel
            BundleFile(stream, channel::read, 0, channel.size())
        }

        /** Opens an asset that is stored without compression; [descriptor] stays the caller's to close. */
        fun open(descriptor: AssetFileDescriptor): BundleFile {
            if (descriptor.declaredLength < 0) {
                throw UsageError("the asset has no length", "tell aapt not to compress .keep files")
            }
            return of(descriptor.fileDescriptor, descriptor.startOffset, descriptor.declaredLength)
        }

        /** Opens what a descriptor stands for, which must be a file; [descriptor] stays the caller's to close. */
        fun open(descriptor: ParcelFileDescriptor): BundleFile {
            val size = descriptor.statSize
            if (size < 0) throw UsageError("the descriptor is not that of a file", "copy what it gives into a file")
            return of(descriptor.fileDescriptor, 0, size)
        }

        // Not with a channel: an interrupt would close it, and the caller's descriptor with it.
        private fun of(descriptor: FileDescriptor, start: Long, length: Long): BundleFile {
            val source = Source { target, position ->
                try {
                    Os.pread(descriptor, target, position)
                } catch (error: ErrnoException) {
                    throw IOException(error)
                }
            }
            return BundleFile(Closeable {}, source, start, length)
        }

        private fun cutShort() = MalformedError("bundle: not a modelkeep bundle, or cut short")
    }
}

/** Runs [action] and turns failures of input and output into [StorageError], but an interrupt into a cancellation. */
internal inline fun <T> storage(verb: String = "read", action: () -> T): T =
    try {
        action()
    } catch (error: ClosedByInterruptException) {
        throw cancelled()
    } catch (error: FileLockInterruptionException) {
        throw cancelled()
    } catch (error: InterruptedIOException) {
        throw cancelled()
    } catch (error: ClosedChannelException) {
        throw UsageError("this bundle is closed", "open it again")
    } catch (error: IOException) {
        throw StorageError("cannot $verb: ${error.message}", "check the path and its permissions", error)
    }

internal fun cancelled(): InterruptedException {
    // As every method that throws it: the mark is gone with the exception.
    Thread.interrupted()
    return InterruptedException("cancelled")
}
