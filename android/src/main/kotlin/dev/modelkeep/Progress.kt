package dev.modelkeep

/** Is told how far a model is while it is opened or installed; see [SecureModelLoader.reporting]. */
public fun interface Progress {
    /**
     * Called for every segment (1 MiB), by the threads that work, one at a time; what it throws ends the work.
     *
     * @param done bytes of the model's files that were taken in hand so far; grows up to [total].
     */
    public fun at(done: Long, total: Long)
}

/** Adds up what several threads do. */
internal class ProgressMeter(private val total: Long, private val listener: Progress?) {
    private var done = 0L

    @Synchronized
    fun add(bytes: Int) {
        done += bytes
        listener?.at(done, total)
    }
}
