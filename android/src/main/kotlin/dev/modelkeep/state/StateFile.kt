package dev.modelkeep.state

import dev.modelkeep.MalformedError
import dev.modelkeep.StorageError
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
import java.security.MessageDigest
import java.security.SecureRandom
import kotlin.io.encoding.Base64

/** The file form of a device's state, authenticated with a key that only the device can unwrap. */
internal class StateFile(private val file: File, private val local: LocalKey) {
    /** Returns what the file says, or nothing where there is none. */
    fun read(): Contents {
        if (!file.exists()) return Contents()
        if (storage { file.length() } > LARGEST) throw MalformedError("device state: too long")
        val data = storage { file.readBytes() }
        val contents = Record.read(CanonicalJson.decode(data, "device state"), "device state") {
            val body = base64("body", LARGEST)
            if (!isOurs(base64("key", LONGEST_KEY), body, hexadecimal("mac", MAC))) {
                throw TamperedError("the device's state was changed by somebody else, or belongs to another key", REPAIR)
            }
            body
        }.let(ContentsJson::decode)
        if (contents.counter != null) throw TamperedError("the device's state belongs to a key that counts", REPAIR)
        return contents
    }

    fun write(contents: Contents) {
        if (contents.models.size > ContentsJson.MOST_MODELS || contents.trust.size > ContentsJson.MOST_ROOT_SETS) {
            throw StorageError("the device's state has no room for another model or set of roots")
        }
        contents.generation = random(Contents.GENERATION).toHexadecimal()
        val body = ContentsJson.encode(contents)
        // A new key for every state: an old key opens no new state.
        val key = random(KEY).wipedAfter { local.wrap(it, CONTEXT) }
        val members = mapOf("body" to Base64.encode(body), "key" to Base64.encode(key), "mac" to code(key, body).toHexadecimal())
        Replacement.write(file, CanonicalJson.encode(members))
    }

    private fun isOurs(key: ByteArray, body: ByteArray, mac: ByteArray): Boolean =
        try {
            MessageDigest.isEqual(code(key, body), mac)
        } catch (_: TamperedError) {
            // Its words would be about an installation.
            false
        }

    private fun code(wrapped: ByteArray, body: ByteArray): ByteArray =
        local.unwrap(wrapped, CONTEXT).wipedAfter { Hkdf.hmac(it, body) }

    private fun random(length: Int) = ByteArray(length).also(SecureRandom()::nextBytes)

    private companion object {
        const val LARGEST = 16 shl 20
        const val LONGEST_KEY = 1024
        const val MAC = 32
        const val KEY = 32
        const val REPAIR = "find out who writes to this device; removing the file forgets all installations"
        val CONTEXT = "modelkeep/v1/state".encodeToByteArray()
    }
}
