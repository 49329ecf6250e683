package dev.modelkeep.keys

import dev.modelkeep.MalformedError
import dev.modelkeep.UsageError

/**
 * The encrypted part of a grant: data key, length of the device id, device id, zero bytes up to 104.
 * Source: spec/grant-v1.md, section 2.
 */
internal object GrantSecret {
    private const val SIZE = 104
    private const val KEY = 32
    private const val LONGEST_DEVICE_ID = 64
    private val DEVICE_ID = Regex("[A-Za-z0-9._-]{1,64}")

    /** Returns the data key, copied, and the device id; wiping [secret] is the caller's. */
    fun unpack(secret: ByteArray): Pair<DataKey, String> {
        if (secret.size != SIZE) throw MalformedError("grant secret: must be $SIZE bytes")
        val length = secret[KEY].toInt() and 0xff
        if (length > LONGEST_DEVICE_ID) throw MalformedError("grant secret: device id is too long")
        if ((KEY + 1 + length until SIZE).any { secret[it] != 0.toByte() }) {
            throw MalformedError("grant secret: padding is not zero")
        }
        val deviceId = String(secret, KEY + 1, length, Charsets.ISO_8859_1)
        if (length > 0 && !DEVICE_ID.matches(deviceId)) {
            throw MalformedError("grant secret: device id holds characters that are not allowed")
        }
        return DataKey(secret.copyOf(KEY)) to deviceId
    }

    /** Returns the secret; wiping it is the caller's. */
    fun pack(dataKey: DataKey, deviceId: String): ByteArray {
        val secret = ByteArray(SIZE)
        dataKey.bytes.copyInto(secret)
        secret[KEY] = deviceId.length.toByte()
        deviceId.encodeToByteArray().copyInto(secret, KEY + 1)
        return secret
    }

    fun checkDeviceId(text: String): String {
        if (DEVICE_ID.matches(text)) return text
        throw UsageError("not a device id", "use 1 to 64 letters, digits, '.', '_' and '-'")
    }
}
