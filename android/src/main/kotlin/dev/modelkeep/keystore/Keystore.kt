package dev.modelkeep.keystore

import android.os.Build
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyInfo
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.security.keystore.UserNotAuthenticatedException
import dev.modelkeep.Authentication
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.KeyBusyError
import dev.modelkeep.KeyInvalidatedError
import dev.modelkeep.KeyProtection
import dev.modelkeep.KeyStoreError
import dev.modelkeep.SecurityLevel
import dev.modelkeep.UsageError
import java.io.IOException
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException

/** What all keys in the Android Keystore have in common. */
internal object Keystore {
    const val PROVIDER = "AndroidKeyStore"
    private const val STRONGBOX_SINCE = Build.VERSION_CODES.P
    private const val AUTHENTICATION_TYPES_SINCE = Build.VERSION_CODES.R
    private const val SECURITY_LEVEL_SINCE = Build.VERSION_CODES.S
    private const val REASONS_SINCE = 33

    /** By name, since it exists from API 31 on. */
    private const val BUSY = "android.security.keystore.BackendBusyException"
    private const val UNLOCKED_DEVICE_SAFE_SINCE = 35

    fun load(): KeyStore = calling { KeyStore.getInstance(PROVIDER).apply { load(null) } }

    fun delete(alias: String) = calling { load().deleteEntry(alias) }

    fun contains(alias: String): Boolean = calling { load().containsAlias(alias) }

    /**
     * Generates a key in StrongBox or, if that does not work and is not demanded, in the trusted environment.
     *
     * @param specify adds what is particular to the kind of key.
     */
    fun <T> generate(
        alias: String,
        purposes: Int,
        protection: KeyProtection,
        apiLevel: Int,
        specify: KeyGenParameterSpec.Builder.() -> Unit,
        generate: (KeyGenParameterSpec) -> T,
    ): T = calling {
        val builder = KeyGenParameterSpec.Builder(alias, purposes)
        builder.specify()
        protect(builder, protection, apiLevel)
        val isChipTried = protection.preferStrongBox || protection.requireStrongBox
        if (apiLevel < STRONGBOX_SINCE || !isChipTried) return@calling generate(builder.build())
        try {
            generate(builder.setIsStrongBoxBacked(true).build())
        } catch (error: ProviderException) {
            // StrongBoxUnavailableException, or a chip that does not do what is asked of it.
            if (protection.requireStrongBox) throw error
            generate(builder.setIsStrongBoxBacked(false).build())
        }
    }

    /** Checks that a key is held where [protection] demands. */
    fun checkLevel(level: SecurityLevel, protection: KeyProtection) {
        if (!isEnough(level, protection)) throw KeyStoreError("this device would hold the key here: $level", "use another device")
    }

    /** Checks that a key that was made before is kept no less carefully than [protection] demands. */
    fun checkKept(info: KeyInfo, protection: KeyProtection) {
        if (isEnough(securityLevel(info, Build.VERSION.SDK_INT), protection) && demandsUser(info, protection)) return
        throw KeyStoreError(
            "the key of this name is kept less carefully than is demanded",
            "delete it and enrol again; then models have to be granted anew",
        )
    }

    private fun isEnough(level: SecurityLevel, protection: KeyProtection) = when {
        protection.requireStrongBox -> level == SecurityLevel.STRONGBOX
        protection.requireHardware -> level.isHardware
        else -> true
    }

    private fun demandsUser(info: KeyInfo, protection: KeyProtection): Boolean {
        if (protection.authentication == Authentication.NONE) return true
        if (!info.isUserAuthenticationRequired) return false
        if (info.userAuthenticationValidityDurationSeconds > protection.validitySeconds) return false
        // Before, there was but one kind.
        if (Build.VERSION.SDK_INT < AUTHENTICATION_TYPES_SINCE) return true
        return info.userAuthenticationType and types(protection.authentication).inv() == 0
    }

    /** Checks that a key is one that this library makes: for these [purposes] alone, and born in the Keystore. */
    fun checkKind(info: KeyInfo, purposes: Int) {
        if (info.purposes != purposes || info.origin != KeyProperties.ORIGIN_GENERATED) {
            throw KeyStoreError("the key of this name was made for something else", "choose another name")
        }
    }

