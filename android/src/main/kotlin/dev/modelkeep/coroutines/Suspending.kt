package dev.modelkeep.coroutines

import android.content.Context
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.DeviceKey
import dev.modelkeep.Identity
import dev.modelkeep.InstallReport
import dev.modelkeep.KeyProtection
import dev.modelkeep.OpenModel
import dev.modelkeep.SecureModelLoader
import java.io.File
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withContext

/*
 * What takes long, for callers with coroutines. Cancelling interrupts the work, which ends at the next segment, and leaves
 * nothing behind. Needs org.jetbrains.kotlinx:kotlinx-coroutines-core, which this library does not bring along.
 */

/** [DeviceKey.openOrEnrol] on another thread: security chips take seconds to make a key. A key that is being made is made to its end. */
public suspend fun DeviceKey.openOrEnrolSuspending(
    context: Context,
    name: String,
    protection: KeyProtection = KeyProtection(),
    dispatcher: CoroutineDispatcher = Dispatchers.IO,
): Identity = withContext(dispatcher) { openOrEnrol(context, name, protection) }

/** [SecureModelLoader.open] on another thread. A model that is ready too late, when nobody waits any more, is closed. */
public suspend fun SecureModelLoader.openSuspending(
    file: File,
    grants: File? = null,
    dispatcher: CoroutineDispatcher = Dispatchers.IO,
): OpenModel {
    var opened: OpenModel? = null
    try {
        return runInterruptible(dispatcher) { open(file, grants).also { opened = it } }
    } catch (error: CancellationException) {
        opened?.close()
        throw error
    }
}

/** [SecureModelLoader.install] on another thread. */
public suspend fun SecureModelLoader.installSuspending(
    bundle: File,
    target: File,
    grants: File? = null,
    dispatcher: CoroutineDispatcher = Dispatchers.IO,
): InstallReport = runInterruptible(dispatcher) { install(bundle, target, grants) }

/** [SecureModelLoader.verify] on another thread. */
public suspend fun SecureModelLoader.verifySuspending(file: File, dispatcher: CoroutineDispatcher = Dispatchers.IO): Unit =
    runInterruptible(dispatcher) { verify(file) }

/**
 * Runs [action], which uses a key, and shows the prompt when the key asks for it, once.
 *
 * @param prompt returns when the user has authenticated, and throws otherwise; [DevicePrompt.authenticate] is one.
 */
public suspend fun <T> authenticating(prompt: suspend () -> Unit, action: suspend () -> T): T {
    try {
        return action()
    } catch (_: AuthenticationRequiredError) {
        prompt()
    }
    return action()
}
