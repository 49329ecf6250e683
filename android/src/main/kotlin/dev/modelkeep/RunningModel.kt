package dev.modelkeep

import java.nio.ByteBuffer
import java.util.concurrent.locks.ReentrantReadWriteLock
import kotlin.concurrent.read
import kotlin.concurrent.write

/**
 * A runtime together with the model whose memory it reads; made by [running]. Closing it waits for those who run the model,
 * then closes the runtime, and then the model.
 *
 * @property model the open model; leave closing it to this.
 */
public class RunningModel<R : AutoCloseable> internal constructor(public val model: OpenModel, private val runtime: R) :
    AutoCloseable {
    private val users = ReentrantReadWriteLock()
    private var isOpen = true

    /**
     * Checks the inputs against the model's contract and hands the runtime to [action], which nobody closes meanwhile.
     *
     * @throws InputError an input breaks the contract; the model did not run.
     * @throws UsageError this is closed.
     */
    @Throws(KeepError::class)
    public fun <T> run(inputs: Map<String, Tensor>, action: (R) -> T): T = users.read {
        if (!isOpen) throw UsageError("this model is closed", "open it again")
        model.check(inputs)
        action(runtime)
    }

    /** Closes the runtime and then the model; harmless when repeated. Not from within [run]. */
    override fun close(): Unit = users.write {
        if (!isOpen) return
        isOpen = false
        model.use { runtime.close() }
    }
}

/**
 * Hands the model to a runtime: `loader.open(file).running { Interpreter(it) }` for LiteRT, or
 * `running { environment.createSession(it) }` for ONNX Runtime. If [make] fails, the model is closed.
 *
 * @param make makes the runtime from the buffer of the model's first entry.
 * @throws UsageError the model has no entry, or is closed.
 */
@Throws(KeepError::class)
public fun <R : AutoCloseable> OpenModel.running(make: (ByteBuffer) -> R): RunningModel<R> =
    try {
        RunningModel(this, make(buffer()))
    } catch (error: Throwable) {
        close()
        throw error
    }
