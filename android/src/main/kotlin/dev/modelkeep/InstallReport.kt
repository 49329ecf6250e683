package dev.modelkeep

/**
 * What was installed.
 *
 * @property model the model's id.
 * @property epochBefore epoch of the release that counted before, or null where there was none.
 * @property epoch epoch of the one that counts now.
 */
public class InstallReport internal constructor(
    public val model: String,
    public val epochBefore: Long?,
    public val epoch: Long,
) {
    override fun toString(): String = "$model ${epochBefore ?: "nothing"} -> $epoch"
}
