package dev.modelkeep.state

import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.document.ReleaseOrder
import dev.modelkeep.document.SignerId
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.toHexadecimal

/**
 * The JSON form of what a device remembers; what this version does not know is refused, since a reader that passed over
 * it would forget what it says. Source: spec/install-v1.md, section 5.
 */
internal object ContentsJson {
    const val MOST_MODELS = 10_000
    const val MOST_ROOT_SETS = 1000
    private const val FORMAT = "modelkeep/state"
    private const val MOST_ROOT_KEYS = 64
    private const val MOST_ADOPTERS = 64
    private const val MOST_ROLES = 256
    private const val MOST_QUARANTINED = 64
    private const val ID = 16
    private const val DIGEST = 32
    private val STAGES = Stage.values().associateBy { it.name.lowercase() }

    fun encode(contents: Contents): ByteArray = CanonicalJson.encode(
        mapOf(
            "adopted_by" to contents.adoptedBy?.sorted(),
            "counter" to contents.counter,
            "format" to FORMAT,
            "generation" to contents.generation,
            "models" to contents.models.map { (model, state) -> toJson(model, state) },
            "trust" to contents.trust.map(::toJson),
            "tuf" to contents.tuf.toSortedMap().map { (name, role) ->
                mapOf("keys" to role.keys, "role" to name, "version" to role.version)
            },
            "version" to 1L,
        ),
    )

    /** Parses a body whose code was verified; what would not come back the same, such as `ext`, is refused. */
    fun decode(body: ByteArray): Contents = parse(body).also {
        if (!encode(it).contentEquals(body)) {
            throw MalformedError("device state: holds something that would be forgotten")
        }
    }

    private fun parse(body: ByteArray): Contents =
        Record.read(CanonicalJson.decode(body, "device state"), "device state") {
            if (text("format") != FORMAT) throw fault("format", "must be '$FORMAT'")
            if (integer("version") != 1L) {
                throw UnsupportedVersionError("device state: written by another version", "update modelkeep")
            }
            Contents(
                models = named(items("models", MOST_MODELS).map(::model), "model"),
                trust = items("trust", MOST_ROOT_SETS).map(::trust),
                tuf = named(items("tuf", MOST_ROLES).map(::role), "role"),
                adoptedBy = nullable("adopted_by") { digests(it, MOST_ADOPTERS) },
                generation = hex("generation", Contents.GENERATION),
                counter = nullable("counter") { integer(it) },
            )
        }

    private fun toJson(model: String, state: ModelState) = mapOf(
        "active" to state.active,
        "installations" to state.installations.map { (id, installed) -> toJson(id, installed) },
        "marks" to state.marks.map(::toJson),
        "model" to model,
        "quarantine" to state.quarantine.map {
            mapOf("attempt" to it.attempt, "bundle" to it.bundle, "voucher" to it.voucher)
        },
        "tries" to state.tries,
    )

    private fun model(item: Any?): Pair<String, ModelState> = Record.read(item, "device state: model") {
        val state = ModelState(
            items("marks", MOST_SIGNERS * MOST_OF_ONE_SIGNER).map { Record.read(it, "device state: mark", ::mark) },
            named(items("installations", ModelState.MOST_INSTALLATIONS).map(::installation), "installation"),
            nullable("active") { hex(it, ID) },
            integer("tries"),
            items("quarantine", MOST_QUARANTINED).map(::quarantined),
        )
        text("model") to state
    }

    private fun toJson(mark: Mark): Map<String, Any?> = mapOf(
        "bundle" to mark.bundle,
        "epoch" to mark.order.epoch,
        "sealed_at" to mark.order.sealedAt,
        "signer" to mark.signer.toJson(),
        "voucher" to mark.voucher,
    )

    private fun mark(record: Record) = Mark(
        SignerId.fromJson(record.anything("signer")),
        ReleaseOrder(record.integer("epoch"), record.integer("sealed_at")),
        record.hex("bundle", ID),
        record.hex("voucher", DIGEST),
    )

    private fun toJson(id: String, installed: Installed) = toJson(installed.mark) + mapOf(
        "id" to id,
        "secret" to installed.secret.toHexadecimal(),
        "stage" to installed.stage.name.lowercase(),
    )

    private fun installation(item: Any?): Pair<String, Installed> = Record.read(item, "device state: installation") {
        val id = hex("id", ID)
        val secret = hexadecimal("secret", DIGEST)
        id to Installed(mark(this), secret, choice("stage", STAGES))
    }

    private fun quarantined(item: Any?) =
        Record.read(item, "device state: quarantine") {
            Quarantined(hex("bundle", ID), integer("attempt"), hex("voucher", DIGEST))
        }

    private fun toJson(entry: TrustEntry) = mapOf(
        "keys" to entry.keys.sorted(),
        "number" to entry.number,
        "roots" to entry.roots,
        "roots_digest" to entry.rootsDigest,
        "set" to entry.set,
        "threshold" to entry.threshold.toLong(),
        "time" to entry.time,
    )

    private fun trust(item: Any?) = Record.read(item, "device state: trust") {
        TrustEntry(
            nullable("set") { hex(it, DIGEST) },
            integer("roots"),
            nullable("roots_digest") { hex(it, DIGEST) },
            digests("keys", MOST_ROOT_KEYS),
            integer("threshold", 1, Int.MAX_VALUE.toLong()).toInt(),
            integer("number"),
            integer("time"),
        )
    }

    private fun role(item: Any?) = Record.read(item, "device state: role") {
        text("role") to TufRole(integer("version"), hex("keys", DIGEST))
    }

    private fun Record.digests(name: String, longest: Int): Set<String> = items(name, longest).map { item ->
        Record.read(mapOf("id" to item), "device state: $name") { hex("id", DIGEST) }
    }.toSet()

    private fun Record.hex(name: String, length: Int): String = hexadecimal(name, length).toHexadecimal()

    private fun <T> named(pairs: List<Pair<String, T>>, what: String): LinkedHashMap<String, T> {
        val map = pairs.toMap(LinkedHashMap())
        if (map.size != pairs.size) throw MalformedError("device state: the same $what twice")
        return map
    }
}
