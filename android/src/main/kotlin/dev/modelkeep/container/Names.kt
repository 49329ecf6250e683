package dev.modelkeep.container

/** Names of the files in bundles and installations. Source: spec/bundle-v1.md and spec/install-v1.md, section 1. */
internal object Names {
    const val INSTALL = "install.json"
    const val MANIFEST = "manifest.json"
    const val SIGNATURE = "model.sig"
    const val SIGNATURES = "signatures"
    const val SECOND_SIGNATURE = "signatures/0"
    const val GRANTS = "grants/"

    fun leaves(index: Int): String = "leaves/$index"

    fun payload(index: Int): String = "payload/$index"

    fun isPayload(name: String): Boolean = name.startsWith("payload/")

    fun isContent(name: String): Boolean = isPayload(name) || name.startsWith("leaves/")

    /** Returns the names that a statement over all files lists, for a bundle of [members] members. */
    fun signedFiles(members: Int): Set<String> =
        (0 until members).flatMapTo(hashSetOf(MANIFEST)) { listOf(leaves(it), payload(it)) }
}
