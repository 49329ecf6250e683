package dev.modelkeep.bundle

import dev.modelkeep.RollbackError
import dev.modelkeep.UsageError
import dev.modelkeep.Verifier
import dev.modelkeep.document.Manifest
import dev.modelkeep.state.Contents
import dev.modelkeep.state.DeviceState
import dev.modelkeep.state.Floor
import dev.modelkeep.state.Installed
import dev.modelkeep.state.Mark
import dev.modelkeep.state.Stage
import dev.modelkeep.toHexadecimal

/**
 * The one check against going back: what the device remembers, held against what it is shown. Whatever opens a bundle or
 * an installation passes here, so that neither an old bundle in the place of an installation nor an old trust file reaches
 * a model. Making it shows the verifier's trust file to the device. Source: spec/install-v1.md.
 *
 * @param state null for a loader that remembers nothing.
 */
internal class Remembered(private val known: DeviceState?, private val shown: Verifier) {
    private val contents: Contents = known?.see(::learn) ?: Contents()

    /** The verifier, with a clock that says no less than the device remembers. */
    val verifier: Verifier = shown.noEarlierThan(contents.timeFor(shown.seen))

    val state: DeviceState get() =
        known ?: throw UsageError("an installation needs the device's state", "make the loader with a folder for it")

    fun floor(model: String): Floor = contents.floor(model, verifier.judge)

    /** Accepts a verified release that is no older than what was installed, or than the trust file says. */
    fun check(manifest: Manifest) = floor(manifest.model).check(manifest.order, manifest.bundle.toHexadecimal())

    /** Returns what is known of an installation that may be opened. */
    fun current(model: String, id: String): Installed {
        val installed = contents.models[model]?.installations?.get(id) ?: throw RollbackError(
            "this installation does not count any more, or was not made with this key",
            "open the newest installation, or install the bundle again",
        )
        if (installed.stage != Stage.CURRENT) {
            throw RollbackError("this installation was never finished", "install the bundle again")
        }
        // The power went after its file was put in place, and before that was remembered.
        if (installed.mark !in contents.model(model).marks) commit(model, id) {}
        return installed
    }

    /** Returns the mark of a verified release: it counts for whoever reads the verifier's trust file. */
    fun mark(signed: SignedManifest): Mark {
        val voucher = shown.seen?.voucher ?: signed.signer.key
        return Mark(signed.signer, signed.manifest.order, signed.manifest.bundle.toHexadecimal(), voucher)
    }

    fun stage(model: String, id: String, mark: Mark): ByteArray = state.stage(model, id, mark, verifier.judge)

    fun commit(model: String, id: String, replace: () -> Unit) = state.commit(model, id, verifier.judge, ::learn, replace)

    private fun learn(contents: Contents): Boolean {
        val seen = shown.seen
        contents.checkAdopted(seen)
        return seen != null && contents.see(seen, shown::persistable)
    }
}
