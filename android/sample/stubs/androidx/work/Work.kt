package androidx.work

import android.content.Context
import java.util.concurrent.TimeUnit

/*
 * Has the shape of WorkManager 2.10, as far as the sample uses it, so that the sample compiles without it.
 */

class WorkerParameters

class Data(private val values: Map<String, Any?>) {
    fun getString(key: String): String? = values[key] as String?
}

fun workDataOf(vararg pairs: Pair<String, Any?>): Data = Data(pairs.toMap())

abstract class ListenableWorker(val applicationContext: Context) {
    abstract class Result {
        companion object {
            fun success(): Result = Success()

            fun retry(): Result = Retry()

            fun failure(outputData: Data): Result = Failure(outputData)
        }
    }

    class Success : Result()

    class Retry : Result()

    class Failure(val outputData: Data) : Result()
}

@Suppress("UNUSED_PARAMETER")
abstract class CoroutineWorker(context: Context, parameters: WorkerParameters) : ListenableWorker(context) {
    val inputData: Data get() = INPUT

    abstract suspend fun doWork(): Result

    companion object {
        var INPUT = Data(emptyMap())
    }
}

enum class NetworkType { UNMETERED }

enum class BackoffPolicy { EXPONENTIAL }

enum class ExistingWorkPolicy { KEEP }

class Constraints private constructor() {
    @Suppress("UNUSED_PARAMETER")
    class Builder {
        fun setRequiredNetworkType(type: NetworkType): Builder = this

        fun setRequiresStorageNotLow(isRequired: Boolean): Builder = this

        fun build(): Constraints = Constraints()
    }
}

class OneTimeWorkRequest private constructor() {
    @Suppress("UNUSED_PARAMETER")
    class Builder {
        fun setConstraints(constraints: Constraints): Builder = this

        fun setInputData(data: Data): Builder = this

        fun setBackoffCriteria(policy: BackoffPolicy, delay: Long, unit: TimeUnit): Builder = this

        fun build(): OneTimeWorkRequest = OneTimeWorkRequest()
    }
}

@Suppress("UNUSED_TYPE_PARAMETER")
inline fun <reified W : ListenableWorker> OneTimeWorkRequestBuilder(): OneTimeWorkRequest.Builder = OneTimeWorkRequest.Builder()

@Suppress("UNUSED_PARAMETER")
class WorkManager private constructor() {
    fun enqueueUniqueWork(name: String, policy: ExistingWorkPolicy, request: OneTimeWorkRequest): Any = Unit

    companion object {
        fun getInstance(context: Context): WorkManager = WorkManager()
    }
}
