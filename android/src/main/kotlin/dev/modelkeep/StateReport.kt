package dev.modelkeep

/**
 * What a device remembers, as far as whoever makes a ticket for it asks.
 *
 * @property device SHA-256 of its public key, in hexadecimal.
 * @property generation that of its state, which every change replaces.
 * @property newest the newest release (epoch and time of sealing) that was installed of each model, by the model's id.
 */
public class StateReport internal constructor(
    public val device: String,
    public val generation: String,
    public val newest: Map<String, String>,
) {
    override fun toString(): String = "device $device, generation $generation, newest $newest"
}
