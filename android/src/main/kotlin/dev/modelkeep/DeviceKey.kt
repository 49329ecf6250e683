package dev.modelkeep

import android.content.Context
import dev.modelkeep.keystore.Keystore
import dev.modelkeep.state.StateLock
import java.io.File

/** The key of this device for an app that does not want to choose: in the best place that the device has. */
public object DeviceKey {
    /**
     * Returns the key of this name, and makes it where there is none: a [KeystoreIdentity] where the secure world does key
     * agreement itself, else a [WrappedIdentity] in a file that is not backed up. Whoever calls this at the same time, here or in
     * another process, gets the same key.
     *
     * @param protection what a key is made with; one that is there must be kept no less carefully.
     * @throws KeyInvalidatedError the key is gone for good: [delete] it, call again, and have the models granted anew.
     * @throws KeyMissingError the same.
     * @throws AuthenticationRequiredError show the prompt, then call again.
     * @throws KeyStoreError the Keystore refuses, or the key is kept less carefully than [protection] says.
     * @throws InterruptedException this thread was interrupted while it waited for whoever makes the key.
     */
    @JvmStatic
    @JvmOverloads
    @Throws(KeepError::class, InterruptedException::class)
    public fun openOrEnrol(context: Context, name: String, protection: KeyProtection = KeyProtection()): Identity {
        val file = file(context, name)
        return open(file, name, protection) ?: StateLock.locked(File("${file.path}.lock")) { _ ->
            open(file, name, protection) ?: enrol(context, file, name, protection)
        }
    }

    private fun open(file: File, name: String, protection: KeyProtection): Identity? = when {
        file.exists() -> WrappedIdentity.open(file, protection)
        Keystore.contains(name) -> KeystoreIdentity.open(name, protection)
        else -> null
    }

    private fun enrol(context: Context, file: File, name: String, protection: KeyProtection): Identity =
        if (KeystoreIdentity.isSupported(context)) {
            KeystoreIdentity.enrol(name, protection)
        } else {
            WrappedIdentity.enrol(name, file, protection)
        }

    /** Deletes the key of this name, if there is one. What was granted to it and what it installed opens no more. */
    @JvmStatic
    @Throws(KeepError::class)
    public fun delete(context: Context, name: String) {
        WrappedIdentity.delete(file(context, name))
        Keystore.delete(name)
    }

    private fun file(context: Context, name: String) = File(context.noBackupFilesDir, "modelkeep/$name.key")
}
