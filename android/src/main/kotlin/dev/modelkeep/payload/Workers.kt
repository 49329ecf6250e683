package dev.modelkeep.payload

import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicReference

/** Threads beyond four wait for memory on the phones of today. */
private const val MOST_THREADS = 4
private const val IDLE_SECONDS = 10L

/** One set of helpers for all that is opened at the same time; none of them stays when nothing is to do. */
private val helpers = ThreadPoolExecutor(
    MOST_THREADS - 1,
    MOST_THREADS - 1,
    IDLE_SECONDS,
    TimeUnit.SECONDS,
    LinkedBlockingQueue(),
) { Thread(it, "modelkeep").apply { isDaemon = true } }.apply { allowCoreThreadTimeOut(true) }

internal fun threadCount(segments: Int): Int =
    minOf(segments, MOST_THREADS, Runtime.getRuntime().availableProcessors())

/** Throws when the caller's thread was interrupted: whoever cancels need not wait for the rest of a model. */
internal fun checkInterrupt() {
    if (Thread.interrupted()) throw InterruptedException("cancelled")
}

/**
 * Runs [work] on several threads, the caller's among them, and throws the first failure, or InterruptedException when
 * the caller was interrupted. The function that work gets deals out segment numbers; after a failure it deals out none
 * that exist. Helpers that are busy elsewhere are done without.
 */
internal fun onThreads(count: Int, work: (next: () -> Int) -> Unit) {
    val task = SharedTask(Thread.currentThread(), work)
    val runs = List(count - 1) { HelperRun(task) }
    runs.forEach(helpers::execute)
    task.run()
    // One that has not begun need not begin; to the others there is an end, and they write into the caller's memory.
    runs.filterNot(helpers::remove).forEach(HelperRun::awaitFully)
    task.finish()
}

private class SharedTask(private val caller: Thread, private val work: (next: () -> Int) -> Unit) {
    private val counter = AtomicInteger()
    private val failure = AtomicReference<Throwable>()

    fun run() {
        try {
            work(::next)
        } catch (error: InterruptedException) {
            // Comes before the failures of helpers whose channel the interrupt closed.
            failure.set(error)
        } catch (error: Throwable) {
            failure.compareAndSet(null, error)
        }
    }

    /** Lasts, where the mark of a thread is gone once somebody has seen it. */
    fun cancel() = failure.set(InterruptedException("cancelled"))

    private fun next(): Int {
        if (caller.isInterrupted) cancel()
        return if (failure.get() == null) counter.getAndIncrement() else Int.MAX_VALUE
    }

    fun finish() {
        checkInterrupt()
        failure.get()?.let { throw it }
    }
}

private class HelperRun(private val task: SharedTask) : Runnable {
    private val isOver = CountDownLatch(1)

    override fun run() =
        try {
            task.run()
        } finally {
            isOver.countDown()
        }

    /** Waits to the end even when interrupted, which is then soon. */
    fun awaitFully() {
        var wasInterrupted = false
        while (isOver.count > 0) {
            try {
                isOver.await()
            } catch (_: InterruptedException) {
                wasInterrupted = true
                task.cancel()
            }
        }
        if (wasInterrupted) Thread.currentThread().interrupt()
    }
}
