package dev.modelkeep.container

import dev.modelkeep.MalformedError
import java.io.File

/** The folder form of a bundle: the same files in a folder. Source: spec/bundle-v1.md, section 1.2. */
internal class Folder(private val root: File) : Container {
    override val sizes: Map<String, Long> = storage { list() }

    override fun open(name: String): Content = BundleFile.open(File(root, name))

    override fun close() = Unit

    private fun list(): Map<String, Long> {
        val found = children(root).flatMap(::files).associateBy { it.relativeTo(root).invariantSeparatorsPath }
        val order = Order(Form.BUNDLE)
        val sorted = found.keys.sortedWith(compareBy({ order.place(it) }, { it.length }, { it }))
        return sorted.associateWith { name -> found.getValue(name).length().also { order.check(name, it) } }
            .also { order.finish() }
    }

    private fun files(entry: File): List<File> {
        if (!entry.isDirectory) return listOf(entry.also(::checkRegular))
        if (entry.name !in SUBFOLDERS) throw MalformedError("bundle: '${entry.name}' does not belong into a bundle")
        return children(entry).onEach(::checkRegular)
    }

    private fun children(folder: File): List<File> {
        checkNoLink(folder)
        return folder.listFiles()?.asList() ?: throw MalformedError("bundle: cannot list ${folder.name}")
    }

    private fun checkRegular(file: File) {
        checkNoLink(file)
        if (!file.isFile) throw MalformedError("bundle: '${file.name}' is not a regular file")
    }

    // Without java.nio.file, which API 23 lacks: a link is what does not have its own canonical path.
    private fun checkNoLink(file: File) {
        if (file == root) return
        val expected = File(file.parentFile!!.canonicalFile, file.name)
        if (file.canonicalFile != expected) throw MalformedError("bundle: '${file.name}' is a symbolic link")
    }

    private companion object {
        val SUBFOLDERS = setOf("signatures", "grants", "leaves", "payload")
    }
}
