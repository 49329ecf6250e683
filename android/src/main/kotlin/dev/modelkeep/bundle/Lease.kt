package dev.modelkeep.bundle

import dev.modelkeep.MalformedError
import dev.modelkeep.TamperedError
import dev.modelkeep.container.storage
import java.io.File

/**
 * The lease beside an installation: a record that moves its end, and nothing else. Other programs write it; this library
 * reads it. Source: spec/install-v1.md, section 8.
 */
internal object Lease {
    private const val LARGEST = 65_536

    /** Returns the record whose end counts: of the installation's own and of the lease beside [file] the later one. */
    fun inForce(file: File, installed: InstallRecord, isLeased: Boolean): InstallRecord {
        val lease = read(File("${file.path}.lease")) ?: return installed
        // One that was left beside by an earlier installation is passed over.
        if (!lease.header.installation.contentEquals(installed.header.installation)) return installed
        val end = lease.header.constraints.notAfter
        if (end == null || !isLeased || !installed.header.renewed(end).toBytes().contentEquals(lease.header.toBytes())) {
            throw TamperedError(
                "the lease says something else than the installation, beyond its end",
                "remove it, and install again",
            )
        }
        val own = installed.header.constraints.notAfter
        return if (own == null || own >= end) installed else lease
    }

    private fun read(file: File): InstallRecord? {
        if (!file.exists()) return null
        if (storage { file.length() } > LARGEST) throw MalformedError("lease: too long")
        return InstallRecord.parse(storage { file.readBytes() })
    }
}
