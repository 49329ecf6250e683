package dev.modelkeep.container

import dev.modelkeep.UsageError
import java.io.Closeable
import java.io.File
import java.nio.ByteBuffer

/** Bytes that can be read at any place, by several threads at once. */
internal interface Content : Closeable {
    /** Fills what remains of [target] from [position] on. */
    fun read(position: Long, target: ByteBuffer)
}

/** The files of a bundle or an installation, in the archive form or as a folder: sizes by name, and contents. */
internal interface Container : Closeable {
    val sizes: Map<String, Long>

    /** Returns one of the files; closing it is the caller's. */
    fun open(name: String): Content

    /** Returns a small file of the bundle as it is, unverified. */
    fun read(name: String): ByteArray {
        val size = sizes[name] ?: throw UsageError("the bundle has no file '$name'")
        val data = ByteArray(size.toInt())
        open(name).use { it.read(0, ByteBuffer.wrap(data)) }
        return data
    }

    companion object {
        /** Opens a bundle in either form. */
        fun openBundle(file: File): Container =
            if (file.isDirectory) Folder(file) else Archive.open(BundleFile.open(file), Form.BUNDLE)
    }
}
