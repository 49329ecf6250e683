package dev.modelkeep.vectors

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import dev.modelkeep.LegacyModel
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Verifier
import dev.modelkeep.document.LeafAlgorithm
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.fake.SoftwareKeys
import java.io.File
import javax.crypto.Cipher
import javax.crypto.KeyGenerator

/**
 * Measures one thing in a JVM of its own, since the first time is worth knowing. `android/benchmark` calls it:
 *
 *     open|install|installation LEAF BUNDLE PUBLISHER.pem DEVICE.pem BARE   opens, installs, or opens what `install` left there;
 *                                                                           BARE is what the next one said
 *     bare open|install|installation LEAF BUNDLE   gives the seconds that the bare parts take in a new JVM, by the clock and of the processors
 *     pieces SIZE      gives what the parts take, for so many MiB
 *     tutorial SIZE    decrypts so many MiB with a key in the Keystore, as tutorials do
 */
internal object Benchmark {
    private const val ROUNDS = 10
    private const val MIB = 1048576.0

    @JvmStatic
    fun main(arguments: Array<String>) {
        val phone = FakePhone().switchOn()
        when (arguments[0]) {
            "tutorial" -> tutorial(phone, arguments[1].toInt())
            "pieces" -> Bare.printPieces(arguments[1].toInt())
            "bare" -> Measured.of(bare(arguments[1], arguments[2], File(arguments[3]))).let { println("${it.seconds} ${it.busy}") }
            else -> compare(phone, arguments)
        }
    }

    private fun bare(what: String, leaf: String, bundle: File): () -> Unit {
        val algorithm = if (what == "installation") null else LeafAlgorithm.valueOf(leaf.uppercase())
        val bare = Bare(bundle.absoluteFile.parentFile, (bundle.length() / MIB).toInt(), algorithm)
        return if (what == "install") bare::install else bare::open
    }

    private fun compare(phone: FakePhone, arguments: Array<String>) {
        val (what, leaf) = arguments
        val (bundle, publisher, device) = arguments.drop(2).map(::File)
        val action = action(what, bundle, publisher, device)
        val rounds = ArrayList<Measured>()
        val others = ArrayList<Measured>()
        val bare by lazy { bare(what, leaf, bundle) }
        repeat(ROUNDS) {
            phone.forgetCalls()
            rounds += Measured.of(action)
            val calls = phone.calls.size
            others += Measured.of(bare)
            check(calls == phone.calls.size)
        }
        report(what, bundle.length(), rounds, others, arguments.last(), phone.calls.groupingBy { it }.eachCount())
    }

    private fun action(what: String, bundle: File, publisher: File, device: File): () -> Unit {
        val identity = SoftwareKeys.intoKeystore(device.readText(), "key")!!
        val folder = File(bundle.path + ".benchmark")
        val installed = File(folder, "installed.keep")
        val loader = SecureModelLoader(identity, Verifier(publisher.readText(), Verifier.UNSAFE_ANY_MODEL), folder)
        if (what != "installation") folder.deleteRecursively()
        return {
            when (what) {
                "open" -> loader.open(bundle).close()
                "install" -> loader.install(bundle, installed)
                else -> loader.open(installed).close()
            }
        }
    }

    /** A row of the table: GB/s by the clock, and how many times the processor time of the bare parts that is. */
    private fun report(
        what: String, bytes: Long, rounds: List<Measured>, others: List<Measured>, cold: String, calls: Map<String, Int>,
    ) {
        val (coldSeconds, coldBusy) = cold.split(' ').map(String::toDouble)
        val first = rounds.first()
        val (seconds, busy) = warm(rounds)
        val (bareSeconds, bareBusy) = warm(others)
        println(
            "%s | %.2f (bare %.2f, %.1fx) | %.2f (bare %.2f, %.1fx) | %.2f (bare %.2f) | +%.1f MiB, first +%.1f | %s |".format(
                what.padEnd(12), bytes / first.seconds / 1e9, bytes / coldSeconds / 1e9, first.busy / coldBusy,
                bytes / seconds / 1e9, bytes / bareSeconds / 1e9, busy / bareBusy, bytes / busy / 1e9, bytes / bareBusy / 1e9,
                rounds.drop(ROUNDS / 2).maxOf { it.heap } / MIB, first.heap / MIB, calls.map { "${it.value} ${it.key}" }.joinToString(),
            ),
        )
    }

    /** The median of the second half: seconds by the clock and of the processors. */
    private fun warm(rounds: List<Measured>): Pair<Double, Double> {
        val half = rounds.drop(ROUNDS / 2)
        return half.map { it.seconds }.sorted()[half.size / 2] to half.map { it.busy }.sorted()[half.size / 2]
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
        phone.forgetCalls()
        val taken = Measured.of { LegacyModel.open(file, key).close() }
        println("tutorial: %.2f GB/s, heap +%.1f MiB, %d calls".format(file.length() / taken.seconds / 1e9, taken.heap / MIB, phone.calls.size))
        file.delete()
    }
}
