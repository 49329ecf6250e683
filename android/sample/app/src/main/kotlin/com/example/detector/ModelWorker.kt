package com.example.detector

import android.content.Context
import androidx.work.BackoffPolicy
import androidx.work.Constraints
import androidx.work.CoroutineWorker
import androidx.work.ExistingWorkPolicy
import androidx.work.NetworkType
import androidx.work.OneTimeWorkRequestBuilder
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import androidx.work.workDataOf
import dev.modelkeep.AuthenticationRequiredError
import dev.modelkeep.KeepError
import dev.modelkeep.KeyBusyError
import dev.modelkeep.MalformedError
import dev.modelkeep.NotForThisDeviceError
import dev.modelkeep.RefusedError
import dev.modelkeep.StorageError
import dev.modelkeep.coroutines.installSuspending
import dev.modelkeep.coroutines.verifySuspending
import java.io.IOException
import java.net.URL
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runInterruptible

/** Downloads a bundle and its grant, verifies them, and installs them where the key lets it, while the app is not looked at. */
class ModelWorker(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
    private val files = ModelFiles(applicationContext)

    override suspend fun doWork(): Result =
        try {
            fetch()
            install()
        } catch (_: IOException) {
            Result.retry()
        } catch (error: KeepError) {
            outcome(error)
        }

    private fun outcome(error: KeepError): Result {
        when (error) {
            // No room, a busy Keystore, or a grant that is not there yet.
            is StorageError, is KeyBusyError, is NotForThisDeviceError -> return Result.retry()
            // Not what a trusted publisher signed, or too old: the same bytes will not get better.
            is RefusedError, is MalformedError -> files.downloaded.delete()
        }
        return Result.failure(workDataOf("message" to error.message, "hint" to error.hint))
    }

    private suspend fun fetch() {
        val address = checkNotNull(inputData.getString(ADDRESS))
        runInterruptible(Dispatchers.IO) {
            Download(URL("$address.grants"), files.grants).run()
            if (!files.downloaded.exists()) Download(URL(address), files.downloaded).run()
        }
    }

    private suspend fun install(): Result {
        val key = runInterruptible(Dispatchers.IO) { files.key() }
        val loader = files.loader(key)
        try {
            loader.installSuspending(files.downloaded, files.installed)
        } catch (_: AuthenticationRequiredError) {
            // Nobody is there to show a prompt to: the activity installs it. What is broken is found out now.
            loader.verifySuspending(files.downloaded)
            return Result.success()
        }
        files.downloaded.delete()
        return Result.success()
    }

    companion object {
        private const val ADDRESS = "address"

        /** Asks for the bundle at [address] once there is a network that costs nothing, and room. */
        fun enqueue(context: Context, address: String) {
            val conditions = Constraints.Builder()
                .setRequiredNetworkType(NetworkType.UNMETERED)
                .setRequiresStorageNotLow(true)
                .build()
            val request = OneTimeWorkRequestBuilder<ModelWorker>()
                .setConstraints(conditions)
                .setInputData(workDataOf(ADDRESS to address))
                .setBackoffCriteria(BackoffPolicy.EXPONENTIAL, 1, TimeUnit.MINUTES)
                .build()
            WorkManager.getInstance(context).enqueueUniqueWork("model", ExistingWorkPolicy.KEEP, request)
        }
    }
}
