package dev.modelkeep.container

import dev.modelkeep.MalformedError

/** Which files an archive may hold, in their order, and which of them must be there. */
internal enum class Form(val sections: List<String>, val required: List<String>, val mostSignatures: Int) {
    /** Source: spec/bundle-v1.md, section 1. */
    BUNDLE(
        listOf(Names.MANIFEST, Names.SIGNATURE, Names.SIGNATURES, "grants", "leaves", "payload"),
        listOf(Names.MANIFEST),
        mostSignatures = 64,
    ),

    /** Source: spec/install-v1.md, section 1. */
    INSTALLATION(
        listOf(Names.INSTALL, Names.MANIFEST, Names.SIGNATURE, Names.SIGNATURES, "payload"),
        listOf(Names.INSTALL, Names.MANIFEST, Names.SIGNATURE),
        mostSignatures = 1,
    ),
}

/** Which file of a container may follow which, and how large each may be. */
internal class Order(private val form: Form) {
    private var section = -1
    private val counts = IntArray(form.sections.size)

    /** Accepts the next file or says why not. */
    fun check(name: String, size: Long) {
        val (place, index) = split(name)
        val limit = LIMITS.getValue(form.sections[place])
        if (place < section || index != counts[place]) throw MalformedError("bundle: $name is out of order")
        val most = if (form.sections[place] == Names.SIGNATURES) form.mostSignatures else limit.most
        if (index >= most) throw MalformedError("bundle: too many files under ${form.sections[place]}")
        if (size > limit.largest) throw MalformedError("bundle: $name is larger than allowed")
        section = place
        counts[place]++
    }

    /** Checks that nothing is missing. */
    fun finish() {
        form.required.firstOrNull { count(it) == 0 }?.let { throw MalformedError("bundle: has no $it") }
        if ("leaves" in form.sections && count("leaves") != count("payload")) {
            throw MalformedError("bundle: leaves and payload do not match")
        }
    }

    /** Returns where among the sections a file belongs. */
    fun place(name: String): Int = split(name).first

    private fun count(section: String): Int = counts[form.sections.indexOf(section)]

    private fun split(name: String): Pair<Int, Int> {
        val whole = form.sections.indexOf(name)
        if (whole >= 0 && LIMITS.getValue(name).most == 1) return whole to 0
        val match = INDEXED.matchEntire(name)
        val place = form.sections.indexOf(match?.groupValues?.get(1))
        if (match == null || place < 0) {
            throw MalformedError("bundle: a file in it does not belong into a bundle")
        }
        return place to match.groupValues[2].toInt()
    }

    private class Limit(val most: Int, val largest: Long)

    private companion object {
        const val MOST_MEMBERS = 65_537
        val INDEXED = Regex("([a-z]+)/(0|[1-9][0-9]{0,4})")
        val LIMITS = mapOf(
            Names.INSTALL to Limit(1, 65_536),
            Names.MANIFEST to Limit(1, 1L shl 20),
            Names.SIGNATURE to Limit(1, 8L shl 20),
            "leaves" to Limit(MOST_MEMBERS, Long.MAX_VALUE),
            "payload" to Limit(MOST_MEMBERS, Long.MAX_VALUE),
            Names.SIGNATURES to Limit(64, 128L shl 10),
            "grants" to Limit(1024, 8192),
        )
    }
}
