package dev.modelkeep.state

import dev.modelkeep.MalformedError
import dev.modelkeep.RollbackError
import dev.modelkeep.TamperedError
import dev.modelkeep.container.Replacement
import dev.modelkeep.container.storage
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.keys.Hkdf
import dev.modelkeep.keys.LocalKey
import dev.modelkeep.toHexadecimal
import dev.modelkeep.wipedAfter
import java.io.File
import java.io.RandomAccessFile
import java.security.MessageDigest
import java.security.SecureRandom
import kotlin.io.encoding.Base64

/**
 * The state of one device key in [file]: authenticated under the device's [local] key and replaced as a whole,
 * under a lock. Source: spec/install-v1.md, section 5.
 */
internal class DeviceState(private val file: File, private val local: LocalKey) {
    /** Returns what the file holds, after its code was verified; nothing is known without a file. */
    fun read(): StateBody {
        if (!file.exists()) return StateBody()
        if (storage { file.length() } > LARGEST) throw MalformedError("device state: too long")
        val data = storage { file.readBytes() }
        val body = Record.read(CanonicalJson.decode(data, "device state"), "device state") {
            val body = base64("body", LARGEST)
            if (!MessageDigest.isEqual(code(base64("key", LONGEST_KEY), body), hexadecimal("mac", 32))) {
                throw TamperedError("the device's state was changed by somebody else", REPAIR)
            }
            body
        }
        return StateBody.parse(body)
    }

    /** Adds an installation that is about to be made and returns its new secret. */
    fun prepare(model: String, epoch: Long, id: String): ByteArray {
        val secret = random()
        changing { body ->
            val state = body.models.getOrPut(model, ::ModelState)
            if (epoch < state.epoch) {
                throw RollbackError("epoch $epoch is below ${state.epoch}, which was installed before")
            }
            state.add(id, Installed(epoch, secret, isPending = true))
        }
        return secret
    }

    /**
     * Makes a prepared installation count, once [replace] has put its file in place. Nobody else changes the state
     * meanwhile, so a file that no longer counts never takes the place of one that does. Afterwards installations
     * of lower epochs can never be opened again.
     */
    fun commit(model: String, id: String, now: Long, replace: () -> Unit) = changing { body ->
        val installed = body.installed(model, id) ?: throw RollbackError(
            "another installation was made meanwhile",
            "get the newest release of the model",
        )
        replace()
        val state = body.models.getValue(model)
        state.epoch = installed.epoch
        state.installations[id] = Installed(installed.epoch, installed.secret, isPending = false)
        state.installations.values.removeAll { it.epoch < state.epoch }
        body.time = maxOf(body.time, now)
    }

    private fun changing(change: (StateBody) -> Unit) = locked {
        val body = read()
        change(body)
        write(body)
    }

    // A lock on a file keeps out other processes only, so threads have a lock of their own.
    private fun locked(action: () -> Unit) = synchronized(THREADS) {
        file.absoluteFile.parentFile?.mkdirs()
        storage("write") {
            // The file itself is replaced, so the lock needs a file of its own.
            RandomAccessFile(File("${file.path}.lock"), "rw").use {
                it.channel.lock()
                action()
            }
        }
    }

    private fun write(body: StateBody) {
        val bytes = body.toBytes()
        // A new key for every state: an old key opens no new state.
        val key = random().wipedAfter { local.wrap(it, CONTEXT) }
        val members = mapOf(
            "body" to Base64.encode(bytes),
            "key" to Base64.encode(key),
            "mac" to code(key, bytes).toHexadecimal(),
        )
        Replacement.write(file, CanonicalJson.encode(members))
    }

    private fun code(wrapped: ByteArray, body: ByteArray): ByteArray =
        local.unwrap(wrapped, CONTEXT).wipedAfter { Hkdf.hmac(it, body) }

    private fun random() = ByteArray(32).also(SecureRandom()::nextBytes)

    private companion object {
        const val LARGEST = 16 shl 20
        const val LONGEST_KEY = 1024
        const val REPAIR = "find out who writes to this device; removing the file forgets all installations"
        val CONTEXT = "modelkeep/v1/state".encodeToByteArray()
        val THREADS = Any()
    }
}
