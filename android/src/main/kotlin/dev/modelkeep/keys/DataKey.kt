package dev.modelkeep.keys

import dev.modelkeep.TamperedError
import dev.modelkeep.document.Manifest
import dev.modelkeep.wipe
import java.security.MessageDigest

/**
 * The data key of one bundle: 32 bytes in memory that is wiped on close.
 * Source: spec/bundle-v1.md, section 7.
 */
internal class DataKey(val bytes: ByteArray) : AutoCloseable {
    /** Checks that this is the key that the commitment in the signed [manifest] stands for. */
    fun checkCommitment(manifest: Manifest) {
        val info = "modelkeep/v1/commit".encodeToByteArray() + manifest.binding
        if (!MessageDigest.isEqual(Hkdf.derive(bytes, null, info), manifest.commitment)) {
            throw TamperedError(
                "the grant holds another data key than the one this bundle was sealed with",
                "ask the publisher for a new grant",
            )
        }
    }

    /** Returns the 32 bytes that stream keys are derived from; wiping them is the caller's. */
    fun payloadKey(): ByteArray = Hkdf.derive(bytes, null, "modelkeep/v1/payload".encodeToByteArray())

    override fun close() = bytes.wipe()
}
