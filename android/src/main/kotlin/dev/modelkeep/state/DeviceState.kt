package dev.modelkeep.state

import dev.modelkeep.RefusedError
import dev.modelkeep.keys.LocalKey
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal
import dev.modelkeep.trust.VerifiedTicket
import java.io.Closeable
import java.io.File
import java.security.SecureRandom

/**
 * What the device of one key must not forget: one file in [folder], named by the key's public value, whatever alias or
 * path leads to the key. Source: spec/install-v1.md, section 5.
 *
 * @param localKey asked for when it is needed, and once; closed with this.
 */
internal class DeviceState(folder: File, publicValue: ByteArray, private val localKey: () -> LocalKey) : Closeable {
    /** SHA-256 of the device's public key, in hexadecimal. */
    val device = sha256(publicValue).toHexadecimal()
    private val path = File(folder, "$device.state")
    private val opened = lazy { localKey() }

    /** What protects the device's installations. */
    val local: LocalKey get() = opened.value
    private val file by lazy { StateFile(path, local) }
    val hasBegun: Boolean get() = path.exists()

    override fun close() {
        if (opened.isInitialized()) local.close()
    }

    /** Returns what the device remembers; nothing, without using the key, where no state has begun. */
    fun look(): Contents = if (hasBegun) file.read() else Contents()

    /** Remembers what [learn] makes of what is known, if it says that this is worth it; begins no state. */
    fun see(learn: (Contents) -> Boolean): Contents {
        val contents = look()
        if (!learn(contents) || !hasBegun) return contents
        return changing { changed ->
            learn(changed)
            changed
        }
    }

    /** Adds an installation that is about to be made and returns its new secret. */
    fun stage(model: String, id: String, mark: Mark, judge: Judge): ByteArray {
        val secret = ByteArray(SECRET).also(SecureRandom()::nextBytes)
        changing { contents ->
            contents.check(model, mark.order, mark.bundle, judge)
            contents.model(model).stage(id, Installed(mark, secret))
        }
        return secret
    }

    /**
     * Makes a staged installation count, around [replace], which puts its file in place: from before that on it is
     * current, so that whatever happens then, what is in place can be opened. Older releases never count afterwards, as
     * far as [judge] vouches for who signed them.
     */
    fun commit(model: String, id: String, judge: Judge, learn: (Contents) -> Boolean, replace: () -> Unit) =
        StateLock.locked(File("${path.path}.lock")) { lock ->
            val changed = file.read()
            learn(changed)
            val mark = changed.model(model).setStage(id, Stage.CURRENT)
            changed.check(model, mark.order, mark.bundle, judge)
            val current = file.read().also { it.model(model).setStage(id, Stage.CURRENT) }
            changed.model(model).commit(model, id, judge)
            lock.check()
            file.write(current)
            replace()
            lock.check()
            file.write(changed)
        }

    /** Lets go of what a ticket says; [seen] is the trust file whose roots signed it, if there is one. */
    fun obey(verified: VerifiedTicket, seen: SeenTrust?) {
        if (!hasBegun) throw RefusedError("this device remembers nothing yet, so that there is nothing to let go of")
        changing { contents ->
            seen?.let { contents.see(it) { time -> time } }
            contents.obey(device, verified)
        }
    }

    private fun <T> changing(change: (Contents) -> T): T = StateLock.locked(File("${path.path}.lock")) { lock ->
        val contents = file.read()
        val result = change(contents)
        lock.check()
        file.write(contents)
        result
    }

    private companion object {
        const val SECRET = 32
    }
}
