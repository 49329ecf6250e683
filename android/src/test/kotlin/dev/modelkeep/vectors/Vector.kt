package dev.modelkeep.vectors

import android.content.res.AssetFileDescriptor
import dev.modelkeep.Authentication
import dev.modelkeep.CertificateRoots
import dev.modelkeep.FleetIdentity
import dev.modelkeep.Identity
import dev.modelkeep.KeepError
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.OpenModel
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Verifier
import dev.modelkeep.container.Container
import dev.modelkeep.container.Names
import dev.modelkeep.document.Manifest
import dev.modelkeep.fake.SoftwareKeys
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import java.io.File
import java.nio.file.Files
import java.security.MessageDigest

/** One entry of an index of test vectors; vectors/README.md says what its members mean. */
internal class Vector(private val folder: File, private val members: Map<*, *>) {
    val name = members["name"] as String
    val bundle = File(folder, members["bundle"] as String)
    private val grants = (members["grants"] as String?)?.let { File(folder, it) }

    val now = members["now"] as Long

    /** What the device remembers, where it has begun to. */
    private val state = (members["state"] as String?)?.let { File(folder, it) }

    /** What a reader must make of the bundle: the name of an error, or null. */
    val error = members["error"] as String?

    /** Path to SHA-256 of every file; null where an error is expected. */
    val files: Map<String, String>? = (members["files"] as Map<*, *>?)?.entries?.associate { (path, file) ->
        path as String to (file as Map<*, *>)["sha256"] as String
    }
    val deviceId = members["device_id"] as String?
    val inputs = members["inputs"] as List<*>?

    val publisher get() = members["trusted"] as String
    val identityText get() = (members["identity"] as Map<*, *>).values.first() as String

    override fun toString() = name

    /** Opens the bundle, or another file in its place. */
    fun open(file: File = bundle): OpenModel = identity().use { loader(it).open(file, grants) }

    fun open(asset: AssetFileDescriptor): OpenModel = identity().use { loader(it).open(asset) }

    fun verify() = identity().use { loader(it).verify(bundle) }

    /** Returns the name of the error that opening gives, or null. */
    fun outcome(check: (OpenModel) -> Unit): String? = identity().use { identity ->
        errorOf { loader(identity).open(bundle, grants).use(check) }
    }

    private fun loader(identity: Identity): SecureModelLoader {
        val states = Files.createTempDirectory("states").toFile().apply { deleteOnExit() }
        state?.copyTo(File(states, "${sha256(identity.publicValue).toHexadecimal()}.state"))
        return SecureModelLoader(identity, verifier(), states)
    }

    fun verifier(clock: () -> Long = { now }): Verifier {
        val trusted = members["trusted"] as String
        val isRoot = "BEGIN CERTIFICATE" in trusted
        val lowest = members["minimum_epoch"] as Long
        val model = members["model"] as String? ?: Verifier.UNSAFE_ANY_MODEL
        val requireInstalled = members["require_installed"] == true
        return Verifier(
            if (isRoot) emptyList() else listOf(trusted), model, lowest, members["maximum_age"] as Long?, requireInstalled, clock,
            roots = if (isRoot) listOf(CertificateRoots(trusted)) else emptyList(),
        )
    }

    fun identity(): Identity {
        val (kind, secret) = (members["identity"] as Map<*, *>).entries.first()
        val given = when (kind) {
            "pem" -> SoftwareKeys.intoKeystore(secret as String, "vector")
            "fleet" -> FleetIdentity.parse(secret as String)
            else -> null
        }
        // Keys of a kind that Android's Keystore does not have belong to somebody else.
        return given ?: KeystoreIdentity.enrol("nobody", KeyProtection(Authentication.NONE))
    }

    companion object {
        fun all(folder: File): List<Vector> = entries(folder, "bundles").map { Vector(folder, it) }

        fun entries(folder: File, kind: String): List<Map<*, *>> {
            val index = CanonicalJson.decodeLenient(File(folder, "index.json").readBytes(), "index") as Map<*, *>
            return (index[kind] as List<*>).map { it as Map<*, *> }
        }

        /** Returns the name of the error that [action] throws, or null. */
        fun errorOf(action: () -> Unit): String? =
            try {
                action()
                null
            } catch (error: KeepError) {
                error.javaClass.simpleName
            }

        fun manifest(vector: Vector): Manifest =
            Container.openBundle(vector.bundle).use { Manifest.parse(it.read(Names.MANIFEST)) }

        /** Returns the SHA-256 of every file of an open model. */
        fun digests(model: OpenModel): Map<String, String> = model.paths.associateWith { path ->
            val digest = MessageDigest.getInstance("SHA-256")
            digest.update(model.buffer(path))
            digest.digest().toHexadecimal()
        }
    }
}
