/*
 * Every error modelkeep throws on purpose, split by what the caller does next.
 *
 *     KeepError(hint)
 *     ├── RefusedError               do not retry: a check said no
 *     │   ├── SignatureError         the signature is absent, broken or covers something else
 *     │   ├── UntrustedSignerError   the signature is sound, the signer is not one of ours
 *     │   ├── WrongModelError        signed by a trusted key, but not the model that was asked for
 *     │   ├── TamperedError          bytes are not the bytes that were signed
 *     │   ├── RollbackError          older than the verifier allows, or than what the device remembers
 *     │   ├── ExpiredError           not valid yet, or not any more
 *     │   ├── PostureError           the grant asks for a posture that was not shown
 *     │   └── InputError(findings)   the model did not run: an input broke its contract
 *     ├── NotForThisDeviceError      no grant fits this identity
 *     ├── MalformedError             these bytes are not ours, or are damaged beyond reading
 *     │   └── UnsupportedVersionError   this version cannot read them
 *     ├── UnavailableError           fix and retry
 *     │   ├── StorageError           a file cannot be read or written
 *     │   ├── PlatformError          this device's software cannot do what is needed
 *     │   └── KeyStoreError          a key cannot be reached, unlocked or used
 *     │       ├── AuthenticationRequiredError   show the prompt or wait for the unlocked device, then retry
 *     │       ├── KeyBusyError                  retry in a moment
 *     │       ├── KeyMissingError               enrol
 *     │       └── KeyInvalidatedError           enrol again
 *     └── UsageError                 the call itself is wrong
 *
 * Messages are lower case, have no full stop and never hold a secret. What to do next is in `hint`.
 */
package dev.modelkeep

/**
 * Base of every error that modelkeep throws on purpose.
 *
 * @property hint what to do next, or null.
 */
public abstract class KeepError(message: String, public val hint: String?, cause: Throwable? = null) :
    Exception(message, cause)

/** A check said no; trying again with the same things will say no again. */
public open class RefusedError(message: String, hint: String? = null) : KeepError(message, hint)

/** The signature is missing, does not verify, or covers other things than these. */
public class SignatureError(message: String, hint: String? = null) : RefusedError(message, hint)

/** The signature verifies, but no trusted key or root stands behind it. */
public class UntrustedSignerError(message: String, hint: String? = null) : RefusedError(message, hint)

/** The publisher is trusted, but this is another model than the one expected. */
public class WrongModelError(message: String, hint: String? = null) : RefusedError(message, hint)

/** Bytes differ from the bytes that were signed or sealed. */
public class TamperedError(message: String, hint: String? = null) : RefusedError(message, hint)

/** Older than the verifier allows, or than what the device remembers. */
public class RollbackError(message: String, hint: String? = null) : RefusedError(message, hint)

/** Outside its time: not valid yet, no longer valid, or older than allowed. */
public class ExpiredError(message: String, hint: String? = null) : RefusedError(message, hint)

/** The device does not prove the state that the grant requires. */
public class PostureError(message: String, hint: String? = null) : RefusedError(message, hint)

/**
 * One way in which an input breaks its contract.
 *
 * @property code stable reason code, for example `dtype` or `not-finite`.
 * @property input name of the input.
 * @property expected what the contract asks for, in words.
 * @property found what was there, in words; never the input's values.
 */
public class Finding(
    public val code: String,
    public val input: String,
    public val expected: String,
    public val found: String,
) {
    override fun toString(): String = "$input: $code: expected $expected, found $found"
}

/**
 * An input breaks the model's contract; the model must not run.
 *
 * @property findings at most one for every input.
 */
public class InputError(public val findings: List<Finding>, hint: String? = null) :
    RefusedError(findings.joinToString("; "), hint)

/** No grant fits this identity; the bundle itself may be in perfect order. */
public class NotForThisDeviceError(message: String, hint: String? = null) : KeepError(message, hint)

/** The bytes do not have the form that the specification asks for. */
public open class MalformedError(message: String, hint: String? = null) : KeepError(message, hint)

/** Well-formed, but made by a newer modelkeep or with a choice that this library does not have. */
public class UnsupportedVersionError(message: String, hint: String? = null) : MalformedError(message, hint)

/** Something outside is missing or broken; fix it and try again. */
public abstract class UnavailableError(message: String, hint: String?, cause: Throwable?) :
    KeepError(message, hint, cause)

/** A file cannot be read, written or replaced. */
public class StorageError(message: String, hint: String? = null, cause: Throwable? = null) :
    UnavailableError(message, hint, cause)

/** A cryptographic provider of this device lacks something, or failed for a reason of its own. */
public class PlatformError internal constructor(
    cause: Throwable,
    hint: String = "see the API levels in the README; install a newer provider, for example Conscrypt",
) : UnavailableError("a cryptographic provider failed: ${cause.javaClass.simpleName}: ${cause.message}", hint, cause)

/** A key cannot be found, unlocked or used. */
public open class KeyStoreError(message: String, hint: String? = null, cause: Throwable? = null) :
    UnavailableError(message, hint, cause)

/** The user has not authenticated lately, or the device is locked: show the BiometricPrompt, then call again. */
public class AuthenticationRequiredError(cause: Throwable) :
    KeyStoreError("the key needs the user's authentication", "show the prompt, then try again", cause)

/** The Keystore is busy or failed for a reason that passes: call again in a moment. */
public class KeyBusyError(cause: Throwable) :
    KeyStoreError("the Keystore is busy", "try again in a moment", cause)

/** There is no key of this name: enrol, and have the models granted. */
public class KeyMissingError(message: String) : KeyStoreError(message, "enrol first")

/** The key is gone for good, for example because a fingerprint was added: enrol again. */
public class KeyInvalidatedError(cause: Throwable) :
    KeyStoreError("the key was invalidated", "enrol again and ask the publisher for a new grant", cause)

/** The call itself is wrong: an argument, their combination, or the order of calls. */
public class UsageError(message: String, hint: String? = null) : KeepError(message, hint)
