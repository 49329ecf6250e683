package dev.modelkeep.state

import dev.modelkeep.RollbackError

/** How far an installation has come; models are opened from current ones only. */
internal enum class Stage { STAGED, TRIAL, CURRENT }

/**
 * What is known of one installation.
 *
 * @property mark the release, and who signed it.
 * @property secret 32 bytes without which it cannot be opened.
 */
internal class Installed(val mark: Mark, val secret: ByteArray, val stage: Stage = Stage.STAGED)

/** A release that failed on this device for [voucher] and is not tried again, until the publisher raises [attempt]. */
internal class Quarantined(val bundle: String, val attempt: Long, val voucher: String)

/**
 * What is known of one model. Source: spec/install-v1.md, section 5.
 *
 * @property marks which releases were installed, the latest of each signer last.
 * @property installations by id in hexadecimal, oldest first.
 * @property active the installation that was committed last, or null.
 * @property tries how often the one on trial was started; this library puts none on trial.
 * @property quarantine kept as it is, for the same reason.
 */
internal class ModelState(
    var marks: List<Mark> = emptyList(),
    val installations: LinkedHashMap<String, Installed> = LinkedHashMap(),
    var active: String? = null,
    var tries: Long = 0,
    var quarantine: List<Quarantined> = emptyList(),
) {
    /** Adds an installation that is about to be made; older releases that do not count yet go, newer ones stay. */
    fun stage(id: String, installed: Installed) {
        keep { it.stage == Stage.CURRENT || it.mark.order >= installed.mark.order }
        installations[id] = installed
        tries = 0
        while (installations.size > MOST_INSTALLATIONS) {
            // A device that fails over and over keeps what it has.
            val others = installations.keys.filter { it != id }
            installations.remove(others.minWith(compareBy({ it == active }, { stageOf(it) == Stage.CURRENT })))
        }
    }

    /** Makes an installation the active one; the secrets of older ones that [judge] vouches for go. */
    fun commit(model: String, id: String, judge: Judge) {
        val mark = setStage(id, Stage.CURRENT)
        marks = marks.with(mark)
        keep { it.mark.order >= mark.order || !judge.vouches(model, it.mark.signer) }
        active = id
        tries = 0
    }

    /** Forgets marks that were taken back, and the installations with them. */
    fun takeBack(isMeant: (Mark) -> Boolean) {
        marks = marks.filterNot(isMeant)
        keep { !isMeant(it.mark) }
    }

    /** Puts an installation at a new stage and returns its mark. */
    fun setStage(id: String, stage: Stage): Mark {
        val installed = installations[id] ?: throw RollbackError(
            "another installation was made meanwhile",
            "get the newest release of the model",
        )
        installations[id] = Installed(installed.mark, installed.secret, stage)
        return installed.mark
    }

    private fun stageOf(id: String) = installations.getValue(id).stage

    private fun keep(isWanted: (Installed) -> Boolean) {
        installations.values.retainAll(isWanted)
        if (active !in installations) active = null
    }

    companion object {
        const val MOST_INSTALLATIONS = 64
    }
}
