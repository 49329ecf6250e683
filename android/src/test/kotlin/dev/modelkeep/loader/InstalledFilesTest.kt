package dev.modelkeep.loader

import dev.modelkeep.KeepError
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.MalformedError
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.StorageError
import dev.modelkeep.TamperedError
import dev.modelkeep.bundle.InstallRecord
import dev.modelkeep.container.Names
import dev.modelkeep.container.Replacement
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.vectors.Vector
import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** What lies in an installation and beside it, changed by somebody who can write there. */
internal class InstalledFilesTest {
    @TempDir
    lateinit var folder: File
    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "sha256-leaves" }
    private val device by lazy { vector.identity() as KeystoreIdentity }
    private val loader by lazy { SecureModelLoader(device, vector.verifier(), File(folder, "states")) }
    private val installed by lazy { File(folder, "installed.keep").also { loader.install(vector.bundle, it) } }
    private val original by lazy { installed.readBytes() }

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
    }

    private inline fun <reified E : KeepError> refused(words: String) {
        val error = assertThrows(E::class.java, { loader.open(installed) }, words)
        assertTrue(words in error.message!!, error.message)
        installed.writeBytes(original)
    }

    private fun edited(record: InstallRecord, from: String, to: String): ByteArray {
        val header = record.headerBytes.decodeToString()
        assertTrue(Regex(from) in header, from)
        return InstallRecord(header.replaceFirst(Regex(from), to).encodeToByteArray(), record.wrapped).toBytes()
    }

    private fun edit(from: String, to: String) {
        assertTrue(original.isNotEmpty())
        rewrite(installed) { files -> files + (Names.INSTALL to edited(InstallRecord.parse(files.getValue(Names.INSTALL)), from, to)) }
    }

    @Test
    fun `editing the header`() {
        for ((from, to) in listOf("\"constraints\":\\{" to "\"constraints\":{\"not_before\":0", "\"device_id\":\"" to "\"device_id\":\"x")) {
            edit(from, to)
            assertThrows(TamperedError::class.java) { loader.open(installed) }
            installed.writeBytes(original)
        }
        for ((from, to) in listOf("\"epoch\":[0-9]+" to "\"epoch\":9", "acme/detector" to "acme/other", "\"manifest\":\"[0-9a-f]{2}" to "\"manifest\":\"00")) {
            edit(from, to)
            refused<TamperedError>("made for another release")
        }
    }

    @Test
    fun `leaving a file out, and making one longer`() {
        assertTrue(original.isNotEmpty())
        rewrite(installed) { it - "payload/1" }
        refused<TamperedError>("not those that its manifest lists")
        rewrite(installed) { it + ("payload/1" to it.getValue("payload/1") + 0) }
        refused<TamperedError>("not those that its manifest lists")
        rewrite(installed) { it - Names.SIGNATURE }
        refused<MalformedError>("has no model.sig")
    }

    @Test
    fun `a lease moves an end and nothing else`() {
        assertTrue(original.isNotEmpty())
        val lease = File("$installed.lease")
        var record: InstallRecord? = null
        rewrite(installed) { files -> files.also { record = InstallRecord.parse(it.getValue(Names.INSTALL)) } }
        lease.writeBytes(ByteArray(65_537))
        refused<MalformedError>("lease: too long")
        lease.writeText("{}")
        refused<MalformedError>("is missing")
        // Without an end it is none; and this bundle lists nobody who could give one.
        lease.writeBytes(record!!.toBytes())
        refused<TamperedError>("says something else than the installation")
        lease.writeBytes(edited(record!!, "\"constraints\":\\{\\}", "\"constraints\":{\"not_after\":9999999999}"))
        refused<TamperedError>("says something else than the installation")
        lease.writeBytes(edited(record!!, "\"installation\":\"[0-9a-f]{4}", "\"installation\":\"0000"))
        loader.open(installed).use { assertEquals(vector.files, Vector.digests(it)) }
    }

    @Test
    fun `a device without room says so, and keeps what it has`() {
        assertTrue(original.isNotEmpty())
        Replacement(File(folder, "large")).use { file ->
            val error = assertThrows(StorageError::class.java) { file.requireRoom(Long.MAX_VALUE) }
            assertTrue("no room" in error.message!!)
        }
        val occupied = File(folder, "occupied/full").apply { mkdirs() }
        File(occupied, "x").writeText("x")
        assertThrows(StorageError::class.java) { loader.install(vector.bundle, occupied) }
        assertTrue(occupied.isDirectory && folder.list()!!.none { it.endsWith(".partial") })
        loader.open(installed).close()
    }
}
