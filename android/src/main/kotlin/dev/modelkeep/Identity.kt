package dev.modelkeep

import dev.modelkeep.keys.Constraints
import dev.modelkeep.keys.DataKey
import dev.modelkeep.keys.Grant
import dev.modelkeep.keys.GrantHeader
import dev.modelkeep.keys.GrantSecret
import dev.modelkeep.keys.Grants
import dev.modelkeep.keys.LocalKey

/**
 * Who opens: a key, and the rules for finding and opening the grants made for it.
 *
 * Identities are [KeystoreIdentity] (the key never leaves the hardware; API 31 and later),
 * [WrappedIdentity] (API 23 to 30) and [FleetIdentity].
 */
public abstract class Identity internal constructor() : AutoCloseable {
    internal abstract val type: String

    /** What the key id is computed from. */
    internal abstract val publicValue: ByteArray

    /**
     * Returns whom a publisher grants models to that this identity shall open: one line of text, for
     * `modelkeep seal -r` and `modelkeep grant -r`.
     *
     * @param deviceId name of the device, which only the holder of the grant will see; may be empty.
     * @throws UsageError a fleet's key, which has no public half.
     */
    @Throws(KeepError::class)
    public abstract fun recipient(deviceId: String): Recipient

    /** Returns the same without a name of the device. */
    @Throws(KeepError::class)
    public fun recipient(): Recipient = recipient("")

    /** Returns the decrypted grant secret, or null when it does not open; wiping it is the caller's. */
    internal abstract fun unwrap(wrapped: ByteArray, context: ByteArray): ByteArray?

    /** Returns what protects models that are installed on this device; closing it is the caller's. */
    internal abstract fun localKey(): LocalKey

    /** Forgets the key where it is in memory; a key in hardware stays there. */
    override fun close() {}

    internal class UnwrappedGrant(val dataKey: DataKey, val deviceId: String, val constraints: Constraints)

    /**
     * Returns the first grant for this identity that [accept] lets pass, without opening any. When none
     * is left, the first refusal is thrown.
     */
    internal fun select(grants: Sequence<Grant>, bundle: ByteArray, accept: (Grant) -> Unit): Grant {
        val keyId = GrantHeader.keyId(bundle, type, publicValue)
        var refusal: RefusedError? = null
        for (grant in Grants.standingAlone(grants)) {
            if (grant.header.type != type || !grant.header.keyId.contentEquals(keyId)) continue
            try {
                accept(grant)
                return grant
            } catch (error: RefusedError) {
                refusal = refusal ?: error
            }
        }
        throw refusal ?: NotForThisDeviceError(
            "no grant fits this identity",
            "ask the publisher to add one: modelkeep grant BUNDLE -r PUBLIC-KEY",
        )
    }

    internal fun open(grant: Grant, bundle: ByteArray): UnwrappedGrant {
        if (!grant.header.bundle.contentEquals(bundle)) {
            throw TamperedError("the grant was made for another bundle")
        }
        val secret = unwrap(grant.wrapped, grant.context)
            ?: throw TamperedError("the grant is damaged", "fetch the grant again, or ask for a new one")
        return secret.wipedAfter {
            val (dataKey, deviceId) = GrantSecret.unpack(it)
            UnwrappedGrant(dataKey, deviceId, grant.header.constraints)
        }
    }
}
