package dev.modelkeep.keys

import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.container.storage
import java.io.BufferedInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.InputStream

/** Sets of grants, read no further than they are needed. Source: spec/grant-v1.md, sections 1, 4.3 and 7. */
internal object Grants {
    /** Gives the grants of several sets; one that is too new is reported only if no other served. */
    fun all(vararg sets: Sequence<ByteArray>): Sequence<Grant> = sequence {
        var tooNew: UnsupportedVersionError? = null
        for (set in sets) {
            for (data in set) {
                try {
                    yield(Grant.parse(data))
                } catch (error: UnsupportedVersionError) {
                    tooNew = tooNew ?: error
                }
            }
        }
        if (tooNew != null) throw tooNew
    }

    /** Gives the lines of a grants file; a last line without a line feed is what a crash left. */
    fun lines(file: File): Sequence<ByteArray> = sequence {
        storage { file.inputStream() }.use { yieldAll(lines(BufferedInputStream(it))) }
    }

    fun lines(input: InputStream): Sequence<ByteArray> = sequence {
        val line = ByteArrayOutputStream()
        while (true) {
            val byte = storage { input.read() }
            if (byte < 0) return@sequence
            if (byte != '\n'.code) {
                line.write(byte)
                if (line.size() > Grant.LARGEST) throw MalformedError("grants: a line is too long for a grant")
                continue
            }
            yield(line.toByteArray())
            line.reset()
        }
    }

    /** Refuses a passphrase grant that has company. */
    fun standingAlone(grants: Sequence<Grant>): Sequence<Grant> = sequence {
        val iterator = grants.iterator()
        var isFirst = true
        while (iterator.hasNext()) {
            val grant = iterator.next()
            val hasCompany = !isFirst || (grant.header.type == GrantHeader.PASSPHRASE && iterator.hasNext())
            if (grant.header.type == GrantHeader.PASSPHRASE && hasCompany) {
                throw MalformedError(
                    "a passphrase grant must be the only grant of its bundle",
                    "seal for a passphrase or for devices, not for both",
                )
            }
            isFirst = false
            yield(grant)
        }
    }
}
