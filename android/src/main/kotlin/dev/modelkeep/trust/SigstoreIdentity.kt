package dev.modelkeep.trust

import dev.modelkeep.document.SignerId
import dev.modelkeep.json.Record
import dev.modelkeep.sha256
import dev.modelkeep.toHexadecimal

/** A person or a workflow as Sigstore knows it. Source: spec/trust-v1.md, section 3. */
internal class SigstoreIdentity(record: Record) {
    private val identity = name(record, "identity")
    private val issuer = name(record, "issuer")

    /** Returns whether [signer], who was verified elsewhere, is this identity; its keys last for minutes. */
    fun isBehind(signer: SignerId): Boolean {
        val kind = if ("://" in identity) "uri" else "email"
        return signer == SignerId(signer.key, sha256(issuer.encodeToByteArray()).toHexadecimal(), kind, identity)
    }

    private companion object {
        fun name(record: Record, name: String): String {
            val text = record.text(name)
            if (text.isEmpty() || text.any(Char::isISOControl)) throw record.fault(name, "must be a printable name")
            return text
        }
    }
}
