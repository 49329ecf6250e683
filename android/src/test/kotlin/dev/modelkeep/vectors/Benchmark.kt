package dev.modelkeep.vectors

import android.os.SharedMemory
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import com.sun.management.OperatingSystemMXBean
import dev.modelkeep.LegacyModel
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Verifier
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.fake.SoftwareKeys
import java.io.File
import java.lang.management.ManagementFactory
import java.lang.management.MemoryType
import javax.crypto.Cipher
import javax.crypto.KeyGenerator

/**
 * Measures one thing in a JVM of its own, since the first time is worth knowing. `android/benchmark` calls it:
 *
 *     open|install|installation BUNDLE PUBLISHER.pem DEVICE.pem   opens, installs, or opens what was installed
 *     tutorial SIZE                                               decrypts so many MiB with a key in the Keystore
 */
internal object Benchmark {
    private const val ROUNDS = 12
    private const val MIB = 1048576.0
    private val heap = ManagementFactory.getMemoryPoolMXBeans().filter { it.type == MemoryType.HEAP }
    private val machine = ManagementFactory.getOperatingSystemMXBean() as OperatingSystemMXBean

    /** What one round took: in seconds by the clock and of all processors, and in bytes of heap beyond what was there before. */
    private class Round(val seconds: Double, val busy: Double, val heap: Long, val calls: List<String>)

    @JvmStatic
    fun main(arguments: Array<String>) {
        val phone = FakePhone().switchOn()
        if (arguments[0] == "tutorial") return tutorial(phone, arguments[1].toInt())
        val (bundle, publisher, device) = arguments.drop(1).map(::File)
        val identity = SoftwareKeys.intoKeystore(device.readText(), "key")!!
        val folder = File(bundle.path + ".benchmark")
        val installed = File(folder, "installed.keep")
        val loader = SecureModelLoader(identity, Verifier(publisher.readText(), Verifier.UNSAFE_ANY_MODEL), folder)
        if (arguments[0] == "installation") loader.install(bundle, installed)
        val rounds = List(ROUNDS) {
            round(phone) {
                when (arguments[0]) {
                    "open" -> loader.open(bundle).close()
                    "install" -> loader.install(bundle, installed)
                    else -> loader.open(installed).close()
                }
            }
        }
        folder.deleteRecursively()
        report(arguments[0], bundle.length(), rounds)
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
        report("tutorial", file.length(), List(2) { round(phone) { LegacyModel.open(file, key).close() } })
        file.delete()
    }

    private fun round(phone: FakePhone, action: () -> Unit): Round {
        phone.forgetCalls()
        System.gc()
        val before = heap.sumOf { it.usage.used }
        heap.forEach { it.resetPeakUsage() }
        val processor = machine.processCpuTime
        val start = System.nanoTime()
        action()
        val seconds = (System.nanoTime() - start) / 1e9
        val busy = (machine.processCpuTime - processor) / 1e9
        SharedMemory.given.clear()
        return Round(seconds, busy, heap.sumOf { it.peakUsage.used } - before, phone.calls.toList())
    }

    private fun report(what: String, bytes: Long, rounds: List<Round>) {
        val warm = rounds.drop(rounds.size / 2)
        val seconds = warm.map { it.seconds }.sorted()[warm.size / 2]
        val busy = warm.map { it.busy }.sorted()[warm.size / 2]
        val first = rounds.first()
        println(
            "%-12s first %.2f GB/s (%.2f for each second of a core), then %.2f (%.2f); heap +%.1f MiB, first +%.1f; calls %s".format(
                what, bytes / first.seconds / 1e9, bytes / first.busy / 1e9, bytes / seconds / 1e9, bytes / busy / 1e9,
                warm.maxOf { it.heap } / MIB, first.heap / MIB, warm.last().calls.groupingBy { it }.eachCount(),
            ),
        )
    }
}
