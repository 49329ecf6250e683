package dev.modelkeep

/** Who must have authenticated before a key may be used. */
public enum class Authentication {
    /**
     * A strong biometric or the device's credential (PIN, pattern, password). Adding a fingerprint does not
     * invalidate the key; removing the screen lock does.
     */
    BIOMETRIC_OR_CREDENTIAL,

    /** A strong biometric alone; from API 30 on. Adding a fingerprint or a face invalidates the key. */
    BIOMETRIC,

    /** Nobody: for devices without a user, such as kiosks. */
    NONE,
}

/** Where a key is held. */
public enum class SecurityLevel {
    /** A security chip of its own. */
    STRONGBOX,

    /** The trusted execution environment of the main processor. */
    TRUSTED_ENVIRONMENT,

    /** The operating system alone: whoever controls it has the key. */
    SOFTWARE,

    /** The system does not say. */
    UNKNOWN;

    internal val isHardware: Boolean get() = this == STRONGBOX || this == TRUSTED_ENVIRONMENT
}

/**
 * How a new key in the Keystore is protected.
 *
 * @property authentication who must have authenticated.
 * @property validitySeconds for how long an authentication counts.
 * @property requireUnlockedDevice the key works only while the device is unlocked. Applied from API 35 on:
 *   Android 12 to 14 lose such keys when the screen lock is removed.
 * @property attestationChallenge random bytes from the server that will check the key's attestation, or null; for a
 *   [KeystoreIdentity] alone.
 * @property preferStrongBox try the security chip first.
 * @property requireHardware refuse a key that the operating system alone would hold.
 * @property requireStrongBox refuse a key outside a security chip.
 */
public class KeyProtection @JvmOverloads constructor(
    public val authentication: Authentication = Authentication.BIOMETRIC_OR_CREDENTIAL,
    public val validitySeconds: Int = 30,
    public val requireUnlockedDevice: Boolean = true,
    public val attestationChallenge: ByteArray? = null,
    public val preferStrongBox: Boolean = true,
    public val requireHardware: Boolean = false,
    public val requireStrongBox: Boolean = false,
) {
    init {
        if (validitySeconds < 1) throw UsageError("an authentication counts for at least one second")
    }
}
