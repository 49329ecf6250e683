package dev.modelkeep

import android.content.res.AssetFileDescriptor
import android.os.ParcelFileDescriptor
import dev.modelkeep.bundle.Bundle
import dev.modelkeep.bundle.Installation
import dev.modelkeep.bundle.Installer
import dev.modelkeep.bundle.Unlocked
import dev.modelkeep.bundle.UnlockedBundle
import dev.modelkeep.container.Archive
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.Container
import dev.modelkeep.container.Form
import dev.modelkeep.keys.Constraints
import dev.modelkeep.keys.Grants
import dev.modelkeep.memory.ModelMemory
import java.io.ByteArrayInputStream
import java.io.File

/**
 * Opens sealed models with the key of this device. Nothing of a model is handed out before every check passed.
 *
 *     val loader = SecureModelLoader(KeystoreIdentity.open("model-key"), Verifier(publisherPem, "acme/detector"))
 *     loader.open(File(filesDir, "detector.keep")).use { model -> Interpreter(model.buffer()).use { ... } }
 *
 * Opening blocks while it reads and decrypts: call it from a worker thread. Interrupting that thread cancels it with an
 * InterruptedException. A loader may be used by several threads at once.
 *
 * @param identity the key of this device.
 * @param verifier whom to trust, and which model and release to accept.
 * @param posture names of what the app found this device to be, for grants that demand some.
 * @param stateFile where this key remembers what it installed; needed for installations. One file for each key,
 *   in a folder that is not backed up, such as `Context.getNoBackupFilesDir()`.
 */