    /** Returns where a key is held. */
    fun securityLevel(info: KeyInfo, apiLevel: Int): SecurityLevel {
        if (apiLevel < SECURITY_LEVEL_SINCE) {
            @Suppress("DEPRECATION")
            return if (info.isInsideSecureHardware) SecurityLevel.TRUSTED_ENVIRONMENT else SecurityLevel.SOFTWARE
        }
        return when (info.securityLevel) {
            KeyProperties.SECURITY_LEVEL_STRONGBOX -> SecurityLevel.STRONGBOX
            KeyProperties.SECURITY_LEVEL_TRUSTED_ENVIRONMENT -> SecurityLevel.TRUSTED_ENVIRONMENT
            // At least that.
            KeyProperties.SECURITY_LEVEL_UNKNOWN_SECURE -> SecurityLevel.TRUSTED_ENVIRONMENT
            KeyProperties.SECURITY_LEVEL_SOFTWARE -> SecurityLevel.SOFTWARE
            else -> SecurityLevel.UNKNOWN
        }
    }

    /** Runs [action] and says in our words what the Keystore complains about. */
    inline fun <T> calling(action: () -> T): T =
        try {
            action()
        } catch (error: GeneralSecurityException) {
            throw inOurWords(error)
        } catch (error: ProviderException) {
            throw inOurWords(error)
        } catch (error: IllegalStateException) {
            // Without a screen lock or an enrolled biometric there is nothing to authenticate with.
            throw inOurWords(error)
        } catch (error: IOException) {
            throw inOurWords(error)
        }

    fun inOurWords(error: Throwable): KeyStoreError {
        val causes = generateSequence(error) { it.cause }.take(MOST_CAUSES).toList()
        causes.firstOrNull { it is UserNotAuthenticatedException }?.let { return AuthenticationRequiredError(it) }
        causes.firstOrNull { it is KeyPermanentlyInvalidatedException }?.let { return KeyInvalidatedError(it) }
        causes.firstOrNull { it.javaClass.name == BUSY }?.let { return KeyBusyError(it) }
        if (Build.VERSION.SDK_INT >= REASONS_SINCE) causes.firstNotNullOfOrNull(::byReason)?.let { return it }
        return KeyStoreError(
            "the Keystore refused: ${error.javaClass.simpleName}",
            "check that the device has a screen lock and, where asked for, a biometric",
            error,
        )
    }

    private fun byReason(error: Throwable): KeyStoreError? =
        when {
            error !is android.security.KeyStoreException -> null
            error.requiresUserAuthentication() -> AuthenticationRequiredError(error)
            error.isTransientFailure -> KeyBusyError(error)
            else -> null
        }

    private fun protect(builder: KeyGenParameterSpec.Builder, protection: KeyProtection, apiLevel: Int) {
        // Only with keys for agreement, which are later than this call.
        protection.attestationChallenge?.let(builder::setAttestationChallenge)
        if (apiLevel >= UNLOCKED_DEVICE_SAFE_SINCE) {
            builder.setUnlockedDeviceRequired(protection.requireUnlockedDevice)
        }
        if (protection.authentication == Authentication.NONE) return
        builder.setUserAuthenticationRequired(true)
        if (apiLevel >= AUTHENTICATION_TYPES_SINCE) {
            builder.setUserAuthenticationParameters(protection.validitySeconds, types(protection.authentication))
        } else if (protection.authentication == Authentication.BIOMETRIC) {
            throw UsageError(
                "keys for biometrics alone need API $AUTHENTICATION_TYPES_SINCE",
                "use BIOMETRIC_OR_CREDENTIAL, which is what older devices have",
            )
        } else {
            // With a time there is no choice here: biometric or credential.
            @Suppress("DEPRECATION")
            builder.setUserAuthenticationValidityDurationSeconds(protection.validitySeconds)
        }
    }

    private fun types(authentication: Authentication): Int =
        if (authentication == Authentication.BIOMETRIC) {
            KeyProperties.AUTH_BIOMETRIC_STRONG
        } else {
            KeyProperties.AUTH_BIOMETRIC_STRONG or KeyProperties.AUTH_DEVICE_CREDENTIAL
        }

    private const val MOST_CAUSES = 8
}
