package com.example.detector

import android.content.Context
import dev.modelkeep.DeviceKey
import dev.modelkeep.Identity
import dev.modelkeep.SecureModelLoader
import dev.modelkeep.Verifier
import java.io.File

/** Where things are, and whom this app trusts; nothing of it is backed up. */
class ModelFiles(private val context: Context) {
    /** What was downloaded and waits to be installed; its grant lies beside it. */
    val downloaded = File(context.noBackupFilesDir, "downloads/detector.keep")
    val grants = File("${downloaded.path}.grants")
    val installed = File(context.noBackupFilesDir, "detector.keep")

    fun key(): Identity = DeviceKey.openOrEnrol(context, ALIAS)

    fun deleteKey() = DeviceKey.delete(context, ALIAS)

    fun loader(key: Identity) = SecureModelLoader(context, key, Verifier(PUBLISHER, "acme/detector"))

    private companion object {
        const val ALIAS = "model-key"

        /** The publisher's public key, as `modelkeep keys create --kind signing` printed it. */
        const val PUBLISHER = "-----BEGIN PUBLIC KEY-----\n...\n-----END PUBLIC KEY-----\n"
    }
}
