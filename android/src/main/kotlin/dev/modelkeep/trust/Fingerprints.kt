package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.json.Record
import dev.modelkeep.toHexadecimal

/** Takes an ascending list of ids of [length] bytes, as hexadecimal. */
internal fun Record.ascending(name: String, length: Int, longest: Int): Set<String> {
    val ids = items(name, longest).map { item ->
        Record.read(mapOf("id" to item), "trust file: $name") { hexadecimal("id", length).toHexadecimal() }
    }
    if (ids != ids.distinct().sorted()) throw fault(name, "must be in ascending order without repetition")
    return ids.toSet()
}

/** Reads a public key of a signed document. */
internal fun pemKey(item: Any?): EcdsaKey =
    (item as? String)?.takeIf { it.length <= LARGEST_PEM }?.let(EcdsaKey::fromPem)
        ?: throw MalformedError("trust file: not a PEM public key on a supported curve")

/** Takes format and version of a signed document. */
internal fun Record.checkFormat(format: String) {
    if (text("format") != format) throw fault("format", "must be '$format'")
    if (integer("version") != 1L) throw UnsupportedVersionError("$format: made by a newer version", "update modelkeep")
}

private const val LARGEST_PEM = 1024
