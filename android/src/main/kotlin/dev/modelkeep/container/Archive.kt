package dev.modelkeep.container

import dev.modelkeep.MalformedError
import java.nio.ByteBuffer

/** Where one file of a bundle lies. */
internal class Place(val offset: Long, val size: Long)

/**
 * The archive form of a bundle or an installation: an uncompressed tar of which every byte that is not
 * content is checked.
 * Source: spec/bundle-v1.md, section 1.1.
 */
internal class Archive private constructor(private val file: BundleFile, form: Form) : Container {
    val places: Map<String, Place> = Walk(file, form).run()

    override val sizes: Map<String, Long> = places.mapValues { it.value.size }

    override fun open(name: String): Content = Part(places.getValue(name))

    override fun close() = file.close()

    private inner class Part(private val place: Place) : Content {
        override fun read(position: Long, target: ByteBuffer) {
            require(position + target.remaining() <= place.size) { "beyond the file" }
            file.read(place.offset + position, target)
        }

        // The archive stays open for its other files.
        override fun close() = Unit
    }

    private class Walk(private val file: BundleFile, form: Form) {
        private val order = Order(form)
        private val places = LinkedHashMap<String, Place>()
        private var position = 0L

        fun run(): Map<String, Place> {
            var block = read(Tar.BLOCK)
            while (!block.all(ZERO)) {
                member(block)
                block = read(Tar.BLOCK)
            }
            if (position + Tar.END_SIZE != file.length || !read(Tar.END_SIZE).all(ZERO)) {
                throw MalformedError("bundle: the archive does not end as it must")
            }
            order.finish()
            return places
        }

        private fun member(first: ByteArray) {
            val header = if (Tar.isPadding(first)) skipPadding() else first
            val name = Tar.name(header)
            val size = Tar.size(header)
            if (size == null || !Tar.header(name, size).contentEquals(header)) {
                throw MalformedError("bundle: not a modelkeep bundle, or damaged: bad archive header")
            }
            order.check(name, size)
            place(name, size)
        }

        private fun skipPadding(): ByteArray {
            val padding = Tar.padBefore(position)
            if (padding.isEmpty() || !read(padding.size).contentEquals(padding)) {
                throw MalformedError("bundle: bad padding")
            }
            position += padding.size
            val header = read(Tar.BLOCK)
            if (!Names.isPayload(Tar.name(header))) {
                throw MalformedError("bundle: padding in front of something else than payload")
            }
            return header
        }

        private fun place(name: String, size: Long) {
            val offset = position + Tar.BLOCK
            if (Names.isPayload(name) && offset % Tar.ALIGNMENT != 0L) {
                throw MalformedError("bundle: $name is not aligned")
            }
            if (size > file.length - offset) throw MalformedError("bundle: the file ends early")
            val end = offset + Tar.roundUp(size)
            places[name] = Place(offset, size)
            position = offset + size
            if (!read((end - position).toInt()).all(ZERO)) {
                throw MalformedError("bundle: bytes hidden behind a file")
            }
            position = end
        }

        private fun read(count: Int): ByteArray = ByteArray(count).also { file.read(position, it) }
    }

    companion object {
        private val ZERO = { byte: Byte -> byte == 0.toByte() }

        /** Reads what [file] holds, and closes it when that is not an archive of this [form]. */
        fun open(file: BundleFile, form: Form): Archive =
            try {
                Archive(file, form)
            } catch (error: Throwable) {
                file.close()
                throw error
            }
    }
}
