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
 */
internal object Conformance {
    @JvmStatic
    fun main(arguments: Array<String>) {
        FakePhone().switchOn()
        val isGood = when (arguments[0]) {
            "open" -> open(File(arguments[1]))
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

    private fun grant(arguments: List<String>): Boolean {
        val (bundle, publisher, admin) = arguments.map(::File)
        val identity = SoftwareKeys.intoKeystore(admin.readText(), "admin")
            ?: KeystoreIdentity.enrol("admin", KeyProtection(Authentication.NONE))
        val loader = SecureModelLoader(identity, Verifier(publisher.readText(), Verifier.UNSAFE_ANY_MODEL))
        for (line in arguments.drop(3)) {
            val isFleet = line.startsWith("modelkeep-fleet-device")
            val recipient = if (isFleet) FleetIdentity.parse(line).recipient() else Recipient.parse(line)
            print(loader.grant(bundle, recipient).decodeToString())
        }
        return true
    }
}
