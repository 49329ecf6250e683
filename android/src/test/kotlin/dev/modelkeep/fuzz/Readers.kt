package dev.modelkeep.fuzz

import dev.modelkeep.CertificateRoots
import dev.modelkeep.FleetIdentity
import dev.modelkeep.KeepError
import dev.modelkeep.Recipient
import dev.modelkeep.Roots
import dev.modelkeep.TrustFile
import dev.modelkeep.bundle.InstallRecord
import dev.modelkeep.container.Archive
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.Form
import dev.modelkeep.document.InnerManifest
import dev.modelkeep.document.Manifest
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.keys.Grant
import dev.modelkeep.keys.Grants
import dev.modelkeep.state.ContentsJson
import dev.modelkeep.trust.DistinguishedName
import dev.modelkeep.trust.Envelope
import dev.modelkeep.trust.EnvelopeKind
import dev.modelkeep.trust.OmsDocument
import dev.modelkeep.trust.Statement
import java.io.ByteArrayInputStream
import java.io.File

/** Every reader of bytes that strangers write; the first byte of an input says which one reads the others. */
internal object Readers {
    private val file = File.createTempFile("modelkeep", ".keep").apply { deleteOnExit() }
    private val roots = Roots.ofKeys(listOf(File("../vectors/v1/trust/index.json").readText().let(::firstKey)), 1)

    val all: List<(ByteArray) -> Any?> = listOf(
        { archive(it, Form.BUNDLE) },
        { archive(it, Form.INSTALLATION) },
        { Manifest.parse(it) },
        { InnerManifest.parse(it) },
        { OmsDocument.parse(it) },
        { Statement.parse(it) },
        { Grant.parse(it) },
        { Grants.lines(ByteArrayInputStream(it)).toList() },
        { InstallRecord.parse(it) },
        { ContentsJson.decode(it) },
        { Envelope.parse(it, EnvelopeKind.TRUST) },
        { TrustFile.read(it, roots) },
        { CanonicalJson.decode(it, "input") },
        { DistinguishedName.parse(it)?.toString() },
        { CertificateRoots(it.decodeToString()) },
        { Recipient.parse(it.decodeToString()) },
        { FleetIdentity.parse(it.decodeToString()) },
    )

    /** What the fuzzer calls: every error that is not of the library's own is one of the library. */
    @JvmStatic
    fun fuzzerTestOneInput(data: ByteArray) {
        if (data.isEmpty()) return
        val reader = all[(data[0].toInt() and 0xff) % all.size]
        try {
            reader(data.copyOfRange(1, data.size))
        } catch (_: KeepError) {
            // Bad input.
        }
    }

    private fun archive(data: ByteArray, form: Form): List<ByteArray> {
        file.writeBytes(data)
        return Archive.open(BundleFile.open(file), form).use { archive ->
            archive.sizes.filterValues { it < 1 shl 20 }.keys.map(archive::read)
        }
    }

    private fun firstKey(index: String): String =
        ((CanonicalJson.decodeLenient(index.encodeToByteArray(), "index") as Map<*, *>)["trust_files"] as List<*>)
            .firstNotNullOf { ((it as Map<*, *>)["roots"] as List<*>?)?.firstOrNull() } as String
}

/** Writes an input for every reader and every vector that fits it into a folder, as beginnings for the fuzzer. */
internal object Seeds {
    private const val LARGEST = 300_000
    private const val MOST = 20

    @JvmStatic
    fun main(arguments: Array<String>) {
        val folder = File(arguments[0]).apply { mkdirs() }
        beginnings().forEachIndexed { reader, inputs ->
            inputs.forEachIndexed { number, input ->
                File(folder, "seed-$reader-$number").writeBytes(byteArrayOf(reader.toByte()) + input)
            }
        }
        println("${folder.list()!!.size} beginnings in $folder")
    }

    /** For every reader what it accepts of the vectors. */
    fun beginnings(): List<List<ByteArray>> {
        val vectors = File("../vectors/v1").walk().filter { it.isFile && it.length() < LARGEST }.map { it.readBytes() }.toList()
        val pieces = vectors.flatMap { listOf(it) + texts(it) + members(it) }.distinctBy { it.decodeToString() }
        return Readers.all.map { reader -> pieces.filter { fits(reader, it) }.take(MOST) }
    }

    private fun fits(reader: (ByteArray) -> Any?, data: ByteArray): Boolean =
        try {
            reader(data) != null
        } catch (_: KeepError) {
            false
        }

    /** Strings in a JSON document: many vectors are inline. */
    private fun texts(data: ByteArray): List<ByteArray> = try {
        strings(CanonicalJson.decodeLenient(data, "vector"))
    } catch (_: KeepError) {
        emptyList()
    }

    private fun strings(value: Any?): List<ByteArray> = when (value) {
        is String -> listOf(value.encodeToByteArray())
        is List<*> -> value.flatMap(::strings)
        is Map<*, *> -> value.values.flatMap(::strings)
        else -> emptyList()
    }

    private fun members(data: ByteArray): List<ByteArray> {
        val file = File.createTempFile("seed", ".keep").apply { writeBytes(data) }
        return try {
            Form.values().flatMap { form -> tried { Archive.open(BundleFile.open(file), form).use { open -> open.sizes.keys.map(open::read) } } }
        } finally {
            file.delete()
        }
    }

    private fun tried(action: () -> List<ByteArray>): List<ByteArray> = try {
        action()
    } catch (_: KeepError) {
        emptyList()
    }
}
