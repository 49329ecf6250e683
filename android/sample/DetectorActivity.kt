package com.example.detector

import android.os.Bundle
import androidx.biometric.BiometricManager.Authenticators.BIOMETRIC_STRONG
import androidx.biometric.BiometricManager.Authenticators.DEVICE_CREDENTIAL
import androidx.biometric.BiometricPrompt
import androidx.core.content.ContextCompat
import androidx.fragment.app.FragmentActivity
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.KeepError
import dev.modelkeep.KeyInvalidatedError
import dev.modelkeep.KeyStoreError
import dev.modelkeep.KeystoreIdentity
import dev.modelkeep.OpenModel
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Tensor
import dev.modelkeep.Verifier
import java.io.File
import java.nio.ByteBuffer
import java.util.concurrent.Executors
import org.tensorflow.lite.Interpreter

/** Opens a sealed LiteRT model after the user authenticated. A sample: it is not compiled with the library. */
class DetectorActivity : FragmentActivity() {
    private val worker = Executors.newSingleThreadExecutor()
    private var model: OpenModel? = null
    private var interpreter: Interpreter? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        worker.execute(::openModel)
    }

    override fun onDestroy() {
        // In this order: the interpreter reads the model's memory until it is closed.
        worker.execute {
            interpreter?.close()
            model?.close()
        }
        worker.shutdown()
        super.onDestroy()
    }

    private fun openModel() {
        try {
            val loader = SecureModelLoader(identity(), Verifier(PUBLISHER, "acme/detector", lowestEpoch()))
            val opened = loader.open(File(filesDir, "detector.keep"))
            model = opened
            rememberEpoch(opened.report.epoch)
            interpreter = Interpreter(opened.buffer())
        } catch (_: AuthenticationRequiredError) {
            runOnUiThread(::authenticate)
        } catch (_: KeyInvalidatedError) {
            sendToServer(KeystoreIdentity.enrol(ALIAS).recipient().toString())
        } catch (error: KeepError) {
            showMessage("${error.message}. ${error.hint.orEmpty()}")
        }
    }

    private fun detect(input: ByteBuffer, output: ByteBuffer) {
        model?.check(mapOf("image" to Tensor("float32", intArrayOf(1, 224, 224, 3), input)))
        interpreter?.run(input, output)
    }

    private fun identity(): KeystoreIdentity =
        try {
            KeystoreIdentity.open(ALIAS)
        } catch (error: KeyStoreError) {
            if (error is KeyInvalidatedError) throw error
            KeystoreIdentity.enrol(ALIAS).also { sendToServer(it.recipient().toString()) }
        }

    private fun authenticate() {
        val callback = object : BiometricPrompt.AuthenticationCallback() {
            override fun onAuthenticationSucceeded(result: BiometricPrompt.AuthenticationResult) {
                worker.execute(::openModel)
            }
        }
        val prompt = BiometricPrompt.PromptInfo.Builder()
            .setTitle("Open the model")
            .setAllowedAuthenticators(BIOMETRIC_STRONG or DEVICE_CREDENTIAL)
            .build()
        BiometricPrompt(this, ContextCompat.getMainExecutor(this), callback).authenticate(prompt)
    }

    private fun lowestEpoch(): Long = getPreferences(MODE_PRIVATE).getLong("epoch", 0)

    private fun rememberEpoch(epoch: Long) = getPreferences(MODE_PRIVATE).edit().putLong("epoch", epoch).apply()

    private fun sendToServer(recipient: String) = showMessage("have the model granted to: $recipient")

    private fun showMessage(text: String) = runOnUiThread { title = text }

    private companion object {
        const val ALIAS = "model-key"

        /** The publisher's public key, as `modelkeep keys create --kind signing` printed it. */
        const val PUBLISHER = "-----BEGIN PUBLIC KEY-----\n...\n-----END PUBLIC KEY-----\n"
    }
}
