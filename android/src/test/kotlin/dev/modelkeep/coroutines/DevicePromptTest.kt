package dev.modelkeep.coroutines

import android.content.Context
import android.hardware.biometrics.BiometricAuthenticator
import android.hardware.biometrics.BiometricManager.Authenticators
import android.hardware.biometrics.BiometricPrompt
import android.hardware.biometrics.IAuthService
import android.hardware.biometrics.IBiometricServiceReceiver
import android.hardware.biometrics.PromptInfo
import android.os.ServiceManager
import dev.modelkeep.Authentication
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.fake.FakeContext
import dev.modelkeep.fake.FakePhone
import java.io.File
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.supervisorScope
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Tag
import org.junit.jupiter.api.Test

/** The framework's own prompt, over a service that does what a user or the system would. */
@Tag("platform")
internal class DevicePromptTest {
    private lateinit var answer: IBiometricServiceReceiver
    private lateinit var shown: PromptInfo
    private var isTakenAway = false

    @BeforeEach
    fun switchOn() {
        FakePhone().switchOn()
        val service = FakePhone.proxy<IAuthService> { _, method, arguments ->
            if (method.name == "cancelAuthentication") isTakenAway = true
            if (method.name != "authenticate") return@proxy null
            answer = arguments[3] as IBiometricServiceReceiver
            shown = arguments[5] as PromptInfo
            1L
        }
        ServiceManager.register(Context.AUTH_SERVICE, FakePhone.binderOf(service))
    }

    /** Shows the prompt, lets [act] happen, and returns how it ended. */
    private fun outcome(authentication: Authentication = Authentication.BIOMETRIC_OR_CREDENTIAL, act: () -> Unit): Throwable? = runBlocking {
        supervisorScope {
            val prompt = DevicePrompt(FakeContext(File(".")), "Open the model", authentication)
            val job = async(Dispatchers.Unconfined, CoroutineStart.UNDISPATCHED) { prompt.authenticate() }
            assertFalse(job.isCompleted)
            act()
            runCatching { job.await() }.exceptionOrNull()
        }
    }

    @Test
    fun `the user authenticates, at the second try`() {
        val error = outcome {
            answer.onAuthenticationFailed()
            answer.onAcquired(0, "press harder")
            answer.onAuthenticationSucceeded(BiometricPrompt.AUTHENTICATION_RESULT_TYPE_BIOMETRIC)
        }
        assertEquals(null, error)
        assertEquals(Authenticators.BIOMETRIC_STRONG or Authenticators.DEVICE_CREDENTIAL, shown.authenticators)
    }

    @Test
    fun `what the user or the system says is said`() {
        val codes = mapOf(
            BiometricPrompt.BIOMETRIC_ERROR_USER_CANCELED to true, BiometricPrompt.BIOMETRIC_ERROR_CANCELED to false,
            BiometricPrompt.BIOMETRIC_ERROR_LOCKOUT to false, BiometricPrompt.BIOMETRIC_ERROR_NO_BIOMETRICS to false,
            BiometricPrompt.BIOMETRIC_ERROR_TIMEOUT to false,
        )
        for ((code, isTheirs) in codes) {
            val error = outcome { answer.onError(BiometricAuthenticator.TYPE_NONE, code, 0) } as PromptError
            assertEquals(code to isTheirs, error.code to error.isCancelledByUser)
        }
    }

    @Test
    fun `a prompt for biometrics alone has a button, and what comes after it changes nothing`() {
        val error = outcome(Authentication.BIOMETRIC) {
            answer.onDialogDismissed(BiometricPrompt.DISMISSED_REASON_NEGATIVE)
            answer.onError(BiometricAuthenticator.TYPE_NONE, BiometricPrompt.BIOMETRIC_ERROR_CANCELED, 0)
            answer.onAuthenticationSucceeded(BiometricPrompt.AUTHENTICATION_RESULT_TYPE_BIOMETRIC)
        }
        assertTrue((error as PromptError).isCancelledByUser)
        assertEquals(Authenticators.BIOMETRIC_STRONG, shown.authenticators)
        assertEquals("text", shown.negativeButtonText)
    }

    @Test
    fun `cancelling takes the prompt away`() = runBlocking {
        val job = async(Dispatchers.Unconfined, CoroutineStart.UNDISPATCHED) { DevicePrompt(FakeContext(File(".")), "Open").authenticate() }
        job.cancelAndJoin()
        assertTrue(isTakenAway)
    }

    @Test
    fun `a key asks for it, and what was closed is not asked twice`() {
        val prompt = DevicePrompt(FakeContext(File(".")), "Open")
        var tries = 0
        assertThrows(PromptError::class.java) {
            runBlocking(Dispatchers.Unconfined) {
                val job = async(kotlinx.coroutines.SupervisorJob(), CoroutineStart.UNDISPATCHED) {
                    authenticating(prompt::authenticate) {
                        tries++
                        throw AuthenticationRequiredError(Exception())
                    }
                }
                answer.onError(BiometricAuthenticator.TYPE_NONE, BiometricPrompt.BIOMETRIC_ERROR_USER_CANCELED, 0)
                job.await()
            }
        }
        assertEquals(1, tries)
    }
}
