package dev.modelkeep

import android.content.Context
import android.content.res.AssetFileDescriptor
import android.os.ParcelFileDescriptor
import dev.modelkeep.bundle.Bundle
import dev.modelkeep.bundle.Installation
import dev.modelkeep.bundle.Installer
import dev.modelkeep.bundle.Remembered
import dev.modelkeep.bundle.Unlocked
import dev.modelkeep.bundle.UnlockedBundle
import dev.modelkeep.container.Archive
import dev.modelkeep.container.BundleFile
import dev.modelkeep.container.Container
import dev.modelkeep.container.Form
import dev.modelkeep.keys.Constraints
import dev.modelkeep.keys.Grants
import dev.modelkeep.memory.ModelMemory
import dev.modelkeep.state.DeviceState
import java.io.ByteArrayInputStream
import java.io.File

/**
 * Opens sealed models with the key of this device. Nothing of a model is handed out before every check passed.
 *
 *     val identity = DeviceKey.openOrEnrol(context, "model-key")
 *     val loader = SecureModelLoader(context, identity, Verifier(publisherPem, "acme/detector"))
 *     loader.open(File(filesDir, "detector.keep")).use { model -> Interpreter(model.buffer()).use { ... } }
 *
 * Opening blocks while it reads and decrypts: call it from a worker thread. Interrupting that thread cancels it with an
 * InterruptedException. A loader may be used by several threads at once.
 *
 * @param identity the key of this device.
 * @param verifier whom to trust, and which model and release to accept.
 * @param stateFolder where keys remember what they installed, each in a file of its own: a folder that is not backed up.
 *   Without one nothing can be installed, and old releases and old trust files come back unnoticed.
 * @param posture what the app found the device to be, for grants that demand something.
 */
