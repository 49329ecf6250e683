package dev.modelkeep.loader

import android.content.res.AssetFileDescriptor
import android.os.ParcelFileDescriptor
import dev.modelkeep.UsageError
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.vectors.Vector
import java.io.File
import java.io.FileDescriptor
import java.io.RandomAccessFile
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

internal class AssetTest {
    @TempDir
    lateinit var folder: File

    @Test
    fun `a bundle inside an app's package is opened in place`() {
        FakePhone().switchOn()
        val vector = Vector.all(File("../vectors/v1")).first { it.name == "sha256-leaves" }
        val bundle = vector.bundle.readBytes()
        val around = File(folder, "app.apk").apply { writeBytes(ByteArray(1234) + bundle + ByteArray(99)) }
        RandomAccessFile(around, "r").use { file ->
            val asset = Asset(file.fd, 1234, bundle.size.toLong())
            vector.open(asset).use { assertEquals(vector.files, Vector.digests(it)) }
            // The descriptor is still the caller's.
            assertEquals(0, file.read())
            val compressed = Asset(file.fd, 0, AssetFileDescriptor.UNKNOWN_LENGTH)
            assertThrows(UsageError::class.java) { vector.open(compressed) }
        }
    }

    /** An asset as the framework describes it, without the framework's bookkeeping of descriptors. */
    private class Asset(private val descriptor: FileDescriptor, start: Long, length: Long) :
        AssetFileDescriptor(ParcelFileDescriptor(null as ParcelFileDescriptor?), start, length) {
        override fun getFileDescriptor() = descriptor
    }
}
