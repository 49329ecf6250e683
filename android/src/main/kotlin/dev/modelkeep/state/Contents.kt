package dev.modelkeep.state

import dev.modelkeep.document.ReleaseOrder

/** The newest metadata seen of a role of an update repository; kept, since this library reads none. */
internal class TufRole(val version: Long, val keys: String)

/**
 * What a device remembers. Source: spec/install-v1.md, section 5.
 *
 * @property trust the newest trust file of each set of roots, oldest entry first.
 * @property time seconds since 1970-01-01 UTC that have certainly passed.
 * @property generation 16 random bytes in hexadecimal, new at each change.
 * @property counter what a hardware counter says as long as this counts; null without one, as in the Android Keystore.
 */
internal class Contents(
    val models: LinkedHashMap<String, ModelState> = LinkedHashMap(),
    var trust: List<TrustEntry> = emptyList(),
    val tuf: Map<String, TufRole> = emptyMap(),
    var time: Long = 0,
    var generation: String = "00".repeat(GENERATION),
    val counter: Long? = null,
) {
    /** Returns what is known of a model, to be changed. */
    fun model(model: String): ModelState = models.getOrPut(model, ::ModelState)

    fun floor(model: String, judge: Judge): Floor = Floor.of(models[model]?.marks.orEmpty(), model, judge)

    /** Accepts a release that is no older than what was installed. */
    fun check(model: String, order: ReleaseOrder, bundle: String, judge: Judge) = floor(model, judge).check(order, bundle)

    /** Remembers a trust file; returns whether that changed anything. */
    fun see(seen: SeenTrust): Boolean {
        val before = trust
        trust = TrustEntry.with(before, seen)
        return trust != before
    }

    /** Remembers a time that has passed; returns whether it was a day or more ahead. */
    fun seeTime(time: Long): Boolean {
        val isNews = time >= this.time + DAY
        this.time = maxOf(this.time, time)
        return isNews
    }

    companion object {
        const val GENERATION = 16
        private const val DAY = 86_400
    }
}