public class SecureModelLoader @JvmOverloads constructor(
    private val identity: Identity,
    private val verifier: Verifier,
    private val posture: Set<String> = emptySet(),
    private val stateFile: File? = null,
) {
    /**
     * Opens a bundle file, or one that [install] wrote. The grant is looked for in the bundle and in the file next
     * to it, `NAME.grants`; an installation carries its own.
     *
     * @param grants look for the grant in this file instead.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws KeepError the subclass says what to do next.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun open(file: File, grants: File? = null): OpenModel {
        if (!Installation.isOne(file)) return unlocked({ Container.openBundle(file) }, { sets(file, grants, it) }, ::load)
        if (grants != null) throw UsageError("an installation carries its grant", "leave the grants file out")
        return Installation(BundleFile.open(file)).use {
            it.unlock(verifier, identity::localKey, requireState(), posture).use(::load)
        }
    }

    /**
     * Checks a bundle completely and writes it to [target], in place of any file that is there, encrypted under a
     * key that no other device has. From then on [open] takes that file: it needs no digests, and older epochs of
     * the model are refused on this device, as bundles to install and as installations.
     *
     * @throws RollbackError a higher epoch of this model was installed before.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws UsageError the loader has no state file.
     * @throws KeepError the subclass says what to do next; nothing was installed.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun install(bundle: File, target: File, grants: File? = null) {
        val state = requireState()
        unlocked({ Container.openBundle(bundle) }, { sets(bundle, grants, it) }) { unlocked ->
            identity.localKey().use { Installer(unlocked, it, state).install(target) }
        }
    }

    /**
     * Opens a bundle that is an asset of the app, stored without compression. [descriptor] stays the caller's.
     *
     * @param grants lines of a grants file, to be looked at after the grants in the bundle.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws KeepError the subclass says what to do next.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun open(descriptor: AssetFileDescriptor, grants: ByteArray = ByteArray(0)): OpenModel =
        open(BundleFile.open(descriptor), grants)

    /**
     * Opens a bundle that another app or a document provider handed over as a file. [descriptor] stays the caller's.
     *
     * @param grants lines of a grants file, to be looked at after the grants in the bundle.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws UsageError the descriptor is a pipe or a socket.
     * @throws KeepError the subclass says what to do next.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun open(descriptor: ParcelFileDescriptor, grants: ByteArray = ByteArray(0)): OpenModel =
        open(BundleFile.open(descriptor), grants)

    private fun open(file: BundleFile, grants: ByteArray): OpenModel =
        unlocked(
            { Archive.open(file, Form.BUNDLE) },
            { arrayOf(it.embeddedGrants(), Grants.lines(ByteArrayInputStream(grants))) },
            ::load,
        )

    /**
     * Checks signature, leaves and whole-file digests of a bundle without opening it, for example after a
     * download. Needs no grant and no authentication.
     *
     * @throws RefusedError the bundle is not what a trusted publisher signed.
     * @throws MalformedError not a bundle.
     */
    @Throws(KeepError::class, InterruptedException::class)
    public fun verify(file: File): Unit =
        Bundle(Container.openBundle(file)).use { it.verify(verifier).checkDigests() }

    /**
     * Grants a bundle to another device, under the authority of this identity's own grant.
     *
     * @param to who may open the model.
     * @param mayDelegate whether they may grant it to others.
     * @param notAfter last second since 1970-01-01 UTC at which the new grant counts, or null; never later than
     *   that of the own grant.
     * @return one line for the file `NAME.grants` of the recipient, its line feed included.
     * @throws RefusedError the own grant does not allow delegation, or its constraints are not met.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun grant(
        file: File,
        to: Recipient,
        mayDelegate: Boolean = false,
        notAfter: Long? = null,
        grants: File? = null,
    ): ByteArray =
        unlocked({ Container.openBundle(file) }, { sets(file, grants, it) }) { bundle ->
            if (notAfter != null && notAfter !in 0..Constraints.LATEST_TIME) {
                throw UsageError("constraint: time must lie between 1970 and 9999")
            }
            val manifest = bundle.manifest
            if (manifest.grantIssuers.isNotEmpty()) throw UsageError("this bundle accepts signed grants only")
            val narrowed = bundle.constraints.delegated(Constraints(null, notAfter, emptyList(), mayDelegate))
            to.grant(manifest.bundle, bundle.dataKey, narrowed).toBytes() + '\n'.code.toByte()
        }

    private fun requireState(): File =
        stateFile ?: throw UsageError("an installation needs the device's state", "pass a stateFile to the loader")

    private fun sets(file: File, grants: File?, bundle: Bundle): Array<Sequence<ByteArray>> {
        if (grants != null) return arrayOf(Grants.lines(grants))
        val sidecar = File(file.path + ".grants")
        return arrayOf(bundle.embeddedGrants(), if (sidecar.exists()) Grants.lines(sidecar) else emptySequence())
    }

    private fun <T> unlocked(
        openContainer: () -> Container,
        grantSets: (Bundle) -> Array<Sequence<ByteArray>>,
        use: (UnlockedBundle) -> T,
    ): T =
        Bundle(openContainer()).use { bundle ->
            val verified = bundle.verify(verifier)
            verified.unlock(identity, Grants.all(*grantSets(bundle)), posture).use(use)
        }

    private fun load(bundle: Unlocked): OpenModel {
        val inner = bundle.innerManifest()
        val memory = LinkedHashMap<String, ModelMemory>()
        try {
            inner.paths.forEachIndexed { index, path ->
                val allocated = ModelMemory.allocate(bundle.manifest.members[index + 1].size)
                memory[path] = allocated
                bundle.decrypt(index + 1, allocated.target)
            }
        } catch (error: Throwable) {
            memory.values.forEach(ModelMemory::close)
            throw error
        }
        return OpenModel(report(bundle), inner.format, inner.entries, memory)
    }

    private fun report(bundle: Unlocked): OpenModel.Report {
        val manifest = bundle.manifest
        return OpenModel.Report(
            manifest.model,
            manifest.release,
            manifest.epoch,
            manifest.bundle.toHexadecimal(),
            bundle.signed.signer,
            bundle.deviceId,
            bundle.constraints.notAfter,
        )
    }
}
