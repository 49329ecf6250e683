package dev.modelkeep.keys

import dev.modelkeep.ExpiredError
import dev.modelkeep.Now
import dev.modelkeep.PostureError
import dev.modelkeep.RefusedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.UsageError
import dev.modelkeep.json.Record

/**
 * What a grant demands of whoever opens it. Source: spec/grant-v1.md, section 5.
 *
 * @property notBefore first second at which the grant counts, or null.
 * @property notAfter last second at which it counts, or null.
 * @property posture names of what the device must be found to be, ascending.
 * @property delegate may the holder grant the bundle to others?
 */
internal class Constraints(
    val notBefore: Long? = null,
    val notAfter: Long? = null,
    val posture: List<String> = emptyList(),
    val delegate: Boolean = false,
) {
    fun toJson(): Map<String, Any?> =
        mapOf(
            "not_before" to notBefore,
            "not_after" to notAfter,
            "posture" to posture.ifEmpty { null },
            "delegate" to if (delegate) true else null,
        ).filterValues { it != null }

    /** Checks that the grant counts [now] on a device that was found to be [shown]. */
    fun check(now: Now, shown: Set<String>) {
        if (notBefore != null && now.begins < notBefore) {
            throw ExpiredError("the grant is not valid yet", "check the clock of this device")
        }
        if (notAfter != null && now.ends > notAfter) {
            throw ExpiredError("the grant has expired", "ask the publisher for a new grant")
        }
        val missing = posture.filter { it !in shown }
        if (missing.isNotEmpty()) {
            throw PostureError("the grant demands a posture that was not shown: ${missing.joinToString()}")
        }
    }

    /** Refuses times at which nothing would ever open: a grant that was over before it was made helps nobody. */
    fun checkWindow(now: Long) {
        if (notAfter == null) return
        if (notAfter < now) throw UsageError("the grant would have ended already", "give a later end")
        if (notBefore != null && notBefore > notAfter) throw UsageError("the grant would end before it begins")
    }

    /** Returns the constraints of a grant that the holder of this one makes for somebody else. */
    fun delegated(wanted: Constraints): Constraints {
        if (!delegate) {
            throw RefusedError("this grant may not be passed on", "use an identity that holds an admin grant")
        }
        val states = (posture + wanted.posture).distinct().sorted()
        if (states.size > MOST_POSTURES) throw UsageError("constraint: at most $MOST_POSTURES postures")
        return Constraints(
            listOfNotNull(notBefore, wanted.notBefore).maxOrNull(),
            listOfNotNull(notAfter, wanted.notAfter).minOrNull(),
            states,
            wanted.delegate,
        )
    }

    companion object {
        const val LATEST_TIME = 253_402_300_799
        private const val MOST_POSTURES = 16
        private val KNOWN = setOf("not_before", "not_after", "posture", "delegate", "ext")
        private val POSTURE = Regex("[a-z0-9][a-z0-9._-]{0,63}")

        fun isPosture(name: String): Boolean = POSTURE.matches(name)

        fun read(value: Any?): Constraints =
            Record.read(value, "grant: constraints") {
                firstUnknown(KNOWN)?.let {
                    val problem = "grant: constraint '${it.take(64)}' is not known to this version"
                    throw UnsupportedVersionError(problem, "update modelkeep")
                }
                Constraints(moment(this, "not_before"), moment(this, "not_after"), postures(this), delegate(this))
            }

        private fun moment(record: Record, name: String): Long? =
            if (name in record) record.integer(name, highest = LATEST_TIME) else null

        private fun postures(record: Record): List<String> {
            if ("posture" !in record) return emptyList()
            val names = record.items("posture", MOST_POSTURES).map { it as? String ?: "" }
            if (names.isEmpty() || !names.all(POSTURE::matches)) {
                throw record.fault("posture", "must list names of postures")
            }
            if (names != names.distinct().sorted()) {
                throw record.fault("posture", "must be in ascending order without repetition")
            }
            return names
        }

        private fun delegate(record: Record): Boolean {
            if ("delegate" !in record) return false
            if (!record.boolean("delegate")) throw record.fault("delegate", "must be true when present")
            return true
        }
    }
}
