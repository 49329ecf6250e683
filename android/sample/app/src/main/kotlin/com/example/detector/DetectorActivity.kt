package com.example.detector

import android.app.Activity
import android.os.Bundle
import dev.modelkeep.Identity
import dev.modelkeep.KeepError
import dev.modelkeep.KeyInvalidatedError
import dev.modelkeep.KeyMissingError
import dev.modelkeep.NotForThisDeviceError
import dev.modelkeep.RunningModel
import dev.modelkeep.Tensor
import dev.modelkeep.coroutines.DevicePrompt
import dev.modelkeep.coroutines.PromptError
import dev.modelkeep.coroutines.authenticating
import dev.modelkeep.coroutines.installSuspending
import dev.modelkeep.coroutines.openSuspending
import dev.modelkeep.running
import java.nio.ByteBuffer
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.tensorflow.lite.Interpreter

/** Installs a sealed LiteRT model once, and runs it after the user authenticated. */
class DetectorActivity : Activity() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main)
    private val files by lazy { ModelFiles(this) }
    private val prompt by lazy { DevicePrompt(this, "Open the model") }
    private var detector: RunningModel<Interpreter>? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        ModelWorker.enqueue(this, "https://models.example.com/detector.keep")
        scope.launch { open() }
    }

    override fun onDestroy() {
        scope.cancel()
        detector?.close()
        super.onDestroy()
    }

    private suspend fun open() {
        try {
            detector = authenticating(prompt::authenticate) { openInstalled(key()) }
        } catch (_: NotForThisDeviceError) {
            show("have the model granted to: ${key().recipient("phone-17")}")
        } catch (_: KeyInvalidatedError) {
            enrolAgain()
        } catch (_: KeyMissingError) {
            enrolAgain()
        } catch (error: PromptError) {
            show(if (error.isCancelledByUser) "open the model when you like" else error.message.orEmpty())
        } catch (error: KeepError) {
            show("${error.message}. ${error.hint.orEmpty()}")
        }
    }

    private suspend fun openInstalled(key: Identity): RunningModel<Interpreter> {
        val loader = files.loader(key)
        // What the worker could not install without the user.
        if (files.downloaded.exists()) {
            loader.installSuspending(files.downloaded, files.installed)
            files.downloaded.delete()
        }
        return loader.openSuspending(files.installed).running { Interpreter(it) }
    }

    /** Call it from one thread at a time: that is LiteRT's rule. */
    fun detect(image: ByteBuffer, output: ByteBuffer) {
        val inputs = mapOf("image" to Tensor("float32", intArrayOf(1, 224, 224, 3), image))
        detector?.run(inputs) { it.run(image, output) }
    }

    private suspend fun key(): Identity = withContext(Dispatchers.IO) { files.key() }

    private suspend fun enrolAgain() {
        withContext(Dispatchers.IO) { files.deleteKey() }
        show("have the model granted to: ${key().recipient("phone-17")}")
    }

    private fun show(text: String) {
        title = text
    }
}
