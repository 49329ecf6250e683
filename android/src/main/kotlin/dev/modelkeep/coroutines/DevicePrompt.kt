package dev.modelkeep.coroutines

import android.content.Context
import android.hardware.biometrics.BiometricManager.Authenticators
import android.hardware.biometrics.BiometricPrompt
import android.os.Build
import android.os.CancellationSignal
import dev.modelkeep.Authentication
import dev.modelkeep.UsageError
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlinx.coroutines.CancellableContinuation
import kotlinx.coroutines.suspendCancellableCoroutine

/**
 * Why the user was not authenticated.
 *
 * @property code one of the constants `BIOMETRIC_ERROR_...` of [BiometricPrompt].
 * @property isCancelledByUser the user closed the prompt: ask again only when asked to.
 */
public class PromptError internal constructor(public val code: Int, message: String) : Exception(message) {
    public val isCancelledByUser: Boolean get() = code == BiometricPrompt.BIOMETRIC_ERROR_USER_CANCELED
}

/**
 * The system's own prompt for a fingerprint, a face, or the screen lock; from API 30 on.
 *
 * @param context of an activity that is in the foreground.
 * @param title what the user reads.
 * @param authentication as the key was made with.
 */
public class DevicePrompt(
    private val context: Context,
    private val title: String,
    private val authentication: Authentication = Authentication.BIOMETRIC_OR_CREDENTIAL,
) {
    /**
     * Shows the prompt and returns when the user has authenticated. A finger that was not recognised is no end: the prompt
     * stays. Cancelling the coroutine takes the prompt away.
     *
     * @throws PromptError the user or the system closed it, there are too many tries, or nothing is enrolled.
     * @throws UsageError older than API 30.
     */
    public suspend fun authenticate() {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.R) throw UsageError("the prompt needs API 30", "use androidx.biometric")
        suspendCancellableCoroutine(::show)
    }

    private fun show(continuation: CancellableContinuation<Unit>) {
        val signal = CancellationSignal()
        continuation.invokeOnCancellation { signal.cancel() }
        val prompt = BiometricPrompt.Builder(context).setTitle(title).setAllowedAuthenticators(allowed())
        if (authentication == Authentication.BIOMETRIC) {
            // Without the screen lock as a way out the system asks for a button.
            prompt.setNegativeButton(context.getText(android.R.string.cancel), context.mainExecutor) { _, _ ->
                continuation.end(PromptError(BiometricPrompt.BIOMETRIC_ERROR_USER_CANCELED, "cancelled"))
            }
        }
        prompt.build().authenticate(signal, context.mainExecutor, Answer(continuation))
    }

    private fun allowed(): Int =
        if (authentication == Authentication.BIOMETRIC) Authenticators.BIOMETRIC_STRONG
        else Authenticators.BIOMETRIC_STRONG or Authenticators.DEVICE_CREDENTIAL

    private class Answer(private val continuation: CancellableContinuation<Unit>) : BiometricPrompt.AuthenticationCallback() {
        override fun onAuthenticationSucceeded(result: BiometricPrompt.AuthenticationResult) {
            if (continuation.isActive) continuation.resume(Unit)
        }

        override fun onAuthenticationError(code: Int, message: CharSequence) =
            continuation.end(PromptError(code, message.toString()))
    }
}

// The system may answer twice, for example a button and then the end of the prompt.
private fun CancellableContinuation<Unit>.end(error: PromptError) {
    if (isActive) resumeWithException(error)
}
