package dev.modelkeep.state

import dev.modelkeep.RefusedError
import dev.modelkeep.trust.Act
import dev.modelkeep.trust.VerifiedTicket

/*
 * What a verified ticket makes a device let go of: what its signers have vouched for, and nothing else. Who that is, the
 * device remembers itself. Source: spec/trust-v1.md, section 7.
 */

/** Changes what [device] (SHA-256 of its public key, in hexadecimal) remembers, as a ticket says. */
internal fun Contents.obey(device: String, verified: VerifiedTicket) {
    val ticket = verified.ticket
    if (ticket.device != device) throw RefusedError("the ticket is for another device", "make one for this device")
    if (ticket.generation != generation) {
        throw RefusedError(
            "the ticket was used before, or is for another generation of this state",
            "ask for a new one, with what stateReport() says now",
        )
    }
    ticket.acts.forEach { perform(it, verified.signers) }
}

private fun Contents.perform(act: Act, signers: Set<String>) {
    val roots = trust.filter { it.keys.intersect(signers).size >= it.threshold }
    val vouchers = roots.map { it.voucher }.toSet() + signers
    when (act) {
        is Act.Void -> takeBack(act.bundle, vouchers)
        is Act.SetTime -> {
            if (roots.isEmpty()) throw RefusedError("nobody who signed the ticket sets the time here: only roots do")
            trust = trust.map { if (it in roots) it.copy(time = act.time) else it }
        }
        is Act.ForgetQuarantine -> forgetQuarantine(vouchers)
        is Act.Adopt -> throw RefusedError("the ticket is for a counter, and this device has none")
    }
}

private fun Contents.takeBack(bundle: String, vouchers: Set<String>) {
    fun isMeant(mark: Mark) = mark.bundle == bundle && mark.voucher in vouchers
    val found = models.values.filter { state -> state.marks.any(::isMeant) }
    if (found.isEmpty()) throw RefusedError("bundle $bundle was not installed here for whoever signed the ticket")
    found.forEach { state -> state.takeBack(::isMeant) }
}

private fun Contents.forgetQuarantine(vouchers: Set<String>) {
    if (models.values.none { state -> state.quarantine.any { it.voucher in vouchers } }) {
        throw RefusedError("no release is in quarantine here for whoever signed the ticket")
    }
    models.values.forEach { state -> state.quarantine = state.quarantine.filter { it.voucher !in vouchers } }
}
