package dev.modelkeep.document

import dev.modelkeep.Entry
import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record

/**
 * What only a key holder learns: names, format and input contract of the model.
 * Source: spec/bundle-v1.md, section 8.
 *
 * @property paths path of file k, which is member k + 1 of the payload.
 */
internal class InnerManifest private constructor(record: Record) {
    val paths: List<String> = record.items("files", MOST_FILES).map(::path)
    val format: String = formatName(record)

    /** All ways to run the model; the first one is meant where nobody says which. None for a plain set of files. */
    val entries: List<Entry> = entries(record)

    /** The file of golden vectors, which is none of the model's; null without one. */
    private val golden: String? =
        if ("golden" in record) GoldenNotes.path(record, paths - entries.map { it.path }) else null

    init {
        checkPaths(record)
        if (golden != null && entries.isEmpty()) throw record.fault("golden", "goes without an entry")
        // Whoever runs a model that has a guard must hold every input against it.
        if ("guard" in record) {
            throw UnsupportedVersionError(
                "this model has a guard, which is not supported on Android",
                "seal it for phones without one",
            )
        }
    }

    /** Number of the member and path of each file of the model. */
    fun modelFiles(): List<Pair<Int, String>> =
        paths.mapIndexed { index, path -> index + 1 to path }.filter { (_, path) -> path != golden }

    private fun entries(record: Record): List<Entry> {
        val first = if ("entry" in record) entry(record, format) else null
        // Without an entry a contract says nothing, but is still read.
        if (first == null) InputContracts.read(record)
        val others = if ("others" in record) record.items("others", MOST_ENTRIES).map(::other) else null
        val isAlone = first == null && (others != null || "function" in record)
        val all = listOfNotNull(first) + others.orEmpty()
        if (isAlone || others?.isEmpty() == true || all.distinctBy { it.name }.size != all.size) {
            throw record.fault("others", "names an entry twice, or goes without a first one")
        }
        return all
    }

    private fun other(item: Any?): Entry =
        Record.read(item, "inner manifest: other entry") { entry(this, formatName(this)) }

    private fun entry(record: Record, format: String): Entry {
        val path = record.text("entry")
        if (path !in paths) throw record.fault("entry", "names no file of the model")
        val function = if ("function" in record) record.text("function") else null
        return Entry(path, function, format, InputContracts.read(record))
    }

    private fun formatName(record: Record): String {
        val name = record.text("model_format")
        if (!FORMAT_NAME.matches(name)) throw record.fault("model_format", "is not a format name")
        return name
    }

    private fun checkPaths(record: Record) {
        val files = paths.toHashSet()
        if (files.size != paths.size) throw record.fault("files", "names a file twice")
        val folders = paths.asSequence().flatMap { path ->
            path.indices.asSequence().filter { path[it] == '/' }.map { path.substring(0, it) }
        }
        if (folders.any { it in files }) throw record.fault("files", "uses one name for a file and a folder")
    }

    companion object {
        const val LARGEST = 16L shl 20
        private const val MOST_FILES = 65_536
        private const val MOST_ENTRIES = 256
        private const val LONGEST_PATH = 1024
        private val ODD = Regex("[\\u0000-\\u001f\\u007f-\\u009f\\\\]")
        private val FORMAT_NAME = Regex("[a-z0-9][a-z0-9.-]{0,31}")

        /** Parses an inner manifest. [data] must have been decrypted from a verified bundle. */
        fun parse(data: ByteArray): InnerManifest =
            Record.read(CanonicalJson.decode(data, "inner manifest"), "inner manifest") {
                checkVersion(this)
                InnerManifest(this)
            }

        private fun checkVersion(record: Record) {
            if (record.text("format") != "modelkeep/inner") throw MalformedError("inner manifest: wrong format")
            val version = record.integer("version")
            if (version != 1L) {
                val problem = "inner manifest: version $version is not supported"
                throw UnsupportedVersionError(problem, "update modelkeep")
            }
        }

        private fun path(item: Any?): String =
            Record.read(item, "inner manifest: file") {
                // Readers need not check it: the AEAD and the leaves do.
                hexadecimal("digest", 32)
                text("path").also(::checkPath)
            }

        private fun checkPath(path: String) {
            val hasBadPart = path.split('/').any { it.isEmpty() || it == "." || it == ".." }
            if (hasBadPart || ODD.containsMatchIn(path) || path.encodeToByteArray().size > LONGEST_PATH) {
                throw MalformedError("not a file name for a model")
            }
        }
    }
}
