package dev.modelkeep.vectors

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import dev.modelkeep.LegacyModel
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Verifier
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.fake.SoftwareKeys
import com.sun.management.OperatingSystemMXBean
import java.io.File
import java.lang.management.ManagementFactory
import java.lang.management.MemoryType
import javax.crypto.Cipher
import javax.crypto.KeyGenerator

/**
 * Measures what opening a model costs: `BUNDLE PUBLISHER.pem DEVICE.pem` for a sealed model, and then for the same
 * model installed; `SIZE` in MiB for the
 * way of the tutorials, which decrypts the whole model with a key in the Keystore.
 */
internal object Benchmark {
    private const val ROUNDS = 20
    private const val MIB = 1048576.0

    @JvmStatic
    fun main(arguments: Array<String>) {
        val phone = FakePhone().switchOn()
        if (arguments.size == 1) tutorial(phone, arguments[0].toInt()) else sealed(phone, arguments.map(::File))
    }

    private fun sealed(phone: FakePhone, files: List<File>) {
        val (bundle, publisher, device) = files
        val identity = SoftwareKeys.intoKeystore(device.readText(), "key")!!
        val states = File(bundle.path + ".states")
        val installed = File(bundle.path + ".installed")
        val verifier = Verifier(publisher.readText(), Verifier.UNSAFE_ANY_MODEL)
        val loader = SecureModelLoader(identity, verifier, states)
        println("bundle")
        open(phone, loader, bundle)
        println("installing")
        phone.forgetCalls()
        report(phone, bundle.length()) { loader.install(bundle, installed) }
        println("installation")
        open(phone, loader, installed)
        listOf(installed, File("$installed.lock")).forEach(File::delete)
        states.deleteRecursively()
    }

    private fun open(phone: FakePhone, loader: SecureModelLoader, file: File) = repeat(ROUNDS) {
        phone.forgetCalls()
        report(phone, file.length()) { loader.open(file).close() }
        android.os.SharedMemory.given.clear()
    }

    private fun tutorial(phone: FakePhone, size: Int) {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder("aes", purposes)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .build()
        val key = KeyGenerator.getInstance("AES", "AndroidKeyStore").apply { init(spec) }.generateKey()
        val cipher = Cipher.getInstance("AES/GCM/NoPadding").apply { init(Cipher.ENCRYPT_MODE, key) }
        val file = File.createTempFile("old", ".enc")
        file.writeBytes(cipher.iv + cipher.doFinal(ByteArray(size shl 20)))
        repeat(2) {
            phone.forgetCalls()
            report(phone, file.length()) { LegacyModel.open(file, key).close() }
        }
        file.delete()
    }

    private fun processor(): Long =
        (ManagementFactory.getOperatingSystemMXBean() as OperatingSystemMXBean).processCpuTime

    private fun report(phone: FakePhone, bytes: Long, action: () -> Unit) {
        System.gc()
        val heap = ManagementFactory.getMemoryPoolMXBeans().filter { it.type == MemoryType.HEAP }
        val before = heap.sumOf { it.usage.used }
        heap.forEach { it.resetPeakUsage() }
        val processor = processor()
        val start = System.nanoTime()
        action()
        val seconds = (System.nanoTime() - start) / 1e9
        val busy = (processor() - processor) / 1e9
        val peak = heap.sumOf { it.peakUsage.used } - before
        println(
            "%.2f GB/s, %.0f ms, %.2f GB for each second of a core, heap peak +%.1f MiB of %.0f, calls %s".format(
                bytes / seconds / 1e9, seconds * 1e3, bytes / busy / 1e9,
                peak / MIB, Runtime.getRuntime().maxMemory() / MIB,
                phone.calls.groupingBy { it }.eachCount(),
            ),
        )
    }
}
