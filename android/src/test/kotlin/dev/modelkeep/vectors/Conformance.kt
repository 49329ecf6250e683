package dev.modelkeep.vectors

import dev.modelkeep.Authentication
import dev.modelkeep.FleetIdentity
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.Recipient
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Verifier
import dev.modelkeep.fake.FakePhone
import dev.modelkeep.fake.SoftwareKeys
import java.io.File
import kotlin.system.exitProcess

/**
 * What other implementations call to compare notes:
 *
 *     open FOLDER                                    opens every bundle of an index, says where it disagrees
 *     grant BUNDLE PUBLISHER.pem ADMIN.pem LINE...   prints grants for recipients: public keys, or fleet device keys
 *     install BUNDLE PUBLISHER.pem DEVICE TARGET STATE   installs for a device: P-256 in PEM, or a fleet's
 */
internal object Conformance {
    @JvmStatic
    fun main(arguments: Array<String>) {
        FakePhone().switchOn()
        val isGood = when (arguments[0]) {
            "open" -> open(File(arguments[1]))
            "install" -> install(arguments.drop(1).map(::File))
            else -> grant(arguments.drop(1))
        }
        exitProcess(if (isGood) 0 else 1)
    }

    private fun open(folder: File): Boolean {
        val vectors = Vector.all(folder)
        val disagreements = vectors.mapNotNull { vector ->
            var files: Map<String, String>? = null
            val error = vector.outcome { files = Vector.digests(it) }
            if (error == vector.error && files == vector.files) null
            else "${vector.name}: expected ${vector.error ?: vector.files}, found ${error ?: files}"
        }
        disagreements.forEach(::println)
        println("${vectors.size} bundles, ${disagreements.size} disagreements")
        return vectors.isNotEmpty() && disagreements.isEmpty()
    }

    private fun install(files: List<File>): Boolean {
        val (bundle, publisher, device, target, state) = files
        val secret = device.readText()
        val isFleet = secret.startsWith("modelkeep-fleet-device")
        val identity = if (isFleet) FleetIdentity.parse(secret) else SoftwareKeys.intoKeystore(secret, "device")!!
        val verifier = Verifier(publisher.readText(), Verifier.UNSAFE_ANY_MODEL)
        SecureModelLoader(identity, verifier, state.absoluteFile.parentFile).install(bundle, target)
        check(state.exists()) { "the state has another name" }
        return true
    }

    private fun grant(arguments: List<String>): Boolean {
        val (bundle, publisher, admin) = arguments.map(::File)
        val identity = SoftwareKeys.intoKeystore(admin.readText(), "admin")
            ?: KeystoreIdentity.enrol("admin", KeyProtection(Authentication.NONE))
        val loader = SecureModelLoader(identity, Verifier(publisher.readText(), Verifier.UNSAFE_ANY_MODEL), null)
        for (line in arguments.drop(3)) {
            val isFleet = line.startsWith("modelkeep-fleet-device")
            val recipient = if (isFleet) FleetIdentity.parse(line).recipient() else Recipient.parse(line)
            print(loader.grant(bundle, recipient).decodeToString())
        }
        return true
    }
}
