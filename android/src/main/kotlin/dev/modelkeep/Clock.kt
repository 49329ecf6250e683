package dev.modelkeep

/**
 * The time, as far as somebody stands behind it. What has to have begun and what may have ended are judged by different
 * times: a time that a publisher wrote makes things end, and never begin. Source: spec/trust-v1.md, section 8. Android
 * does not say whether its clock is held to a time server, so that nobody vouches for it here.
 *
 * @param reading what the clock shows, in seconds since 1970-01-01 UTC.
 * @param floor a moment that has certainly passed, as the device remembers it.
 * @param built the moment before which the clock cannot be right.
 */
internal class Clock(private val reading: () -> Long, private val floor: Long = 0, private val built: Long = 0) {
    fun noEarlierThan(moment: Long) = Clock(reading, maxOf(floor, moment), built)

    /** Returns the present time by which something has to have begun. */
    fun forBegins(): Long = maxOf(reading(), floor, built)

    /** Returns the present time by which something may have ended; a publisher signed [signed]. */
    fun forEnds(signed: Long = 0): Long = maxOf(forBegins(), signed)

    /** Returns what a device may remember: never beyond the [expiry] of what its roots can mend. */
    fun persistable(expiry: Long?): Long {
        val isPlausible = reading() >= maxOf(floor, built)
        return if (expiry == null || !isPlausible) floor else maxOf(floor, minOf(reading(), expiry))
    }

    companion object {
        /** This version was not written before. */
        private const val BUILT_AT = 1_795_651_200L

        fun system() = Clock({ System.currentTimeMillis() / 1000 }, built = BUILT_AT)
    }
}

/** The present time, for what has to have begun and for what may have ended. */
internal class Now(val begins: Long, val ends: Long)
