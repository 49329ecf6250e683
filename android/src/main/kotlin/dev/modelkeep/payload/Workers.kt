package dev.modelkeep.payload

import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicReference

/** Threads beyond four wait for memory on the phones of today. */
private const val MOST_THREADS = 4

internal fun threadCount(segments: Int): Int =
    minOf(segments, MOST_THREADS, Runtime.getRuntime().availableProcessors())

/**
 * Runs [work] on several threads, the caller's among them, and throws the first failure. The function
 * that work gets deals out segment numbers; after a failure it deals out none that exist.
 */
internal fun onThreads(count: Int, work: (next: () -> Int) -> Unit) {
    val counter = AtomicInteger()
    val failure = AtomicReference<Throwable>()
    val guarded = Runnable {
        try {
            work { if (failure.get() == null) counter.getAndIncrement() else Int.MAX_VALUE }
        } catch (error: Throwable) {
            failure.compareAndSet(null, error)
        }
    }
    val helpers = List(count - 1) { Thread(guarded, "modelkeep-$it") }
    helpers.forEach(Thread::start)
    guarded.run()
    helpers.forEach(::joinFully)
    failure.get()?.let { throw it }
}

/** Waits to the end even when interrupted: the helpers write into memory that the caller will wipe. */
private fun joinFully(thread: Thread) {
    var wasInterrupted = false
    while (thread.isAlive) {
        try {
            thread.join()
        } catch (_: InterruptedException) {
            wasInterrupted = true
        }
    }
    if (wasInterrupted) Thread.currentThread().interrupt()
}
