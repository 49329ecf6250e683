package dev.modelkeep.trust

import dev.modelkeep.document.Manifest
import dev.modelkeep.document.SignerId
import dev.modelkeep.json.Record
import dev.modelkeep.keys.Constraints

/**
 * Who may sign bundles, and its limits. Source: spec/trust-v1.md, section 3.
 *
 * @property key its key; null for an identity of Sigstore, whose signatures are not verified on Android.
 * @property models model ids, `prefix/` and a star for every id below, or a star for every one.
 */
internal class Publisher private constructor(record: Record) {
    private val identity = if ("sigstore" in record) record.nested("sigstore") { SigstoreIdentity(this) } else null
    val key: EcdsaKey? = if (identity == null) pemKey(record.anything("key")) else null
    private val models = names(record, "models")
    private val families = names(record, "families")
    private val notBefore = record.integer("not_before", highest = Constraints.LATEST_TIME)
    private val notAfter = record.integer("not_after", highest = Constraints.LATEST_TIME)

    init {
        val areModels = models.isNotEmpty() && models.all { it == EVERY || Manifest.isModelId(it.removeSuffix(BELOW)) }
        if (!areModels) throw record.fault("models", "is not a list of model ids and patterns")
    }

    val isIdentity: Boolean get() = identity != null

    /** Returns whether [signer] is this publisher. */
    fun isBehind(signer: SignerId): Boolean =
        if (identity == null) key?.fingerprint == signer.key else identity.isBehind(signer)

    /** Returns whether [model] is one of this publisher's models, whatever the time. */
    fun signs(model: String): Boolean = models.any { pattern ->
        pattern == EVERY || pattern == model ||
            pattern.endsWith(BELOW) && model.startsWith(pattern.removeSuffix(EVERY))
    }

    /** Returns whether model, family and time of sealing are within its limits. */
    fun maySign(release: SignedRelease): Boolean =
        signs(release.model) && families.any { it == EVERY || it == release.family } &&
            release.sealedAt in notBefore..notAfter

    companion object {
        private const val EVERY = "*"
        private const val BELOW = "/*"
        private const val MOST_NAMES = 1024

        fun read(item: Any?): Publisher = Record.readClosed(item, "trust file: publisher") { Publisher(this) }

        private fun names(record: Record, name: String): List<String> =
            record.items(name, MOST_NAMES).map { it as? String ?: throw record.fault(name, "must list names") }
    }
}
