package dev.modelkeep.container

import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/**
 * Writes a new archive: everything that is not content at once, contents at any time and in any order.
 * Source: spec/bundle-v1.md, section 1.1.
 *
 * @param channel a new, empty file.
 * @param sizes length in bytes of every file, in the order of the archive.
 */
internal class ArchiveWriter(private val channel: FileChannel, sizes: Map<String, Long>) {
    private val places = HashMap<String, Place>()

    init {
        var position = 0L
        for ((name, size) in sizes) {
            val padding = if (Names.isPayload(name)) Tar.padBefore(position) else ByteArray(0)
            val front = padding + Tar.header(name, size)
            write(position, ByteBuffer.wrap(front))
            places[name] = Place(position + front.size, size)
            position += front.size + Tar.roundUp(size)
        }
        // Everything between contents is zeros, which is what a new file has where nobody wrote.
        write(position, ByteBuffer.allocate(Tar.END_SIZE))
    }

    /** Writes what remains of [content] into the file [name] from [offset] on. */
    fun write(name: String, offset: Long, content: ByteBuffer) {
        val place = places.getValue(name)
        require(offset + content.remaining() <= place.size) { "$name has no room for that" }
        write(place.offset + offset, content)
    }

    private fun write(position: Long, content: ByteBuffer) = storage("write") {
        var at = position
        while (content.hasRemaining()) at += channel.write(content, at)
    }
}
