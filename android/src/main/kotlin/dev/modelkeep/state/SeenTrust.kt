package dev.modelkeep.state

import dev.modelkeep.RollbackError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal

/**
 * A verified trust file, as far as a device remembers it. Digests, fingerprints and ids are in hexadecimal.
 *
 * @property keys fingerprints of the root keys in force.
 * @property threshold how many of them must have signed.
 * @property set the name of the chain of roots documents; null for loose keys.
 * @property documents digest of each verified document of the chain, by its number.
 */
internal data class SeenTrust(
    val number: Long,
    val keys: Set<String>,
    val threshold: Int,
    val set: String? = null,
    val documents: Map<Long, String> = emptyMap(),
) {
    val voucher: String get() = TrustEntry.voucher(set, keys, threshold)
}

/**
 * What is remembered of one set of roots. Source: spec/trust-v1.md, section 6.
 *
 * @property set the name of the chain; null for loose keys.
 * @property roots the number of its newest document seen; 0 for loose keys.
 * @property rootsDigest that document's digest; null for loose keys.
 * @property number the number of the newest trust file seen.
 * @property time seconds since 1970-01-01 UTC that have passed, as these roots' files let a device remember.
 */
internal data class TrustEntry(
    val set: String?,
    val roots: Long,
    val rootsDigest: String?,
    val keys: Set<String>,
    val threshold: Int,
    val number: Long,
    val time: Long = 0,
) {
    /** The name by which a device remembers for whom something counted. */
    val voucher: String get() = voucher(set, keys, threshold)

    /**
     * Returns whether [seen] must not be older than this entry's file. What is remembered of a chain counts for that chain
     * alone: anybody can name anybody's keys in a chain of his own.
     */
    fun countsFor(seen: SeenTrust): Boolean {
        if (set == null) return keys.intersect(seen.keys).size >= minOf(threshold, seen.threshold)
        if (set == seen.set) checkBranch(seen)
        return set == seen.set
    }

    fun isOf(seen: SeenTrust): Boolean =
        set == seen.set && (set != null || keys == seen.keys && threshold == seen.threshold)

    private fun checkBranch(seen: SeenTrust) {
        if ((seen.documents.keys.maxOrNull() ?: 0) < roots) {
            throw RollbackError("the trust file's roots end before document $roots, which this device has seen", NEWEST)
        }
        if (seen.documents[roots] != rootsDigest) {
            throw RollbackError(
                "there are two roots documents with number $roots",
                "somebody has signed both: report it to the publisher, and trust neither",
            )
        }
    }

    companion object {
        private const val NEWEST = "bring the newest trust file of the publisher"

        fun of(seen: SeenTrust, time: Long): TrustEntry {
            val roots = seen.documents.keys.maxOrNull() ?: 0
            return TrustEntry(seen.set, roots, seen.documents[roots], seen.keys, seen.threshold, seen.number, time)
        }

        fun voucher(set: String?, keys: Set<String>, threshold: Int): String {
            if (set != null) return set
            val members = mapOf("keys" to keys.sorted(), "threshold" to threshold.toLong())
            return sha256(CanonicalJson.encode(members)).toHexadecimal()
        }

        /**
         * Returns [entries] after [seen]: every entry of loose keys that counts for a file of loose keys is raised to its
         * number. Otherwise keys that were exchanged and come back would bring old files back.
         */
        fun with(entries: List<TrustEntry>, seen: SeenTrust): List<TrustEntry> {
            val counting = entries.filter { it.countsFor(seen) }
            val known = counting.maxOfOrNull { it.number } ?: 0
            if (seen.number < known) {
                throw RollbackError("trust file ${seen.number} is older than $known, which this device has seen", NEWEST)
            }
            val own = of(seen, timeFor(entries, seen))
            val raised = entries.map { if (seen.set == null && it in counting) it.copy(number = seen.number) else it }
            val isNew = entries.none { it.isOf(seen) }
            return raised.map { if (it.isOf(seen)) own else it } + if (isNew) listOf(own) else emptyList()
        }

        /** Returns the time that has passed for readers of [seen]: of roots that are new, what counts for them. */
        fun timeFor(entries: List<TrustEntry>, seen: SeenTrust): Long {
            val own = entries.filter { it.isOf(seen) }.ifEmpty { entries.filter { it.countsFor(seen) } }
            return own.maxOfOrNull { it.time } ?: 0
        }
    }
}
