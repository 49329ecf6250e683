package dev.modelkeep.document

import dev.modelkeep.json.Record

/**
 * What an inner manifest says of golden vectors, which are tried where releases are: not here.
 * Source: spec/golden-v1.md, section 1.
 */
internal object GoldenNotes {
    private const val MOST_CASES = 1024L
    private const val MOST_RANGES = 1024

    /** Takes the member `golden`; returns the file of the cases, which is one of [files]. */
    fun path(record: Record, files: Collection<String>): String =
        record.nested("golden") {
            integer("cases", 1, MOST_CASES)
            for (name in listOf("absolute", "relative")) tolerance(this, name) ?: throw fault(name, "is missing")
            tolerance(this, "latency")
            InputContracts.switch(this, "guard")
            if ("ranges" in this) ranges(this)
            text("path").also { if (it !in files) throw fault("path", "names no file, or one of the model's") }
        }

    private fun tolerance(record: Record, name: String): Double? =
        InputContracts.bound(record, name)?.also { if (it < 0) throw record.fault(name, "is less than 0") }

    private fun ranges(record: Record) {
        val items = record.items("ranges", MOST_RANGES)
        if (items.isEmpty()) throw record.fault("ranges", "must not be empty when present")
        items.forEach { Record.read(it, "inner manifest: range", ::range) }
    }

    private fun range(record: Record) {
        record.text("name")
        val ends = listOf("minimum", "maximum").mapNotNull { InputContracts.bound(record, it) }
        if (ends.isEmpty() || ends != ends.sorted()) throw record.fault("minimum", "and 'maximum' are no range")
    }
}
