package dev.modelkeep.loader

import dev.modelkeep.MalformedError
import dev.modelkeep.container.Container
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.vectors.Vector
import java.io.File
import java.nio.file.Files
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** The folder form of bundles. */
internal class FolderTest {
    @TempDir
    lateinit var folder: File

    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "folder" }

    @BeforeEach
    fun unpack() {
        FakePhone().switchOn()
        Container.openBundle(vector.bundle).use { container ->
            for (name in container.sizes.keys) {
                File(folder, name).apply { parentFile.mkdirs() }.writeBytes(container.read(name))
            }
        }
    }

    @Test
    fun `an unpacked bundle opens as it did in the archive`() {
        vector.open(folder).use { assertEquals(vector.files, Vector.digests(it)) }
    }

    @Test
    fun `what does not belong there is refused`() {
        for (name in listOf("notes.txt", "leaves/99", "grants/00", "other/0", "payload/0/x")) {
            val stranger = File(folder, name)
            if (name == "payload/0/x") File(folder, "payload/0").delete()
            stranger.parentFile.mkdirs()
            stranger.writeText("x")
            assertThrows(MalformedError::class.java, { vector.open(folder) }, name)
            stranger.delete()
        }
    }

    @Test
    fun `links are not followed`() {
        val target = File(folder.parentFile, "elsewhere").apply { delete() }
        File(folder, "payload/1").renameTo(target)
        Files.createSymbolicLink(File(folder, "payload/1").toPath(), target.toPath())
        assertThrows(MalformedError::class.java) { vector.open(folder) }
        target.delete()
    }
}
