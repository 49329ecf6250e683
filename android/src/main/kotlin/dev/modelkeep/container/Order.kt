package dev.modelkeep.container

import dev.modelkeep.MalformedError

/** Which file of a bundle may follow which, and how large each may be. Source: spec/bundle-v1.md, section 1. */
internal class Order {
    private var section = -1
    private val counts = IntArray(SECTIONS.size)

    /** Accepts the next file or says why not. */
    fun check(name: String, size: Long) {
        val (place, index) = split(name)
        if (place < section || index != counts[place]) throw MalformedError("bundle: $name is out of order")
        if (index >= SECTIONS[place].most) {
            throw MalformedError("bundle: too many files under ${SECTIONS[place].name}")
        }
        if (size > SECTIONS[place].largest) throw MalformedError("bundle: $name is larger than allowed")
        section = place
        counts[place]++
    }

    /** Checks that nothing is missing. */
    fun finish() {
        if (counts[0] == 0) throw MalformedError("bundle: has no manifest.json")
        if (counts[LEAVES] != counts[PAYLOAD]) throw MalformedError("bundle: leaves and payload do not match")
    }

    private fun split(name: String): Pair<Int, Int> {
        val whole = SECTIONS.indexOfFirst { it.most == 1 && it.name == name }
        if (whole >= 0) return whole to 0
        val match = INDEXED.matchEntire(name)
        val place = SECTIONS.indexOfFirst { it.most > 1 && it.name == match?.groupValues?.get(1) }
        if (match == null || place < 0) {
            throw MalformedError("bundle: a file in it does not belong into a bundle")
        }
        return place to match.groupValues[2].toInt()
    }

    private class Section(val name: String, val most: Int, val largest: Long)

    private companion object {
        const val MOST_MEMBERS = 65_537
        const val LEAVES = 2
        const val PAYLOAD = 3
        val INDEXED = Regex("([a-z]+)/(0|[1-9][0-9]{0,4})")
        val SECTIONS = listOf(
            Section(Names.MANIFEST, 1, 1L shl 20),
            Section(Names.SIGNATURE, 1, 8L shl 20),
            Section("leaves", MOST_MEMBERS, Long.MAX_VALUE),
            Section("payload", MOST_MEMBERS, Long.MAX_VALUE),
            Section("signatures", 64, 8L shl 20),
            Section("grants", 1024, 8192),
        )
    }
}
