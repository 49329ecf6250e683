package dev.modelkeep.trust

import dev.modelkeep.MalformedError
import dev.modelkeep.UnsupportedVersionError
import dev.modelkeep.document.Manifest
import dev.modelkeep.json.CanonicalJson
import dev.modelkeep.json.Record
import dev.modelkeep.keys.Constraints
import dev.modelkeep.toHexadecimal

/** One thing that a device is told to let go of. */
internal sealed interface Act {
    class Void(val bundle: String) : Act

    class SetTime(val time: Long) : Act

    object ForgetQuarantine : Act

    /** Devices without a counter have no use for it. */
    object Adopt : Act
}

/**
 * What one device is to do once: it names the device (SHA-256 of its public key) and the generation of its state, both in
 * hexadecimal. Source: spec/trust-v1.md, section 7.
 */
internal class Ticket private constructor(val device: String, val generation: String, val acts: List<Act>) {
    companion object {
        private const val DEVICE = 32
        private const val ID = 16
        private const val MOST_ACTS = 64
        private const val MOST_MARKS = 10_000

        /** Parses a payload whose signatures were verified. */
        fun parse(payload: ByteArray): Ticket =
            Record.readClosed(CanonicalJson.decode(payload, "ticket"), "ticket") {
                checkFormat("modelkeep/ticket")
                val device = hexadecimal("device", DEVICE).toHexadecimal()
                val generation = hexadecimal("generation", ID).toHexadecimal()
                val acts = items("acts", MOST_ACTS).map(::act)
                if (acts.isEmpty()) throw fault("acts", "must not be empty")
                Ticket(device, generation, acts)
            }

        private fun act(item: Any?): Act = Record.readClosed(item, "ticket: act") {
            when (val name = text("act")) {
                "void" -> Act.Void(hexadecimal("bundle", ID).toHexadecimal())
                "time" -> Act.SetTime(integer("time", highest = Constraints.LATEST_TIME))
                "forget-quarantine" -> Act.ForgetQuarantine
                "adopt" -> {
                    integer("counter")
                    items("marks", MOST_MARKS).forEach(::checkMark)
                    Act.Adopt
                }
                else -> throw UnsupportedVersionError("ticket: '${name.take(32)}' is not known to this version", "update modelkeep")
            }
        }

        private fun checkMark(item: Any?) = Record.readClosed(item, "ticket: mark") {
            if (!Manifest.isModelId(text("model"))) throw MalformedError("ticket: a mark of no model")
            integer("epoch")
            integer("sealed_at", highest = Constraints.LATEST_TIME)
        }
    }
}

/**
 * A ticket whose signatures hold.
 *
 * @property signers fingerprints of the keys that signed: what they may do, the device says.
 */
internal class VerifiedTicket(val ticket: Ticket, val signers: Set<String>)
