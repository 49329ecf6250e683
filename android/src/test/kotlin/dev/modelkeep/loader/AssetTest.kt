package dev.modelkeep.loader

import android.content.res.AssetFileDescriptor
import android.os.ParcelFileDescriptor
import dev.modelkeep.MalformedError
import dev.modelkeep.SecureModelLoader
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
    private val vector = Vector.all(File("../vectors/v1")).first { it.name == "sha256-leaves" }

    @TempDir
    lateinit var folder: File

    @Test
    fun `a bundle inside an app's package is opened in place`() {
        FakePhone().switchOn()
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

    @Test
    fun `a bundle inside an app's package is installed from there`() {
        FakePhone().switchOn()
        val bundle = vector.bundle.readBytes()
        val around = File(folder, "app.apk").apply { writeBytes(ByteArray(1234) + bundle) }
        val installed = File(folder, "installed.keep")
        val loader = SecureModelLoader(vector.identity(), vector.verifier(), folder)
        RandomAccessFile(around, "r").use { file ->
            loader.install(Asset(file.fd, 1234, bundle.size.toLong()), installed)
            loader.open(installed).use { assertEquals(vector.files, Vector.digests(it)) }
            assertThrows(MalformedError::class.java) { loader.install(Asset(file.fd, 1233, bundle.size.toLong()), installed) }
        }
    }

    @Test
    fun `a file that another app hands over is opened and installed in place`() {
        FakePhone().switchOn()
        val installed = File(folder, "installed.keep")
        val loader = SecureModelLoader(vector.identity(), vector.verifier(), folder)
        RandomAccessFile(vector.bundle, "r").use { file ->
            val given = Given(file.fd, file.length())
            loader.open(given).use { assertEquals(vector.files, Vector.digests(it)) }
            loader.install(given, installed)
            loader.open(installed).use { assertEquals(vector.files, Vector.digests(it)) }
            // What a pipe says of its size.
            assertThrows(UsageError::class.java) { loader.open(Given(file.fd, -1)) }
            assertThrows(UsageError::class.java) { loader.install(Given(file.fd, -1), installed) }
        }
    }

    private class Given(private val descriptor: FileDescriptor, private val size: Long) :
        ParcelFileDescriptor(null as ParcelFileDescriptor?) {
        override fun getFileDescriptor() = descriptor

        override fun getStatSize() = size
    }

    /** An asset as the framework describes it, without the framework's bookkeeping of descriptors. */
    private class Asset(private val descriptor: FileDescriptor, start: Long, length: Long) :
        AssetFileDescriptor(ParcelFileDescriptor(null as ParcelFileDescriptor?), start, length) {
        override fun getFileDescriptor() = descriptor
    }
}
