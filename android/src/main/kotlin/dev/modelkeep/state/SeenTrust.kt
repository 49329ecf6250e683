package dev.modelkeep.state

import dev.modelkeep.RollbackError

/**
 * A verified trust file, as far as a device remembers it. Digests, fingerprints and ids are in hexadecimal.
 *
 * @property keys fingerprints of the root keys in force.
 * @property threshold how many of them must have signed.
 * @property set the name of the chain of roots documents; null for loose keys.
 * @property documents digest of each verified document of the chain, by its number.
 */
internal class SeenTrust(
    val number: Long,
    val keys: Set<String>,
    val threshold: Int,
    val set: String? = null,
    val documents: Map<Long, String> = emptyMap(),
)

/**
 * What is remembered of one set of roots. Source: spec/trust-v1.md, section 6.
 *
 * @property set the name of the chain; null for loose keys.
 * @property roots the number of its newest document seen; 0 for loose keys.
 * @property rootsDigest that document's digest; null for loose keys.
 * @property number the number of the newest trust file seen.
 */
internal data class TrustEntry(
    val set: String?,
    val roots: Long,
    val rootsDigest: String?,
    val keys: Set<String>,
    val threshold: Int,
    val number: Long,
) {
    /** Returns whether [seen] must not be older than this entry's file. */
    fun countsFor(seen: SeenTrust): Boolean {
        if (set != null && set == seen.set) {
            checkBranch(seen)
            return true
        }
        return keys.intersect(seen.keys).size >= minOf(threshold, seen.threshold)
    }

    fun isOf(other: TrustEntry): Boolean = set == other.set && (set != null || keys == other.keys)

    private fun checkBranch(seen: SeenTrust) {
        if ((seen.documents.keys.maxOrNull() ?: 0) < roots) {
            throw RollbackError("the trust file's roots end before document $roots, which this device has seen", NEWEST)
        }
        // Nothing is known of a document from before the configured one, which vouches for the rest.
        if (seen.documents.getOrElse(roots) { rootsDigest } != rootsDigest) {
            throw RollbackError(
                "there are two roots documents with number $roots",
                "somebody has signed both: report it to the publisher, and trust neither",
            )
        }
    }

    companion object {
        private const val NEWEST = "bring the newest trust file of the publisher"

        fun of(seen: SeenTrust): TrustEntry {
            val roots = seen.documents.keys.maxOrNull() ?: 0
            return TrustEntry(seen.set, roots, seen.documents[roots], seen.keys, seen.threshold, seen.number)
        }

        /**
         * Returns [entries] after [seen]: every entry that counts for it is raised to its number. Otherwise roots that
         * were exchanged and come back would bring old files back.
         */
        fun with(entries: List<TrustEntry>, seen: SeenTrust): List<TrustEntry> {
            val counting = entries.filter { it.countsFor(seen) }
            val known = counting.maxOfOrNull { it.number } ?: 0
            if (seen.number < known) {
                throw RollbackError("trust file ${seen.number} is older than $known, which this device has seen", NEWEST)
            }
            val own = of(seen)
            val raised = entries.map { if (it in counting) it.copy(number = seen.number) else it }
            val isNew = raised.none { it.isOf(own) }
            return raised.map { if (it.isOf(own)) own else it } + if (isNew) listOf(own) else emptyList()
        }
    }
}
