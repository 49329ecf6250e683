package dev.modelkeep.container

import android.content.res.AssetFileDescriptor
import dev.modelkeep.MalformedError
import dev.modelkeep.StorageError
import dev.modelkeep.UsageError
import java.io.Closeable
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.ClosedChannelException
import java.nio.channels.FileChannel

/** The bytes of a bundle: a whole file, or the part of one that is an asset. Safe to read from several threads. */
internal class BundleFile private constructor(
    private val owner: Closeable,
    private val channel: FileChannel,
    private val start: Long,
    val length: Long,
) : Content {
    fun read(position: Long, target: ByteArray) = read(position, ByteBuffer.wrap(target))

    /** Fills what remains of [target] from [position] of the bundle. */
    override fun read(position: Long, target: ByteBuffer) {
        if (position + target.remaining() > length) throw cutShort()
        var from = start + position
        storage {
            while (target.hasRemaining()) {
                val done = channel.read(target, from)
                if (done < 0) throw cutShort()
                from += done
            }
        }
    }

    override fun close() = storage { owner.close() }

    companion object {
        /** Opens a file. */
        fun open(file: File): BundleFile = storage {
            if (file.exists() && !file.isFile) {
                throw MalformedError("bundle: not a regular file")
            }
            val stream = FileInputStream(file)
            BundleFile(stream, stream.channel, 0, stream.channel.size())
        }

        /** Opens an asset that is stored without compression; [descriptor] stays the caller's to close. */
        fun open(descriptor: AssetFileDescriptor): BundleFile = storage {
            if (descriptor.declaredLength < 0) {
                throw UsageError("the asset has no length", "tell aapt not to compress .keep files")
            }
            val stream = FileInputStream(descriptor.fileDescriptor)
            // Closing the stream would close the caller's descriptor.
            BundleFile(Closeable {}, stream.channel, descriptor.startOffset, descriptor.declaredLength)
        }

        private fun cutShort() = MalformedError("bundle: not a modelkeep bundle, or cut short")
    }
}

/** Runs [action] and turns failures of input and output into [StorageError]. */
internal inline fun <T> storage(verb: String = "read", action: () -> T): T =
    try {
        action()
    } catch (error: ClosedChannelException) {
        throw UsageError("this bundle is closed", "open it again")
    } catch (error: IOException) {
        throw StorageError("cannot $verb: ${error.message}", "check the path and its permissions", error)
    }
