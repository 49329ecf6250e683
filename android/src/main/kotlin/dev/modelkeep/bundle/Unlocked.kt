package dev.modelkeep.bundle

import dev.modelkeep.MalformedError
import dev.modelkeep.document.InnerManifest
import dev.modelkeep.document.Manifest
import dev.modelkeep.keys.Constraints
import dev.modelkeep.payload.PlainTarget
import java.nio.ByteBuffer

/**
 * A bundle or an installation whose signature, policy, grant and key were all checked. Closing it wipes the keys.
 *
 * @property deviceId the name under which it was granted, may be empty.
 * @property constraints what the grant demands; met now.
 */
internal abstract class Unlocked(val signed: SignedManifest, val deviceId: String, val constraints: Constraints) :
    AutoCloseable {
    val manifest: Manifest get() = signed.manifest

    /** Decrypts member [index] into [target]; on an error nothing of it may be used. */
    abstract fun decrypt(index: Int, target: PlainTarget)

    /** Returns the description of the model inside. */
    fun innerManifest(): InnerManifest {
        val size = manifest.members[0].size
        if (size > InnerManifest.LARGEST) throw MalformedError("inner manifest: larger than 16 MiB")
        val data = ByteArray(size.toInt())
        decrypt(0) { start, length -> ByteBuffer.wrap(data, start.toInt(), length).slice() }
        val inner = InnerManifest.parse(data)
        if (inner.paths.size != manifest.members.size - 1) {
            throw MalformedError("inner manifest: does not name every file of the bundle")
        }
        return inner
    }
}
