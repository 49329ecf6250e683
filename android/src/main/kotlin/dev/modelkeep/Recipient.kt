package dev.modelkeep

import dev.modelkeep.keys.Constraints
import dev.modelkeep.keys.DataKey
import dev.modelkeep.keys.Grant
import dev.modelkeep.keys.GrantHeader
import dev.modelkeep.keys.GrantSecret
import dev.modelkeep.keys.Hpke
import dev.modelkeep.keys.KeyWrap
import dev.modelkeep.keys.P256
import kotlin.io.encoding.Base64

/** Somebody a bundle can be granted to: an `hpke-p256` public key, or a device of a fleet. */
public class Recipient private constructor(
    private val type: String,
    private val publicValue: ByteArray,
    private val deviceId: String,
    private val wrap: (secret: ByteArray, context: ByteArray) -> ByteArray,
) {
    internal fun grant(bundle: ByteArray, dataKey: DataKey, constraints: Constraints): Grant {
        val header = GrantHeader(bundle, type, GrantHeader.keyId(bundle, type, publicValue), constraints)
        val headerBytes = header.toBytes()
        val wrapped = GrantSecret.pack(dataKey, deviceId).wipedAfter { wrap(it, Grant.context(headerBytes)) }
        return Grant(header, headerBytes, wrapped)
    }

    /** Returns the public key as one line of text; a fleet's keys are secret and give only their type. */
    override fun toString(): String = if (type == HPKE_P256) line(publicValue, deviceId) else type

    public companion object {
        internal const val HPKE_P256 = "hpke-p256"
        internal const val FLEET = "fleet"
        private val BASE64URL = Base64.UrlSafe.withPadding(Base64.PaddingOption.ABSENT)

        /**
         * Reads a public key as text: `hpke-p256 BASE64URL [DEVICE-ID]`.
         *
         * @throws UnsupportedVersionError another type of key.
         * @throws MalformedError not a public key.
         */
        @JvmStatic
        @Throws(KeepError::class)
        public fun parse(line: String): Recipient {
            val parts = line.trim().split(' ')
            if (parts[0] != HPKE_P256) {
                throw UnsupportedVersionError("recipient: this type of key is not supported on Android")
            }
            val point = parts.getOrNull(1)?.let(::decode)
            val key = point?.let(P256::decode)
            if (key == null || parts.size > 3) throw MalformedError("recipient: not a public key of type $HPKE_P256")
            val deviceId = if (parts.size == 3) GrantSecret.checkDeviceId(parts[2]) else ""
            return Recipient(HPKE_P256, point, deviceId) { secret, context -> Hpke.seal(key, secret, context) }
        }

        internal fun fleet(key: ByteArray, publicValue: ByteArray, deviceId: String) =
            Recipient(FLEET, publicValue, deviceId) { secret, context -> KeyWrap.wrap(key, secret, context) }

        internal fun line(point: ByteArray, deviceId: String): String =
            listOf(HPKE_P256, BASE64URL.encode(point), deviceId).filter { it.isNotEmpty() }.joinToString(" ")

        private fun decode(text: String): ByteArray? =
            try {
                BASE64URL.decode(text)
            } catch (_: IllegalArgumentException) {
                null
            }
    }
}
