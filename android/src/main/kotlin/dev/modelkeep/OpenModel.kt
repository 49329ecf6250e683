package dev.modelkeep

import dev.modelkeep.guard.ContractCheck
import dev.modelkeep.memory.ModelMemory
import java.nio.ByteBuffer
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger

/**
 * A model in memory; made by [SecureModelLoader.open]. Closing it wipes the memory.
 *
 * @property report what was checked.
 * @property format what the files are, for example `tflite`.
 * @property entries ways to run the model, the usual one first; none for a plain set of files.
 */
public class OpenModel internal constructor(
    public val report: Report,
    public val format: String,
    public val entries: List<Entry>,
    private val memory: Map<String, ModelMemory>,
    private val clock: Clock,
) : AutoCloseable {
    private val isOpen = AtomicBoolean(true)

    /** The model itself and its leases; the memory goes with the last of them. */
    private val holders = AtomicInteger(1)

    /** Path of the file that a runtime is handed, or null for a plain set of files. */
    public val entry: String? get() = entries.firstOrNull()?.path

    /** What inputs of the first entry must look like, or null when nobody says. */
    public val contract: Contract? get() = entries.firstOrNull()?.contract

    /** Paths of all files of the model. */
    public val paths: Set<String> get() = memory.keys

    /**
     * Returns a file of the model as a read-only direct buffer in native byte order, without copying it.
     * Close the interpreter that uses the buffer before closing the model, or hold a [lease].
     *
     * @param path one of [paths]; the entry by default.
     * @throws UsageError the model is closed, has no such file, or the file has 2 GiB or more: take [buffers].
     */
    @JvmOverloads
    @Throws(KeepError::class)
    public fun buffer(path: String? = entry): ByteBuffer = find(path).readable()

    /**
     * Returns a file of the model of any size, as read-only direct buffers in native byte order that follow each other.
     * Files of less than 2 GiB give one. What [buffer] says of closing holds here, too.
     *
     * @throws UsageError the model is closed, or has no such file.
     */
    @JvmOverloads
    @Throws(KeepError::class)
    public fun buffers(path: String? = entry): List<ByteBuffer> = find(path).parts()

    private fun find(path: String?): ModelMemory {
        if (!isOpen.get()) throw closed()
        return memory[path] ?: throw UsageError("the model has no such file", "see paths")
    }

    /**
     * Checks that the grant has not ended, and inputs against the contract, where there is one; call it before every run.
     *
     * @param inputs tensors by input name.
     * @param entry which of [entries] is run; the first one by default.
     * @throws ExpiredError the grant has ended since the model was opened.
     * @throws InputError an input breaks the contract, or cannot be checked: do not run the model.
     */
    @JvmOverloads
    @Throws(KeepError::class)
    public fun check(inputs: Map<String, Tensor>, entry: Entry? = entries.firstOrNull()) {
        if (report.notAfter != null && clock.forEnds() > report.notAfter) {
            throw ExpiredError("the grant has expired", "ask the publisher for a new grant")
        }
        val findings = entry?.contract?.let { ContractCheck.check(it, inputs) }.orEmpty()
        if (findings.isNotEmpty()) throw InputError(findings, "the contract says what the model takes")
    }

    /**
     * Keeps the memory as it is until what this returns is closed, even if the model is closed before: for whoever runs a
     * model that others may close. While it is held, [buffer] and [check] of a closed model still throw.
     *
     * @throws UsageError the model is closed.
     */
    @Throws(KeepError::class)
    public fun lease(): AutoCloseable {
        do {
            val count = holders.get()
            if (count == 0 || !isOpen.get()) throw closed()
        } while (!holders.compareAndSet(count, count + 1))
        val isHeld = AtomicBoolean(true)
        return AutoCloseable { if (isHeld.getAndSet(false)) letGo() }
    }

    /**
     * Wipes the memory, as soon as no [lease] is left; harmless when repeated. A buffer that somebody kept reads as
     * zeros from then on.
     */
    override fun close() {
        if (isOpen.getAndSet(false)) letGo()
    }

    private fun letGo() {
        if (holders.decrementAndGet() == 0) memory.values.forEach(ModelMemory::close)
    }

    private fun closed() = UsageError("this model is closed", "open it again")

    /**
     * What was checked when a model was opened.
     *
     * @property model the model's id.
     * @property release version for people, may be empty.
     * @property epoch release counter: hand it to [Verifier] as the lowest one to accept from now on.
     * @property bundle the bundle's id in hexadecimal.
     * @property signer who signed.
     * @property deviceId the name under which the grant was issued, may be empty.
     * @property notAfter last second since 1970-01-01 UTC at which the grant counts, or null. Advisory: the
     *   clock of a phone is its owner's.
     */
    public class Report internal constructor(
        public val model: String,
        public val release: String,
        public val epoch: Long,
        public val bundle: String,
        public val signer: String,
        public val deviceId: String,
        public val notAfter: Long?,
    )
}
