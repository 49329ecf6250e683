package dev.modelkeep.state

import dev.modelkeep.StorageError
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.toHexadecimal

/**
 * What is known of one installation.
 *
 * @property secret 32 bytes without which it cannot be opened.
 * @property isPending is it still being made, or was that broken off?
 */
internal class Installed(val epoch: Long, val secret: ByteArray, val isPending: Boolean)

/**
 * What is known of one model.
 *
 * @property epoch lowest epoch that counts.
 * @property installations by id in hexadecimal, oldest first.
 */
internal class ModelState(var epoch: Long = 0, val installations: LinkedHashMap<String, Installed> = LinkedHashMap()) {
    /** Adds an installation; forgets an old one when there are too many. */
    fun add(id: String, installed: Installed) {
        installations[id] = installed
        while (installations.size > StateBody.MOST_INSTALLATIONS) {
            // Those first that were broken off: a device that fails over and over keeps what it has.
            val others = installations.keys.filter { it != id }
            installations.remove(others.firstOrNull { installations.getValue(it).isPending } ?: others.first())
        }
    }
}

/**
 * What a device must not forget. Source: spec/install-v1.md, section 5.
 *
 * @property time seconds since 1970-01-01 UTC that have certainly passed.
 * @property trust number of the newest trust file that another reader of the state saw, by the name of its roots in
 *     hexadecimal; kept, since this library reads no trust files.
 */
internal class StateBody(
    val models: LinkedHashMap<String, ModelState> = LinkedHashMap(),
    var time: Long = 0,
    private val trust: Map<String, Long> = emptyMap(),
) {
    /** Returns the lowest epoch of [model] that counts. */
    fun floor(model: String): Long = models[model]?.epoch ?: 0

    fun installed(model: String, id: String): Installed? = models[model]?.installations?.get(id)

    fun toBytes(): ByteArray {
        if (models.size > MOST_MODELS) throw StorageError("the device's state has no room for another model")
        val members = mapOf(
            "format" to FORMAT,
            "models" to models.map { (model, state) -> toJson(model, state) },
            "time" to time,
            "version" to 1L,
        )
        val seen = trust.map { (roots, number) -> mapOf("number" to number, "roots" to roots) }
        return CanonicalJson.encode(if (seen.isEmpty()) members else members + ("trust" to seen))
    }

    companion object {
        const val MOST_INSTALLATIONS = 64
        private const val MOST_MODELS = 10_000
        private const val MOST_ROOT_SETS = 1000
        private const val FORMAT = "modelkeep/state"

        /** Parses a body whose code was verified. */
        fun parse(data: ByteArray): StateBody =
            Record.read(CanonicalJson.decode(data, "device state"), "device state") {
                if (text("format") != FORMAT || integer("version") != 1L) {
                    throw StorageError("the device's state was written by another version", "update modelkeep")
                }
                val models = items("models", MOST_MODELS).associateTo(LinkedHashMap(), ::model)
                val seen = if ("trust" in this) items("trust", MOST_ROOT_SETS) else emptyList()
                StateBody(models, integer("time"), seen.associate(::trust))
            }

        private fun trust(item: Any?): Pair<String, Long> =
            Record.read(item, "device state: trust") {
                hexadecimal("roots", 32).toHexadecimal() to integer("number")
            }

        private fun model(item: Any?): Pair<String, ModelState> =
            Record.read(item, "device state: model") {
                val installations = items("installations", MOST_INSTALLATIONS)
                val byId = installations.associateTo(LinkedHashMap(), ::installation)
                text("model") to ModelState(integer("epoch"), byId)
            }

        private fun installation(item: Any?): Pair<String, Installed> =
            Record.read(item, "device state: installation") {
                val isPending = "pending" in this && boolean("pending")
                val id = hexadecimal("id", 16).toHexadecimal()
                id to Installed(integer("epoch"), hexadecimal("secret", 32), isPending)
            }

        private fun toJson(model: String, state: ModelState) = mapOf(
            "epoch" to state.epoch,
            "installations" to state.installations.map { (id, installed) -> toJson(id, installed) },
            "model" to model,
        )

        private fun toJson(id: String, installed: Installed): Map<String, Any?> {
            val members = mapOf("epoch" to installed.epoch, "id" to id, "secret" to installed.secret.toHexadecimal())
            return if (installed.isPending) members + ("pending" to true) else members
        }
    }
}
