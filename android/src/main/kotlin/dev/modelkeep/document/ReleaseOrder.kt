package dev.modelkeep.document

/** A place in the order of a model's releases: by epoch, and within an epoch by the time of sealing. */
internal data class ReleaseOrder(val epoch: Long, val sealedAt: Long) : Comparable<ReleaseOrder> {
    override fun compareTo(other: ReleaseOrder): Int = compareValuesBy(this, other, { it.epoch }, { it.sealedAt })

    override fun toString(): String = "$epoch (sealed at $sealedAt)"

    companion object {
        val FIRST = ReleaseOrder(0, 0)
    }
}
