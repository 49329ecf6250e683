package dev.modelkeep.payload

import dev.modelkeep.TamperedError
import java.nio.ByteBuffer
import java.security.MessageDigest
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/** The SHA-256 of a stream whose segments come from several threads: each waits until those before its own are in. */
internal class OrderedDigest(private val expected: ByteArray) {
    private val digest = MessageDigest.getInstance("SHA-256")
    private val lock = ReentrantLock()
    private val changed = lock.newCondition()
    private var next = 0
    private var isGivenUp = false

    /** Takes what remains of [segment], whose position stays as it is. */
    fun update(index: Int, segment: ByteBuffer) = lock.withLock {
        while (next < index && !isGivenUp) changed.await()
        digest.update(segment.duplicate())
        next++
        changed.signalAll()
    }

    /** Lets all go on who wait for a segment that will not come. */
    fun giveUp() = lock.withLock {
        isGivenUp = true
        changed.signalAll()
    }

    fun finish() {
        if (!digest.digest().contentEquals(expected)) {
            throw TamperedError("payload: a file is not the one that was signed")
        }
    }
}

/** Runs [action]; if it fails, nobody waits for its segment. */
internal inline fun releasing(digest: OrderedDigest?, action: () -> Unit) =
    try {
        action()
    } catch (error: Throwable) {
        digest?.giveUp()
        throw error
    }
