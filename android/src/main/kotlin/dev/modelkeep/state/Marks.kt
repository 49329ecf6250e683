package dev.modelkeep.state

import dev.modelkeep.RollbackError
import dev.modelkeep.StorageError
import dev.modelkeep.document.ReleaseOrder
import dev.modelkeep.document.SignerId

/*
 * Which releases a device has installed, who signed them, and the floor that follows. A mark counts as long as whoever
 * judges vouches for its signer and does not call its bundle void: so a publisher who is not trusted for a model raises no floor of it, and a key that is
 * trusted no more holds none up. Source: spec/install-v1.md, section 5.
 */

/** Whom a verifier believes, whatever the time. */
internal interface Judge {
    fun vouches(model: String, signer: SignerId): Boolean

    /** Returns whether what is remembered of [bundle] does not count. */
    fun voids(bundle: String): Boolean

    /** Returns the lowest place that a trust file accepts of [model], or null. */
    fun floor(model: String): ReleaseOrder?
}

/**
 * A release that was installed.
 *
 * @property bundle id of its bundle in hexadecimal.
 * @property voucher for whom it was installed: the roots of the trust file, or the key that signed it where there was
 *   none. Whoever that is may take the mark back, nobody else.
 */
internal data class Mark(val signer: SignerId, val order: ReleaseOrder, val bundle: String, val voucher: String) {
    /** A signer counts once for each voucher: whoever takes marks back has made nobody else's give way. */
    val source: Pair<SignerId, String> get() = signer to voucher

    fun countsFor(judge: Judge, model: String) = !judge.voids(bundle) && judge.vouches(model, signer)
}

/**
 * The lowest place that counts.
 *
 * @property bundle the only bundle that counts at that very place, or null where every one does.
 */
internal class Floor(val order: ReleaseOrder, val bundle: String?) {
    fun check(order: ReleaseOrder, bundle: String) {
        if (order < this.order) {
            throw RollbackError("release $order is older than ${this.order}, which counts here", HINT)
        }
        if (order == this.order && this.bundle != null && this.bundle != bundle) {
            throw RollbackError("another release stands at the place $order", SAME_PLACE_HINT)
        }
    }

    companion object {
        private const val HINT = "get a newer release of the model"
        private const val SAME_PLACE_HINT =
            "two were sealed with one epoch in one second: seal this one again, or with a higher epoch"

        /** Of two marks at one place the later one counts, and a mark counts before a trust file's floor at its place. */
        fun of(marks: List<Mark>, model: String, judge: Judge): Floor {
            var floor = Floor(judge.floor(model) ?: ReleaseOrder.FIRST, null)
            for (mark in marks) {
                if (mark.order >= floor.order && mark.countsFor(judge, model)) floor = Floor(mark.order, mark.bundle)
            }
            return floor
        }
    }
}

internal const val MOST_SIGNERS = 16
internal const val MOST_OF_ONE_SIGNER = 4

/** Returns the marks with [new] as the latest, and of the same signer's others the highest three. */
internal fun List<Mark>.with(new: Mark): List<Mark> {
    val others = filter { it.source != new.source }
    if (others.distinctBy { it.source }.size >= MOST_SIGNERS) {
        throw StorageError(
            "the device's state has no room for another signer of this model",
            "$MOST_SIGNERS signers have installed it; a ticket can take away what some of them signed",
        )
    }
    val own = filter { it.source == new.source && it != new }.sortedBy { it.order }
    // Higher ones may be void, and then it is the new one that counts.
    return others + (own.takeLast(MOST_OF_ONE_SIGNER - 1) + new).sortedBy { it.order }
}
