package dev.modelkeep.loader

import dev.modelkeep.container.Archive
import dev.modelkeep.container.ArchiveWriter
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.Form
import dev.modelkeep.container.Replacement
import java.io.File
import java.nio.ByteBuffer

/** Writes an installation anew with other files in it, as an attacker can who has its place. */
internal fun rewrite(installed: File, change: (Map<String, ByteArray>) -> Map<String, ByteArray>) {
    val files = Archive.open(BundleFile.open(installed), Form.INSTALLATION).use { it.places.keys.associateWith(it::read) }
    val changed = change(files)
    Replacement(installed).use { file ->
        val writer = ArchiveWriter(file.channel, changed.mapValues { it.value.size.toLong() })
        changed.forEach { (name, content) -> writer.write(name, 0, ByteBuffer.wrap(content)) }
        file.commit()
    }
}
