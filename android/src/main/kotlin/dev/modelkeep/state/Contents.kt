package dev.modelkeep.state

import dev.modelkeep.RollbackError
import dev.modelkeep.document.ReleaseOrder

/** The newest metadata seen of a role of an update repository; kept, since this library reads none. */
internal class TufRole(val version: Long, val keys: String)

/**
 * What a device remembers. Source: spec/install-v1.md, section 5.
 *
 * @property trust the newest trust file of each set of roots, and the time, oldest entry first.
 * @property adoptedBy for whom alone this counts, since it is not the newest that there was; null for a state that was
 *   never lost.
 * @property generation 16 random bytes in hexadecimal, new at each change.
 * @property counter what a hardware counter says as long as this counts; null without one, as in the Android Keystore.
 */
internal class Contents(
    val models: LinkedHashMap<String, ModelState> = LinkedHashMap(),
    var trust: List<TrustEntry> = emptyList(),
    val tuf: Map<String, TufRole> = emptyMap(),
    val adoptedBy: Set<String>? = null,
    var generation: String = "00".repeat(GENERATION),
    val counter: Long? = null,
) {
    /** Returns what is known of a model, to be changed. */
    fun model(model: String): ModelState = models.getOrPut(model, ::ModelState)

    fun floor(model: String, judge: Judge): Floor = Floor.of(models[model]?.marks.orEmpty(), model, judge)

    /** Accepts a release that is no older than what was installed. */
    fun check(model: String, order: ReleaseOrder, bundle: String, judge: Judge) = floor(model, judge).check(order, bundle)

    /** Accepts readers of a trust file whose roots adopted this, where it had to be adopted. */
    fun checkAdopted(seen: SeenTrust?) {
        if (adoptedBy == null || seen != null && seen.voucher in adoptedBy) return
        throw RollbackError(
            "the newest state of this device is lost, and an older one counts for others alone",
            "get a ticket by the roots of your trust file that adopts it, or make a new key",
        )
    }

    /**
     * Remembers a trust file and the time, which [time] makes of the one that is remembered; returns whether that is news,
     * as a day or more ahead is.
     */
    fun see(seen: SeenTrust, time: (Long) -> Long): Boolean {
        val before = trust
        trust = TrustEntry.with(before, seen)
        val isNewer = trust != before
        val known = timeFor(seen)
        val now = maxOf(known, time(known))
        trust = trust.map { if (it.isOf(seen)) it.copy(time = now) else it }
        return isNewer || now >= known + DAY
    }

    /** Returns the seconds since 1970-01-01 UTC that have passed for readers of a trust file. */
    fun timeFor(seen: SeenTrust?): Long = seen?.let { TrustEntry.timeFor(trust, it) } ?: 0

    companion object {
        const val GENERATION = 16
        private const val DAY = 86_400
    }
}
