package dev.modelkeep

import dev.modelkeep.keys.GrantSecret
import dev.modelkeep.keys.Hkdf
import dev.modelkeep.keys.KeyWrap
import dev.modelkeep.keys.LocalKey
import kotlin.io.encoding.Base64

/**
 * The key of one device of a fleet, in memory. Source: spec/grant-v1.md, section 4.2.
 *
 * Keep the key itself wrapped: see [WrappedIdentity.keepFleetKey].
 */
public class FleetIdentity private constructor(internal val key: ByteArray, public val deviceId: String) :
    Identity() {
    override val type: String get() = Recipient.FLEET
    override val publicValue: ByteArray = Hkdf.derive(key, null, "modelkeep/v1/fleet-id".encodeToByteArray())

    override fun unwrap(wrapped: ByteArray, context: ByteArray): ByteArray? = KeyWrap.unwrap(key, wrapped, context)

    override fun localKey(): LocalKey = LocalKey.of(key)

    /** Returns the device as a recipient: who has its key can grant to it. Valid until [close]. */
    override fun recipient(deviceId: String): Recipient {
        if (deviceId !in setOf("", this.deviceId)) throw UsageError("a fleet's key belongs to ${this.deviceId}")
        return Recipient.fleet(key, publicValue, this.deviceId)
    }

    /** Wipes the key. */
    override fun close(): Unit = key.wipe()

    public companion object {
        internal const val KEY_BYTES = 32

        /**
         * Reads the line of a device's key file: `modelkeep-fleet-device BASE64 ID`.
         *
         * @throws KeyStoreError not such a line.
         */
        @JvmStatic
        @Throws(KeepError::class)
        public fun parse(line: String): FleetIdentity {
            val parts = line.trim().split(' ')
            val key = parts.getOrNull(1)?.let(::decode)
            if (parts.size != 3 || parts[0] != "modelkeep-fleet-device" || key?.size != KEY_BYTES) {
                throw KeyStoreError("not the key of a fleet's device")
            }
            return FleetIdentity(key, GrantSecret.checkDeviceId(parts[2]))
        }

        /**
         * Derives the key of a device from the fleet's master key. The master never belongs on a device:
         * this is for those who issue keys.
         *
         * @param master 32 bytes; wiping them is the caller's.
         * @throws UsageError not a device id, or not 32 bytes.
         */
        @JvmStatic
        @Throws(KeepError::class)
        public fun derive(master: ByteArray, deviceId: String): FleetIdentity {
            if (master.size != KEY_BYTES) throw UsageError("a fleet's master key has $KEY_BYTES bytes")
            val name = GrantSecret.checkDeviceId(deviceId).encodeToByteArray()
            val info = bigEndian(name.size.toLong(), 2) + name
            return FleetIdentity(Hkdf.derive(master, "modelkeep/v1/fleet".encodeToByteArray(), info), deviceId)
        }

        internal fun of(key: ByteArray, deviceId: String) = FleetIdentity(key, deviceId)

        private fun decode(text: String): ByteArray? =
            try {
                Base64.decode(text)
            } catch (_: IllegalArgumentException) {
                null
            }
    }
}