public class SecureModelLoader private constructor(
    private val identity: Identity,
    private val verifier: Verifier,
    private val stateFolder: File?,
    private val posture: Set<String>,
    private val progress: Progress?,
) {
    @JvmOverloads
    public constructor(identity: Identity, verifier: Verifier, stateFolder: File?, posture: Set<String> = emptySet()) :
        this(identity, verifier, stateFolder, posture, null)

    /** Remembers in the app's own files that are not backed up. */
    public constructor(context: Context, identity: Identity, verifier: Verifier) :
        this(identity, verifier, File(context.noBackupFilesDir, "modelkeep"))

    /** Returns a loader that does the same and says how far it is, while it opens and installs. */
    public fun reporting(progress: Progress): SecureModelLoader =
        SecureModelLoader(identity, verifier, stateFolder, posture, progress)

    /**
     * Opens a bundle file or folder, or what [install] wrote. The grant is looked for in the bundle and in the file next
     * to it, `NAME.grants`; an installation carries its own. Releases older than one that was installed are refused.
     *
     * @param grants look for the grant in this file instead.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws RollbackError older than what counts here.
     * @throws KeepError the subclass says what to do next.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun open(file: File, grants: File? = null): OpenModel {
        if (Installation.isOne(file)) {
            if (grants != null) throw UsageError("an installation carries its grant", "leave the grants file out")
            return openInstallation(file, isLastTry = false)
        }
        return open(source(file, grants))
    }

    private fun open(source: Source): OpenModel {
        if (verifier.requireInstalled) {
            throw RefusedError("this is a bundle, and only installations are opened here", "install it, then open that")
        }
        return unlocked(source, true) { bundle, _ -> load(bundle) }
    }

    // A newer one may take its place between the opening of the file and the look at the state.
    private fun openInstallation(file: File, isLastTry: Boolean): OpenModel =
        try {
            remembering { remembered ->
                Installation(file).use { it.unlock(remembered, posture).use(::load) }
            }
        } catch (error: RollbackError) {
            if (isLastTry) throw error
            openInstallation(file, isLastTry = true)
        }

    /**
     * Checks a bundle completely and writes it to [target], in place of any file that is there, encrypted under a
     * key that no other device has. From then on [open] takes that file: it needs no digests, and older releases of
     * the model are refused on this device, as bundles and as installations.
     *
     * @return which release counted before, and which one does now.
     * @throws RollbackError a newer release of this model was installed before.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws UsageError the loader has no folder for the state.
     * @throws KeepError the subclass says what to do next; nothing was installed.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun install(bundle: File, target: File, grants: File? = null): InstallReport =
        install(source(bundle, grants), target)

    /**
     * Installs a bundle that is an asset of the app, stored without compression, as [install] does with a file.
     * [descriptor] stays the caller's.
     *
     * @param grants lines of a grants file, to be looked at after the grants in the bundle.
     * @throws RollbackError a newer release of this model was installed before.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws KeepError the subclass says what to do next; nothing was installed.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun install(descriptor: AssetFileDescriptor, target: File, grants: ByteArray = ByteArray(0)): InstallReport =
        install(source(BundleFile.open(descriptor), grants), target)

    /**
     * Installs a bundle that another app or a document provider handed over as a file, as [install] does with a file.
     * [descriptor] stays the caller's.
     *
     * @param grants lines of a grants file, to be looked at after the grants in the bundle.
     * @throws RollbackError a newer release of this model was installed before.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws UsageError the descriptor is a pipe or a socket.
     * @throws KeepError the subclass says what to do next; nothing was installed.
     */
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun install(descriptor: ParcelFileDescriptor, target: File, grants: ByteArray = ByteArray(0)): InstallReport =
        install(source(BundleFile.open(descriptor), grants), target)

    private fun install(source: Source, target: File): InstallReport = unlocked(source, true) { unlocked, remembered ->
        val before = remembered.floor(unlocked.manifest.model)
        Installer(unlocked, remembered, progress).install(target)
        InstallReport(unlocked.manifest.model, before.order.epoch.takeIf { before.bundle != null }, unlocked.manifest.epoch)
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
        open(source(BundleFile.open(descriptor), grants))

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
        open(source(BundleFile.open(descriptor), grants))

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
        unlocked(source(file, grants), false) { bundle, _ ->
            if (notAfter != null && notAfter !in 0..Constraints.LATEST_TIME) {
                throw UsageError("constraint: time must lie between 1970 and 9999")
            }
            val manifest = bundle.manifest
            if (manifest.grantIssuers.isNotEmpty()) throw UsageError("this bundle accepts signed grants only")
            val narrowed = bundle.constraints.delegated(Constraints(null, notAfter, emptyList(), mayDelegate))
            narrowed.checkWindow(verifier.clock.forEnds())
            to.grant(manifest.bundle, bundle.dataKey, narrowed).toBytes() + '\n'.code.toByte()
        }

    /** Returns what a ticket for this device has to name, and what it can take back. */
    @Throws(KeepError::class)
    public fun stateReport(): StateReport = withState { state ->
        val contents = state.look()
        val marks = contents.models.mapValues { (_, model) -> model.marks.maxOfOrNull { it.order }?.toString() }
        StateReport(state.device, contents.generation, marks.filterValues { it != null }.mapValues { it.value!! })
    }

    /**
     * Lets go of what a ticket says, once: releases and a time that counted for readers of this verifier's trust file, or for
     * the publisher's key where there is none. What counts for others stays.
     *
     * @param ticket what `modelkeep trust ticket` made and the roots signed.
     * @throws RefusedError the ticket is not for this device as it is, or asks for more than its signers may.
     * @throws SignatureError too few of the roots signed it.
     */
    @Throws(KeepError::class)
    public fun obey(ticket: ByteArray): Unit = withState { it.obey(verifier.verifyTicket(ticket), verifier.seen) }

    private fun <T> withState(action: (DeviceState) -> T): T {
        val folder = stateFolder ?: throw UsageError("this loader remembers nothing", "make it with a folder for the state")
        return DeviceState(folder, identity.publicValue, identity::localKey).use(action)
    }

    /** Where a bundle comes from, and the grants for it, one set after the other. */
    private class Source(val open: () -> Container, val grants: (Bundle) -> Array<Sequence<ByteArray>>)

    private fun source(file: File, grants: File?) = Source({ Container.openBundle(file) }) { bundle ->
        val sidecar = File(file.path + ".grants")
        when {
            grants != null -> arrayOf(Grants.lines(grants))
            sidecar.exists() -> arrayOf(bundle.embeddedGrants(), Grants.lines(sidecar))
            else -> arrayOf(bundle.embeddedGrants())
        }
    }

    private fun source(file: BundleFile, grants: ByteArray) = Source({ Archive.open(file, Form.BUNDLE) }) { bundle ->
        arrayOf(bundle.embeddedGrants(), Grants.lines(ByteArrayInputStream(grants)))
    }

    private fun <T> unlocked(
        source: Source,
        mustBeNewest: Boolean,
        use: (UnlockedBundle, Remembered) -> T,
    ): T = remembering { remembered ->
        Bundle(source.open()).use { bundle ->
            val verified = bundle.verify(remembered.verifier)
            if (mustBeNewest) remembered.check(verified.signed.manifest)
            verified.unlock(identity, Grants.all(*source.grants(bundle)), posture).use { use(it, remembered) }
        }
    }

    private fun <T> remembering(action: (Remembered) -> T): T {
        val folder = stateFolder ?: return action(Remembered(null, verifier))
        return DeviceState(folder, identity.publicValue, identity::localKey).use { action(Remembered(it, verifier)) }
    }

    private fun load(bundle: Unlocked): OpenModel {
        val inner = bundle.innerManifest()
        val clock = verifier.clock.noEarlierThan(bundle.signed.now.begins)
        val memory = LinkedHashMap<String, ModelMemory>()
        val meter = ProgressMeter(inner.modelFiles().sumOf { (member, _) -> bundle.manifest.members[member].size }, progress)
        try {
            for ((member, path) in inner.modelFiles()) {
                val allocated = ModelMemory.allocate(bundle.manifest.members[member].size)
                memory[path] = allocated
                bundle.decrypt(member) { start, length -> allocated.target.part(start, length).also { meter.add(length) } }
            }
        } catch (error: Throwable) {
            memory.values.forEach(ModelMemory::close)
            throw error
        }
        return OpenModel(report(bundle), inner.format, inner.entries, memory, clock)
    }

    private fun report(bundle: Unlocked): OpenModel.Report {
        val manifest = bundle.manifest
        return OpenModel.Report(
            manifest.model,
            manifest.release,
            manifest.epoch,
            manifest.bundle.toHexadecimal(),
            bundle.signed.signer.toString(),
            bundle.deviceId,
            bundle.constraints.notAfter,
        )
    }
}
